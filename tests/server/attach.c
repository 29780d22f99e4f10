/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of attach/ that zcramd uses, of a kernel that is the test's (kernel.h); what kills this zcramd
 * at a step (common/step.h); and what keeps it from taking a descriptor of a server's:
 *
 *	$ZCRAM_TEST_STEP	NUMBER:LABEL: when it comes by there for so many times
 *	$ZCRAM_TEST_GETFD	NUMBER: so many are given, and the next one is refused
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/attach.h"
#include "common/step.h"
#include "tests/lib/check.h"
#include "tests/server/kernel.h"

/* By the linker's --wrap. */
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	const char *wanted = getenv("ZCRAM_TEST_GETFD");
	static int given;

	if (number == SYS_pidfd_getfd && wanted != NULL && given++ == atoi(wanted)) {
		errno = EPERM;
		return -1;
	}
	return __real_syscall(number, a, b, c, d, e, f);
}

void step_reached(const char *name)
{
	const char *wanted = getenv("ZCRAM_TEST_STEP");
	static int times;

	if (wanted != NULL && strcmp(strchr(wanted, ':') + 1, name) == 0 && ++times == atoi(wanted))
		kill(getpid(), SIGKILL);
}

static int open_kernel(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, getenv("ZCRAM_TEST_KERNEL"));
	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "errno %d",
	      errno);
	return fd;
}

/* With COUNT sockets. Returns the kernel's error, or what it answers. */
static int ask(enum kernel_op op, const char *identifier, const int *sockets, unsigned int count,
	       struct kernel_answer *answer)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(KERNEL_CONNECTIONS * sizeof(int))];
	} control = {0};
	struct kernel_question question = {.op = op};
	struct iovec part = {.iov_base = &question, .iov_len = sizeof(question)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int fd = open_kernel();

	snprintf(question.identifier, sizeof(question.identifier), "%s", identifier);
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), sockets, count * sizeof(int));
	}
	CHECK(sendmsg(fd, &message, MSG_NOSIGNAL) == sizeof(question), "errno %d", errno);
	CHECK(recv(fd, answer, sizeof(*answer), 0) == sizeof(*answer), "errno %d", errno);
	close(fd);
	return answer->r;
}

static int say(char **why, int r)
{
	*why = r < 0 ? strdup(strerror(-r)) : NULL;
	return r;
}

int attach_probe(char **ret_why)
{
	return say(ret_why, 0);
}

/* Of nbdkit. */
int attach_connect(const struct attach_options *options, int *ret_index, char **ret_why)
{
	return say(ret_why, -ENOSYS);
}

int attach_connect_sockets(const struct attach_options *options, const int *sockets, uint64_t size,
			   uint64_t flags, int *ret_index, char **ret_why)
{
	struct kernel_answer answer;
	int r = ask(KERNEL_CONNECT, options->identifier, sockets, options->connections, &answer);

	*ret_index = KERNEL_INDEX;
	return say(ret_why, r);
}

int attach_reconnect(int index, const char *identifier, int socket, char **ret_why)
{
	struct kernel_answer answer;

	return say(ret_why, ask(KERNEL_RECONNECT, identifier, &socket, 1, &answer));
}

int attach_disconnect(int index, char **ret_why)
{
	struct kernel_answer answer;

	return say(ret_why, ask(KERNEL_DISCONNECT, "", NULL, 0, &answer));
}

int attach_bound_writes(const char *root, int index, unsigned int kib, unsigned int writes,
			bool used, char **ret_why)
{
	*ret_why = NULL;
	return 0;
}

int attach_find(const char *root, const char *identifier, int *ret_index)
{
	struct kernel_answer answer;
	int r = ask(KERNEL_FIND, identifier, NULL, 0, &answer);

	if (r < 0 || strcmp(answer.identifier, identifier) != 0)
		return -ENOENT;
	*ret_index = r;
	return 0;
}

int attach_identifier(const char *root, int index, char *buf, size_t size)
{
	struct kernel_answer answer;
	int r = ask(KERNEL_FIND, "", NULL, 0, &answer);

	if (r < 0)
		return r;
	snprintf(buf, size, "%s", answer.identifier);
	return 0;
}

int attach_use(const char *root, int index, struct attach_use *ret_use)
{
	struct kernel_answer answer;

	*ret_use = (struct attach_use){.pid = 1};
	return ask(KERNEL_USE, "", NULL, 0, &answer);
}

bool attach_is_used(const struct attach_use *use)
{
	return false;
}

void attach_use_free(struct attach_use *use)
{
}

char *attach_use_describe(const struct attach_use *use)
{
	return strdup("by nobody");
}
