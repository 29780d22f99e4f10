/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: options, parameters and descriptors that zcram-server must not start with: each is
 * refused in one line that names it, with status 1, and nothing is left.
 */
#include "tests/server/fixture.h"

static void bad(const char *line, const char *first, const char *second, const char *third)
{
	assert_refused(keeper_run(&keeper, (const char *[]){first, second, third, NULL}), line);
}

static void bad_connection(const char *why, const char *text)
{
	char argument[256], line[512];

	snprintf(argument, sizeof(argument), "--connection=%s", text);
	snprintf(line, sizeof(line), "%s: %s", argument, why);
	bad(line, argument, "size=4M", NULL);
}

static void test_bad_connections(void **state)
{
	static const char *const none[] = {"",	     "3",      "3,4",	 "3,4,5,6",
					   "3,4,",   "a,b,c",  "3,4,5 ", " 3,4,5",
					   "-3,4,5", "3,4,+5", "3;4;5",	 "99999999999,4,5"};
	const struct keeper_connection *c = &keeper.connections[0];
	char text[64], line[128];

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		bad_connection("not three descriptors: give REGION,RING,SOCKET", none[i]);
	bad_connection("900 is not an open descriptor", "900,901,902");
	bad_connection("2 is a standard stream", "2,3,4");
	snprintf(text, sizeof(text), "%d,%d,%d", c->memory, c->memory, c->server);
	snprintf(line, sizeof(line), "%d is given twice", c->memory);
	bad_connection(line, text);
	snprintf(text, sizeof(text), "%d,%d,%d", c->server, c->ring, c->memory);
	snprintf(line, sizeof(line), "%d is not the memory of a connection", c->server);
	bad_connection(line, text);
	snprintf(text, sizeof(text), "%d,%d,%d", c->memory, c->server, c->ring);
	snprintf(line, sizeof(line), "%d is not an io_uring", c->server);
	bad_connection(line, text);
	snprintf(text, sizeof(text), "%d,%d,%d", c->memory, c->ring, keeper.connections[1].memory);
	snprintf(line, sizeof(line), "%d is not a socket", keeper.connections[1].memory);
	bad_connection(line, text);
}

/* Memory that is of the kind, and not what it should be; another connection's ring. */
static void test_bad_memory(void **state)
{
	struct keeper_connection *c = &keeper.connections[0], *d = &keeper.connections[1];
	char argument[64], line[128];

	snprintf(argument, sizeof(argument), "--connection=%d,%d,%d", c->memory, c->ring,
		 c->server);
	assert_int_equal(ftruncate(c->memory, PAGE), 0);
	snprintf(line, sizeof(line), "%s: it cannot be gone on with: ", argument);
	bad(line, argument, "size=4M", "lock=off");
	assert_int_equal(ftruncate(c->memory, 0), 0);
	assert_int_equal(ftruncate(c->memory, (off_t)c->size), 0);
	bad(line, argument, "size=4M", "lock=off");
	/* The client of a connection that was never served is not cut off for it. */
	assert_int_equal(recv(c->client, line, 1, MSG_DONTWAIT), -1);
	memset(d->region, 0xff, d->size);
	snprintf(argument, sizeof(argument), "--connection=%d,%d,%d", d->memory, d->ring,
		 d->server);
	snprintf(line, sizeof(line), "pool: missing: a connection that has been served");
	bad(line, argument, "size=4M", "lock=off");
}

static void test_bad_options(void **state)
{
	const struct keeper_connection *c = &keeper.connections[0];
	char connection[64];

	snprintf(connection, sizeof(connection), "--connection=%d,%d,%d", c->memory, c->ring,
		 c->server);
	bad("--connection: missing: give", "size=4M", NULL, NULL);
	bad("--connection: it takes a value", "size=4M", "--connection", NULL);
	bad("--listen: not an option: give --connection", "--listen", NULL, NULL);
	bad("--listen=3: not an option: give --connection", connection, "--listen=3", NULL);
	bad("-x: not an option", "-xy", NULL, NULL);
	bad("--wait: there is no pool to wait for", connection, "size=4M", "--wait");
	bad("4M: not a parameter: give KEY=VALUE", connection, "4M", NULL);
	bad("size=four: not a size", connection, "size=four", NULL);
	bad("sise=4M: unknown parameter: give size,", connection, "sise=4M", NULL);
	bad("size: missing: give", connection, NULL, NULL);
	bad("size=5M: given twice (4M before)", connection, "size=4M", "size=5M");
	bad("pool-at-exit=keep: there is no pool", connection, "size=4M", "pool-at-exit=keep");
}

/* Not one with its parameters wrong leaves a pool. */
static void test_refused_leaves_nothing(void **state)
{
	assert_refused(start("size=4M", "lock=off", "control=/nowhere/control", NULL),
		       "control=/nowhere/control: there is no such directory");
	assert_nothing_left();
	assert_refused(start("size=4M", "lock=off", "--pidfile=/nowhere/pid", NULL),
		       "--pidfile=/nowhere/pid: it cannot be written");
	assert_nothing_left();
}

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad_connections),
		TEST(test_bad_memory),
		TEST(test_bad_options),
		TEST(test_refused_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return keeper_guard(run_all);
}
