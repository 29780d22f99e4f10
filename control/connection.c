/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/os.h"

#define IN_SIZE (CONTROL_REQUEST_MAX + 1)

void connection_open(struct connection *c, int fd, uint64_t patience)
{
	*c = (struct connection){
		.fd = fd, .patience = patience, .deadline = UINT64_MAX, .passed = -1};
}

int connection_take_passed(struct connection *c)
{
	int fd = c->passed;

	c->passed = -1;
	return fd;
}

/* FD, or nothing, in place of what came before. */
static void set_passed(struct connection *c, int fd)
{
	if (c->passed >= 0)
		close(c->passed);
	c->passed = fd;
}

void connection_close(struct connection *c)
{
	close(c->fd);
	set_passed(c, -1);
	free(c->in);
	free(c->out);
}

short connection_events(const struct connection *c)
{
	switch (c->phase) {
	case CONNECTION_IDLE:
		return POLLIN;
	case CONNECTION_SENDING:
		return POLLOUT;
	default:
		return 0;
	}
}

/* Is there a whole line in what has come? The client's time runs from a request's first byte. */
static void look_for_line(struct connection *c)
{
	const char *newline = memchr(c->in + c->line, '\n', c->in_len - c->line);

	if (newline != NULL) {
		c->phase = CONNECTION_READY;
		c->line = (size_t)(newline - c->in);
		c->deadline = UINT64_MAX;
	} else {
		c->phase = CONNECTION_IDLE;
		c->line = c->in_len;
		if (c->deadline == UINT64_MAX)
			c->deadline = os_now() + c->patience;
	}
}

/* Keep the last of the descriptors that came with a message, and close the others. */
static void take_descriptors(struct connection *c, struct msghdr *message)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h != NULL; h = CMSG_NXTHDR(message, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
			set_passed(c, fd);
		}
	}
}

/* As recv(); those of the descriptors that there is no room for the kernel drops. */
static ssize_t receive(struct connection *c, void *data, size_t size)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(c->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n >= 0)
		take_descriptors(c, &message);
	return n;
}

int connection_read(struct connection *c)
{
	ssize_t n;

	if (c->in == NULL)
		c->in = malloc(IN_SIZE);
	if (c->in == NULL)
		return -ENOMEM;
	n = receive(c, c->in + c->in_len, IN_SIZE - c->in_len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	c->in_len += (size_t)n;
	look_for_line(c);
	return c->phase == CONNECTION_IDLE && c->in_len == IN_SIZE ? -EMSGSIZE : 0;
}

/* The line that has been answered is dropped. */
static void next_line(struct connection *c)
{
	size_t done = c->line + 1;

	free(c->out);
	c->out = NULL;
	c->in_len -= done;
	/* What came with it, and was not asked for. */
	if (c->in_len == 0)
		set_passed(c, -1);
	c->line = 0;
	c->deadline = UINT64_MAX;
	if (c->in_len > 0) {
		memmove(c->in, c->in + done, c->in_len);
		look_for_line(c);
		return;
	}
	c->phase = CONNECTION_IDLE;
	free(c->in);
	c->in = NULL;
}

int connection_write(struct connection *c)
{
	while (c->out_sent < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			c->out_sent += (size_t)n;
	}
	if (c->last)
		return -ESHUTDOWN;
	next_line(c);
	return 0;
}

/* Its text and a newline, to c->out. */
static int print_answer(struct connection *c, struct json_object *answer)
{
	size_t len;
	const char *text = json_object_to_json_string_length(answer, JSON_C_TO_STRING_PLAIN, &len);

	if (text == NULL)
		return -ENOMEM;
	c->out = malloc(len + 1);
	if (c->out == NULL)
		return -ENOMEM;
	memcpy(c->out, text, len);
	c->out[len] = '\n';
	c->out_len = len + 1;
	c->out_sent = 0;
	return 0;
}

int connection_answer(struct connection *c, struct json_object *answer, bool last)
{
	int r;

	if (answer == NULL)
		return -ENOMEM;
	r = print_answer(c, answer);
	json_object_put(answer);
	if (r < 0)
		return r;
	c->phase = CONNECTION_SENDING;
	c->last = last;
	c->deadline = os_now() + c->patience;
	return connection_write(c);
}

int connection_refuse(struct connection *c, const struct control_error *error, bool last)
{
	return connection_answer(c, control_answer_error(error), last);
}

bool connection_peer(const struct connection *c, struct ucred *ret_peer)
{
	socklen_t size = sizeof(*ret_peer);

	return getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &size) == 0;
}

static bool is_trusted(const struct connection *c)
{
	struct ucred peer;

	return connection_peer(c, &peer) && (peer.uid == 0 || peer.uid == geteuid());
}

int connection_accept(struct connection *c, int listener, unsigned int clients, uint64_t patience)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct control_error error;
	struct connection refused;

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS
			       ? -errno
			       : 0;
	connection_open(&refused, fd, patience);
	if (!is_trusted(&refused)) {
		control_error_set(&error, EPERM,
				  "not allowed: only root and the server's own user are");
	} else if (c == NULL) {
		control_error_set(&error, EAGAIN, "%u clients are connected, and no more are taken",
				  clients);
	} else {
		*c = refused;
		return 1;
	}
	/* As far as it is there to listen. */
	connection_refuse(&refused, &error, true);
	connection_close(&refused);
	return 0;
}
