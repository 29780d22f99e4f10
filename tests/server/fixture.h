/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of zcram-server share: one keeper, and short ways to its servers and clients. */
#ifndef ZCRAM_TESTS_SERVER_FIXTURE_H
#define ZCRAM_TESTS_SERVER_FIXTURE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/rng.h"
#include "tests/nbd-loop/served.h"
#include "tests/server/keeper.h"

#define DATA ((size_t)256 << 10)
#define PAGE 4096

static struct keeper keeper;

/* Short ways. */

static inline struct keeper_server start(const char *first, ...)
{
	const char *arguments[KEEPER_ARGUMENTS] = {first};
	va_list args;

	va_start(args, first);
	for (size_t i = 0; arguments[i] != NULL; i++)
		arguments[i + 1] = va_arg(args, const char *);
	va_end(args);
	return keeper_start(&keeper, arguments);
}

static inline void assert_serves(const struct keeper_server *server)
{
	char text[1024];

	if (keeper_await(&keeper, server))
		return;
	keeper_said(server, text, sizeof(text));
	fail_msg("it does not serve: %s", text);
}

static inline void assert_exit(int status, int expected)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
}

/* It ends with status 1, and one line. */
static inline void assert_refused(struct keeper_server server, const char *line)
{
	char text[1024], expected[1024];

	assert_int_equal(waitid(P_PID, (id_t)server.pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	assert_int_equal(keeper_said(&server, text, sizeof(text)), 1);
	snprintf(expected, sizeof(expected), "zcram-server: %s", line);
	if (strncmp(text, expected, strlen(expected)) != 0)
		fail_msg("'%s' does not begin with '%s'", text, expected);
	assert_exit(keeper_end(&server, 0), EXIT_FAILURE);
}

/* Page NUMBER of CONTENT, as a client on a connection sees it. */
static inline uint32_t ask(unsigned int connection, uint16_t type, uint64_t number, void *content)
{
	struct served served = {.client = keeper.connections[connection].client};

	return served_ask(&served, type, 0, number * PAGE, type == PROTO_FLUSH ? 0 : PAGE,
			  type == PROTO_WRITE ? content : NULL,
			  type == PROTO_READ ? content : NULL);
}

static inline void write_page(unsigned int connection, uint64_t number)
{
	uint8_t page[PAGE];
	struct rng rng = rng_make(number);

	rng_bytes(&rng, page, sizeof(page) / 2);
	memset(page + PAGE / 2, (int)number, PAGE / 2);
	assert_int_equal(ask(connection, PROTO_WRITE, number, page), 0);
}

static inline void check_page(unsigned int connection, uint64_t number)
{
	uint8_t expected[PAGE], page[PAGE];
	struct rng rng = rng_make(number);

	rng_bytes(&rng, expected, sizeof(expected) / 2);
	memset(expected + PAGE / 2, (int)number, PAGE / 2);
	assert_int_equal(ask(connection, PROTO_READ, number, page), 0);
	assert_memory_equal(page, expected, PAGE);
}

static inline void disconnect(unsigned int connection)
{
	struct served served = {.client = keeper.connections[connection].client};
	struct proto_request wire = served_request(PROTO_DISC, 0, 0, 0, 0);

	served_send(&served, &wire, sizeof(wire));
}

static inline void assert_hung_up(unsigned int connection)
{
	char byte;

	assert_int_equal(recv(keeper.connections[connection].client, &byte, 1, 0), 0);
}

static inline void assert_nothing_left(void)
{
	assert_false(keeper_has_segment(&keeper));
	assert_false(keeper_has_semaphore(&keeper));
	assert_int_equal(access(keeper.control, F_OK), -1);
}

static inline int setup(void **state)
{
	keeper_init(&keeper, KEEPER_CONNECTIONS, DATA);
	return 0;
}

/* Also that nothing is left. */
static inline int teardown(void **state)
{
	unlink(keeper.control);
	keeper_purge(&keeper);
	keeper_fini(&keeper);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
