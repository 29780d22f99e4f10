/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/os.h"
#include "common/util.h"
#include "control/protocol.h"

#define FIRST_BUF ((size_t)4 << 10)

struct control_client {
	int fd;
	int timeout_ms;
	bool broken; /* what comes next is not known to be the answer to what is asked next */
	pid_t peer;
	char *buf; /* the answer, as far as it has come */
	size_t size, len;
};

/* When a call that begins now has to be over; UINT64_MAX: never. */
static uint64_t deadline_of(const struct control_client *c)
{
	return c->timeout_ms < 0 ? UINT64_MAX : os_now() + (uint64_t)c->timeout_ms * NS_PER_MS;
}

/* Wait until the socket is ready for EVENTS, or has failed. -ETIMEDOUT. */
static int wait_for(const struct control_client *c, short events, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = events};
		uint64_t now = os_now();
		int timeout = -1, n;

		if (deadline != UINT64_MAX)
			timeout = now >= deadline
					  ? 0
					  : (int)((deadline - now + NS_PER_MS - 1) / NS_PER_MS);
		n = poll(&p, 1, timeout);
		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

/*
 * A Unix socket whose queue of clients is full cannot be polled for room in it: the call that
 * connects has to do the waiting.
 */
static int connect_to(int fd, const struct sockaddr_un *address, int timeout_ms)
{
	struct timeval wait = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};

	/* None at all would mean for ever; the least is as good. */
	if (timeout_ms == 0)
		wait.tv_usec = 1;
	if (timeout_ms >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		if (errno == EAGAIN)
			return -ETIMEDOUT;
		if (errno == EPROTOTYPE)
			return -ENOTSOCK;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static pid_t peer_of(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? 0 : peer.pid;
}

/* connect() says of a file that is no socket what it says of a socket that nobody serves. */
static int why_refused(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISSOCK(st.st_mode) ? -ENOTSOCK : -ECONNREFUSED;
}

int control_connect(const char *path, int timeout_ms, struct control_client **ret_client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control_client *c;
	int r;

	if (*path == '\0')
		return -ENOENT;
	if (strlen(path) > CONTROL_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	c->timeout_ms = timeout_ms;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = c->fd < 0 ? -errno : connect_to(c->fd, &address, timeout_ms);
	if (r < 0) {
		control_close(c);
		return r == -ECONNREFUSED ? why_refused(path) : r;
	}
	c->peer = peer_of(c->fd);
	*ret_client = c;
	return 0;
}

void control_close(struct control_client *c)
{
	if (c == NULL)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	free(c);
}

void control_set_timeout(struct control_client *c, int timeout_ms)
{
	c->timeout_ms = timeout_ms;
}

pid_t control_peer(const struct control_client *c)
{
	return c->peer;
}

/* As send(), of what does not block; with FD, if there is one. */
static ssize_t send_with(int socket, const char *text, size_t len, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (char *)(uintptr_t)text, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (fd >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * FD, if it is not negative, goes with the first byte. -EPIPE, -ECONNRESET: the server has closed the
 * connection, and may have said why before.
 */
static int send_all(struct control_client *c, const char *text, size_t len, int fd,
		    uint64_t deadline)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send_with(c->fd, text + done, len - done, done == 0 ? fd : -1);
		int r = 0;

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			r = wait_for(c, POLLOUT, deadline);
		else if (errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Room for at least one more byte. -EPROTO: the answer is longer than any. */
static int grow(struct control_client *c)
{
	size_t size = c->size ? min_u64(2 * c->size, CONTROL_ANSWER_MAX + 1) : FIRST_BUF;
	char *buf;

	if (c->len < c->size)
		return 0;
	if (c->len > CONTROL_ANSWER_MAX)
		return -EPROTO;
	buf = realloc(c->buf, size);
	if (buf == NULL)
		return -ENOMEM;
	c->buf = buf;
	c->size = size;
	return 0;
}

/* One line, and nothing behind it: the answer's bytes without the newline are c->buf, *ret_len. */
static int receive(struct control_client *c, uint64_t deadline, size_t *ret_len)
{
	c->len = 0;
	for (;;) {
		const char *newline;
		ssize_t n;
		int r;

		r = grow(c);
		if (r == 0)
			r = wait_for(c, POLLIN, deadline);
		if (r < 0)
			return r;
		n = recv(c->fd, c->buf + c->len, c->size - c->len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		newline = memchr(c->buf + c->len, '\n', (size_t)n);
		c->len += (size_t)n;
		if (newline != NULL) {
			*ret_len = (size_t)(newline - c->buf);
			return *ret_len + 1 == c->len ? 0 : -EPROTO;
		}
	}
}

/* The request as one line with its newline, in an object that is to be put. */
static int make_request(const char *command, struct json_object *arguments,
			struct json_object **ret_request, const char **ret_text, size_t *ret_len)
{
	struct json_object *request = json_object_new_object();
	const char *text = NULL;
	bool ok;

	ok = control_add(request, "version", json_object_new_int(CONTROL_VERSION));
	ok &= control_add(request, "command", json_object_new_string(command));
	if (arguments != NULL)
		ok &= control_add(request, "arguments", json_object_get(arguments));
	if (ok)
		text = json_object_to_json_string_length(request, JSON_C_TO_STRING_PLAIN, ret_len);
	if (text == NULL || *ret_len > CONTROL_REQUEST_MAX) {
		json_object_put(request);
		return text == NULL ? -ENOMEM : -EMSGSIZE;
	}
	*ret_request = request;
	*ret_text = text;
	return 0;
}

static int give_error(const struct control_error *error, char **ret_message)
{
	if (ret_message != NULL)
		*ret_message = strdup(error->message);
	return -error->number;
}

/*
 * FD, if there is one, goes with it, and is closed. Whatever fails on the way leaves the connection of
 * no use.
 */
static int send_request(struct control_client *c, const char *command,
			struct json_object *arguments, int fd, uint64_t deadline)
{
	struct json_object *request;
	const char *text;
	size_t len;
	int r;

	r = c->broken ? -ENOTCONN : make_request(command, arguments, &request, &text, &len);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = send_all(c, text, len, fd, deadline);
	if (r == 0)
		r = send_all(c, "\n", 1, -1, deadline);
	if (fd >= 0)
		close(fd);
	json_object_put(request);
	/* A server that takes no more may have said why. */
	if (r == -EPIPE || r == -ECONNRESET)
		r = 0;
	c->broken = r < 0;
	return r;
}

static int receive_answer(struct control_client *c, uint64_t deadline,
			  struct json_object **ret_result, char **ret_message)
{
	struct control_error error;
	size_t len = 0;
	int r;

	r = receive(c, deadline, &len);
	if (r == 0)
		r = control_parse_answer(c->buf, len, ret_result, &error);
	if (r > 0)
		return give_error(&error, ret_message);
	c->broken = r < 0;
	return r;
}

int control_call(struct control_client *c, const char *command, struct json_object *arguments,
		 struct json_object **ret_result, char **ret_message)
{
	return control_call_with(c, command, arguments, -1, ret_result, ret_message);
}

int control_call_with(struct control_client *c, const char *command, struct json_object *arguments,
		      int fd, struct json_object **ret_result, char **ret_message)
{
	uint64_t deadline = deadline_of(c);
	int r;

	if (ret_message != NULL)
		*ret_message = NULL;
	r = send_request(c, command, arguments, fd, deadline);
	return r < 0 ? r : receive_answer(c, deadline, ret_result, ret_message);
}

int control_send(struct control_client *c, const char *command, struct json_object *arguments)
{
	return send_request(c, command, arguments, -1, deadline_of(c));
}

int control_receive(struct control_client *c, struct json_object **ret_result, char **ret_message)
{
	if (ret_message != NULL)
		*ret_message = NULL;
	return c->broken ? -ENOTCONN : receive_answer(c, deadline_of(c), ret_result, ret_message);
}

int control_fd(const struct control_client *c)
{
	return c->fd;
}
