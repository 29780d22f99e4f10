/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of control/ share: a directory, and lines on a socket, without control/client. */
#ifndef ZCRAM_TESTS_CONTROL_FIXTURE_H
#define ZCRAM_TESTS_CONTROL_FIXTURE_H

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "control/protocol.h"

static char fixture_dir[] = "/tmp/zcram-test-XXXXXX";
static char fixture_path[sizeof(fixture_dir) + 16]; /* of the socket */

static inline int fixture_begin(void **state)
{
	(void)state;
	if (mkdtemp(fixture_dir) == NULL)
		return -1;
	snprintf(fixture_path, sizeof(fixture_path), "%s/control", fixture_dir);
	return 0;
}

/* The directory must be empty by then: what is left behind is a failure. */
static inline int fixture_end(void **state)
{
	(void)state;
	return rmdir(fixture_dir);
}

static inline struct sockaddr_un fixture_address(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, fixture_path, strlen(fixture_path));
	return address;
}

static inline int raw_connect(void)
{
	struct sockaddr_un address = fixture_address();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static inline void raw_send(int fd, const void *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		assert_true(n > 0);
		text = (const char *)text + n;
		len -= (size_t)n;
	}
}

static inline void raw_print(int fd, const char *text)
{
	raw_send(fd, text, strlen(text));
}

/* One line, without its newline, to be freed. NULL: the other side has closed instead. */
static inline char *raw_line(int fd)
{
	size_t len = 0, size = 256;
	char *line = malloc(size);

	assert_non_null(line);
	for (;;) {
		if (recv(fd, line + len, 1, 0) != 1) {
			assert_int_equal(len, 0);
			free(line);
			return NULL;
		}
		if (line[len] == '\n')
			break;
		if (++len == size) {
			size *= 2;
			line = realloc(line, size);
			assert_non_null(line);
		}
	}
	line[len] = '\0';
	return line;
}

/* Wait until the other side has closed, without reading what it sent. */
static inline void raw_wait_closed(int fd)
{
	struct pollfd p = {.fd = fd, .events = 0};

	assert_int_equal(poll(&p, 1, -1), 1);
	assert_true(p.revents & (POLLHUP | POLLERR));
}

#endif
