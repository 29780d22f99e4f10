/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: at the limit, with a backing store that hangs, a connection has as many writes under way as it may,
 * and all are held: reads of what is in memory are answered all the while, before any of these writes has ended, also
 * where one thread alone executes requests; and all end well when the store goes on.
 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "nbd/loop.h"
#include "tests/server/fixture.h"

/* As zcramd has it. */
#define WHOLE_DATA  ((size_t)2 << 20)
#define WRITES_MOST 1000 /* more than fits */

/* In a row; they take longer than a write is slowed near the limit. */
#define READS	    1000

#define READ_COOKIE WRITES_MOST

static pid_t store;
static char store_path[64], store_ready[64];
static struct served client;
static uint8_t first[NBD_LOOP_REQUEST];

/* Wait until it listens, which it says by its pid. */
static void start_store(void)
{
	int ready;
	char byte;

	snprintf(store_path, sizeof(store_path), "%s/store", keeper.dir);
	snprintf(store_ready, sizeof(store_ready), "%s/ready", keeper.dir);
	assert_int_equal(mkfifo(store_ready, 0600), 0);
	ready = open(store_ready, O_RDWR | O_CLOEXEC);
	assert_true(ready >= 0);
	store = fork();
	assert_true(store >= 0);
	if (store == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("nbdkit", "nbdkit", "-f", "-P", store_ready, "-U", store_path, "memory",
		       "64M", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(read(ready, &byte, 1), 1);
	close(ready);
}

static int setup_held(void **state)
{
	keeper_init(&keeper, 1, WHOLE_DATA);
	client.client = keeper.connections[0].client;
	start_store();
	return 0;
}

static int teardown_held(void **state)
{
	kill(store, SIGKILL);
	waitpid(store, NULL, 0);
	unlink(store_path);
	unlink(store_ready);
	return teardown(state);
}

/* What does not compress, nor is another write's. */
static void send_write(uint64_t number)
{
	struct proto_request wire =
		served_request(PROTO_WRITE, 0, number, number * NBD_LOOP_REQUEST, NBD_LOOP_REQUEST);
	static uint8_t data[NBD_LOOP_REQUEST];
	struct rng rng = rng_make(number);

	rng_bytes(&rng, data, sizeof(data));
	if (number == 0)
		memcpy(first, data, sizeof(data));
	served_send(&client, &wire, sizeof(wire));
	served_send(&client, data, sizeof(data));
}

/* Take a reply, which is no error: its cookie. */
static uint64_t take_reply(void)
{
	struct proto_reply reply;

	served_receive(&client, &reply, sizeof(reply));
	assert_int_equal(reply.error, 0);
	return reply.cookie;
}

/* Read the first page, or as much as a request has. Returns how many writes have been answered before. */
static unsigned int read_first(uint32_t length)
{
	struct proto_request wire = served_request(PROTO_READ, 0, READ_COOKIE, 0, length);
	static uint8_t back[NBD_LOOP_REQUEST];
	unsigned int writes = 0;

	served_send(&client, &wire, sizeof(wire));
	while (take_reply() != READ_COOKIE)
		writes++;
	served_receive(&client, back, length);
	assert_memory_equal(back, first, length);
	return writes;
}

/* Reads are answered while all writes that may be under way are, and none ends. */
static void check_held(void)
{
	unsigned int most = nbd_loop_writes(WHOLE_DATA), under_way = 0, reads = 0;
	uint64_t number = 1;

	assert_true(most > 0);
	send_write(0);
	assert_int_equal(take_reply(), 0);
	while (reads < READS) {
		unsigned int ended;

		for (; under_way < most; under_way++) {
			assert_true(number < WRITES_MOST);
			send_write(number++);
		}
		ended = read_first(reads % 2 == 0 ? PAGE : NBD_LOOP_REQUEST);
		under_way -= ended;
		reads = ended == 0 ? reads + 1 : 0;
	}
	assert_int_equal(kill(store, SIGCONT), 0);
	while (under_way-- > 0)
		take_reply();
}

static void hold(const char *threads)
{
	char writeback[128];
	struct keeper_server server;

	snprintf(writeback, sizeof(writeback), "writeback=nbd+unix:///?socket=%s", store_path);
	server = start("size=64M", "mem-limit=4M", "lock=off", writeback, threads, NULL);
	assert_serves(&server);
	assert_int_equal(kill(store, SIGSTOP), 0);
	check_held();
	assert_exit(keeper_end(&server, SIGTERM), 0);
	assert_nothing_left();
}

static void test_many_threads(void **state)
{
	hold("--threads=4");
}

static void test_one_thread(void **state)
{
	hold("--threads=1");
}

#define HELD_TEST(name) cmocka_unit_test_setup_teardown(name, setup_held, teardown_held)

static int run(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(test_many_threads),
		HELD_TEST(test_one_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return keeper_guard(run);
}
