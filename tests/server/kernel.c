/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/server/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/check.h"

/* The operations, with the lock. */

static void forget_clients(struct kernel *k)
{
	for (unsigned int i = 0; i < k->count; i++)
		close(k->clients[i]);
	k->count = 0;
	k->attached = false;
}

static int connect_all(struct kernel *k, const struct kernel_question *q, const int *fds,
		       unsigned int count)
{
	if (k->attached)
		return -EBUSY;
	memcpy(k->clients, fds, count * sizeof(*fds));
	memcpy(k->identifier, q->identifier, sizeof(k->identifier));
	k->count = count;
	k->attached = true;
	return 0;
}

static bool is_dead(int client)
{
	struct pollfd fd = {.fd = client, .events = POLLIN};

	return poll(&fd, 1, 0) > 0 && (fd.revents & POLLHUP) != 0;
}

/* Where none is dead, the new one is dropped, and nothing is said. */
static int reconnect(struct kernel *k, const struct kernel_question *q, int fd)
{
	int r = !k->attached ? -EINVAL : strcmp(q->identifier, k->identifier) != 0 ? -EINVAL : 0;

	for (unsigned int i = 0; i < k->count && r == 0; i++) {
		if (!is_dead(k->clients[i]))
			continue;
		/* The number stays, so that whoever asks by it finds the new one. */
		CHECK(dup3(fd, k->clients[i], O_CLOEXEC) >= 0, "errno %d", errno);
		k->replaced++;
		break;
	}
	close(fd);
	return r;
}

static int find(const struct kernel *k, struct kernel_answer *answer)
{
	if (!k->attached)
		return -ENOENT;
	memcpy(answer->identifier, k->identifier, sizeof(answer->identifier));
	return KERNEL_INDEX;
}

static void answer_question(struct kernel *k, const struct kernel_question *q, const int *fds,
			    unsigned int count, struct kernel_answer *answer)
{
	pthread_mutex_lock(&k->lock);
	switch (q->op) {
	case KERNEL_CONNECT:
		answer->r = connect_all(k, q, fds, count);
		break;
	case KERNEL_RECONNECT:
		CHECK(count == 1, "%u sockets", count);
		answer->r = reconnect(k, q, fds[0]);
		break;
	case KERNEL_DISCONNECT:
		forget_clients(k);
		break;
	case KERNEL_FIND:
		answer->r = find(k, answer);
		break;
	case KERNEL_USE:
		answer->r = k->unknown_use ? -EIO : 0;
		break;
	}
	pthread_mutex_unlock(&k->lock);
}

/* The thread. */

static unsigned int take_sockets(struct msghdr *message, int *fds)
{
	const struct cmsghdr *header = message->msg_control;
	unsigned int count;

	if (message->msg_controllen < sizeof(*header))
		return 0;
	CHECK(header->cmsg_type == SCM_RIGHTS, "type %d", header->cmsg_type);
	count = (unsigned int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(header), count * sizeof(int));
	return count;
}

static void answer_one(struct kernel *k)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(KERNEL_CONNECTIONS * sizeof(int))];
	} control;
	struct kernel_answer answer = {0};
	struct kernel_question question;
	struct iovec part = {.iov_base = &question, .iov_len = sizeof(question)};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC);
	int fds[KERNEL_CONNECTIONS];

	CHECK(fd >= 0, "errno %d", errno);
	/* Who asks may be killed at any time. */
	if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) == sizeof(question)) {
		answer_question(k, &question, fds, take_sockets(&message, fds), &answer);
		send(fd, &answer, sizeof(answer), MSG_NOSIGNAL);
	}
	close(fd);
}

static void take_word(struct kernel *k)
{
	char words[4096];
	ssize_t len = recv(k->notify, words, sizeof(words) - 1, 0);

	CHECK(len >= 0, "errno %d", errno);
	words[len] = '\0';
	if (strncmp(words, "READY=1", 7) == 0)
		eventfd_write(k->ready, 1);
}

static void *run(void *opaque)
{
	struct kernel *k = opaque;
	struct pollfd fds[] = {
		{.fd = k->listener, .events = POLLIN},
		{.fd = k->notify, .events = POLLIN},
		{.fd = k->stop, .events = POLLIN},
	};

	while (fds[2].revents == 0) {
		if (poll(fds, 3, -1) < 0)
			continue; /* EINTR */
		if (fds[0].revents != 0)
			answer_one(k);
		if (fds[1].revents != 0)
			take_word(k);
	}
	return NULL;
}

static int listen_on(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	CHECK(strlen(path) < sizeof(address.sun_path), "%s", path);
	strcpy(address.sun_path, path);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "errno %d",
	      errno);
	CHECK(type == SOCK_DGRAM || listen(fd, 16) == 0, "errno %d", errno);
	return fd;
}

void kernel_init(struct kernel *k, const char *dir)
{
	*k = (struct kernel){.lock = PTHREAD_MUTEX_INITIALIZER};
	snprintf(k->path, sizeof(k->path), "%s/kernel", dir);
	snprintf(k->notify_path, sizeof(k->notify_path), "%s/notify", dir);
	k->listener = listen_on(k->path, SOCK_SEQPACKET);
	k->notify = listen_on(k->notify_path, SOCK_DGRAM);
	k->stop = eventfd(0, EFD_CLOEXEC);
	k->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(k->stop >= 0 && k->ready >= 0, "errno %d", errno);
	setenv("ZCRAM_TEST_KERNEL", k->path, 1);
	setenv("NOTIFY_SOCKET", k->notify_path, 1);
	CHECK(pthread_create(&k->thread, NULL, run, k) == 0, "no thread");
}

void kernel_fini(struct kernel *k)
{
	eventfd_write(k->stop, 1);
	pthread_join(k->thread, NULL);
	forget_clients(k);
	close(k->listener);
	close(k->notify);
	close(k->stop);
	close(k->ready);
	unlink(k->path);
	unlink(k->notify_path);
	unsetenv("ZCRAM_TEST_KERNEL");
	unsetenv("NOTIFY_SOCKET");
}

/* For the test. */

int kernel_client(struct kernel *k, unsigned int i)
{
	int client;

	pthread_mutex_lock(&k->lock);
	client = i < k->count ? k->clients[i] : -1;
	pthread_mutex_unlock(&k->lock);
	return client;
}

unsigned int kernel_replaced(struct kernel *k)
{
	unsigned int replaced;

	pthread_mutex_lock(&k->lock);
	replaced = k->replaced;
	pthread_mutex_unlock(&k->lock);
	return replaced;
}

bool kernel_is_attached(struct kernel *k)
{
	bool attached;

	pthread_mutex_lock(&k->lock);
	attached = k->attached;
	pthread_mutex_unlock(&k->lock);
	return attached;
}

void kernel_hide_use(struct kernel *k, bool hide)
{
	pthread_mutex_lock(&k->lock);
	k->unknown_use = hide;
	pthread_mutex_unlock(&k->lock);
}
