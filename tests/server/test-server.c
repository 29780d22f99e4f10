/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: how zcram-server begins, ends and is taken over from: what is left behind and what is
 * not, which of its connections go on, and who may have them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <json-c/json.h>

#include "control/client.h"
#include "tests/server/fixture.h"

/* Ends. */

static void test_term(void **state)
{
	struct keeper_server server = start("size=4M", "name=zcram7", NULL);

	assert_serves(&server);
	assert_true(keeper_has_segment(&keeper));
	write_page(0, 1);
	check_page(1, 1);
	assert_int_equal(ask(0, PROTO_FLUSH, 0, NULL), 0);
	assert_int_equal(ask(1, PROTO_TRIM, 1, NULL), 0);
	assert_exit(keeper_end(&server, SIGTERM), 0);
	assert_nothing_left();
	/* Nobody will ever answer. */
	assert_hung_up(0);
	assert_hung_up(1);
}

static void test_interrupt_private(void **state)
{
	char argument[128];
	struct keeper_server server;

	snprintf(argument, sizeof(argument), "--connection=%d,%d,%d", keeper.connections[0].memory,
		 keeper.connections[0].ring, keeper.connections[0].server);
	server = keeper_run(&keeper, (const char *[]){argument, "size=4M", "lock=off", NULL});
	write_page(0, 3);
	check_page(0, 3);
	assert_exit(keeper_end(&server, SIGINT), 0);
	assert_nothing_left();
	assert_hung_up(0);
}

static void test_keep(void **state)
{
	struct keeper_server server = start("size=4M", "pool-at-exit=keep", NULL);

	assert_serves(&server);
	write_page(0, 5);
	assert_exit(keeper_end(&server, SIGTERM), 0);
	assert_true(keeper_has_segment(&keeper));
	/* The connections too are there to go on with. */
	server = start(NULL);
	assert_serves(&server);
	check_page(1, 5);
	assert_exit(keeper_end(&server, SIGTERM), 0);
	assert_nothing_left();
}

static void test_disconnect(void **state)
{
	struct keeper_server server = start("size=4M", NULL);

	assert_serves(&server);
	write_page(0, 1);
	disconnect(0);
	check_page(1, 1);
	disconnect(1);
	assert_exit(keeper_end(&server, 0), 0);
	assert_nothing_left();
}

/* What is no NBD breaks its connection, which is said once; the others, and the content, go on. */
static void test_broken(void **state)
{
	struct served served = {.client = keeper.connections[0].client};
	struct keeper_server server = start("size=4M", "lock=off", NULL);
	char text[1024], garbage[64] = "this is no NBD";

	assert_serves(&server);
	write_page(0, 1);
	served_send(&served, garbage, sizeof(garbage));
	assert_hung_up(0);
	check_page(1, 1);
	assert_int_equal(keeper_said(&server, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "the connection is broken: what the client says is no NBD"));
	assert_int_equal(waitpid(server.pid, NULL, WNOHANG), 0);
	/* One that is broken already does not keep a successor from the other. */
	keeper_end(&server, SIGKILL);
	server = start("lock=off", NULL);
	assert_serves(&server);
	check_page(1, 1);
	assert_int_equal(keeper_said(&server, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "it cannot be gone on with: the connection is broken"));
	served.client = keeper.connections[1].client;
	served_send(&served, garbage, sizeof(garbage));
	assert_hung_up(1);
	assert_exit(keeper_end(&server, 0), EXIT_FAILURE);
	assert_true(keeper_has_segment(&keeper));
}

/* Successors. */

static void test_handover(void **state)
{
	struct keeper_server server = start("size=4M", NULL), next;
	struct json_object *result = NULL;

	assert_serves(&server);
	write_page(0, 1);
	/* Without one that waits there is simply none for a while. */
	assert_int_equal(keeper_ask(&keeper, "handover", &result), 0);
	json_object_put(result);
	assert_exit(keeper_end(&server, 0), 0);
	assert_true(keeper_has_segment(&keeper));
	server = start(NULL);
	assert_serves(&server);
	check_page(0, 1);
	next = start("--wait", NULL);
	assert_true(keeper_await_line(&next, "zcram-server: ready to take over"));
	write_page(1, 2);
	/* And one that is killed is taken over from, too. */
	keeper_end(&server, SIGKILL);
	assert_serves(&next);
	check_page(0, 1);
	check_page(0, 2);
	assert_exit(keeper_end(&next, SIGTERM), 0);
	assert_nothing_left();
}

static uint64_t stat_of(const char *name)
{
	struct json_object *result = NULL, *stats, *member;
	uint64_t value;

	assert_int_equal(keeper_ask(&keeper, "stat", &result), 0);
	assert_true(json_object_object_get_ex(result, "stats", &stats));
	assert_true(json_object_object_get_ex(stats, name, &member));
	value = json_object_get_uint64(member);
	json_object_put(result);
	return value;
}

static void assert_asked(const char *command)
{
	struct json_object *result = NULL;

	assert_int_equal(keeper_ask(&keeper, command, &result), 0);
	json_object_put(result);
}

/* The file of a backing store, whatever becomes of the test. */
static char store_path[64], store[96];

static int setup_store(void **state)
{
	setup(state);
	snprintf(store_path, sizeof(store_path), "%s/store", keeper.dir);
	snprintf(store, sizeof(store), "writeback=%s", store_path);
	return 0;
}

static int teardown_store(void **state)
{
	unlink(store_path);
	return teardown(state);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

/*
 * The store is the server's as long as it has the pool, and one that waits for that does not ask for it; but one
 * that could not go on with it is none to wait for.
 */
static void test_store(void **state)
{
	char other[64], wrong[96], line[160];
	struct keeper_server server, next;
	int fd;

	snprintf(other, sizeof(other), "%s/other", keeper.dir);
	snprintf(wrong, sizeof(wrong), "writeback=%s", other);
	server = start("size=4M", store, "writeback-size=16M", NULL);
	assert_serves(&server);
	for (uint64_t number = 0; number < 100; number++)
		write_page(0, number);
	assert_asked("writeback");
	assert_int_equal(stat_of("pages_backing"), 100);

	assert_refused(start("--wait", "lock=off", NULL), "writeback: missing: pages of pool=");
	snprintf(line, sizeof(line), "%s: cannot be found: No such file", wrong);
	assert_refused(start("--wait", "lock=off", wrong, "writeback-size=16M", NULL), line);
	fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 16 << 20), 0);
	close(fd);
	snprintf(line, sizeof(line), "%s: it is no backing store any more", wrong);
	assert_refused(start("--wait", "lock=off", wrong, NULL), line);
	assert_int_equal(unlink(other), 0);

	next = start("--wait", store, NULL);
	assert_true(keeper_await_line(&next, "zcram-server: ready to take over"));
	assert_asked("writeback");
	assert_asked("handover");
	assert_exit(keeper_end(&server, 0), 0);
	assert_serves(&next);
	assert_int_equal(stat_of("pages_backing"), 100);
	assert_int_equal(stat_of("pages_damaged"), 0);
	for (uint64_t number = 0; number < 100; number++)
		check_page(1, number);
	assert_exit(keeper_end(&next, SIGTERM), 0);
	assert_nothing_left();
}

/* Where there was none, one is seen to as well before the old server is to end. */
static void test_first_store(void **state)
{
	struct keeper_server server = start("size=4M", NULL), next;

	assert_serves(&server);
	write_page(0, 1);
	assert_refused(start("--wait", "lock=off", "writeback=/nonexistent/store",
			     "writeback-size=16M", NULL),
		       "writeback=/nonexistent/store: cannot be opened: No such file");
	next = start("--wait", store, "writeback-size=16M", NULL);
	assert_true(keeper_await_line(&next, "zcram-server: ready to take over"));
	assert_asked("handover");
	assert_exit(keeper_end(&server, 0), 0);
	assert_serves(&next);
	assert_asked("writeback");
	assert_int_equal(stat_of("pages_backing"), 1);
	check_page(0, 1);
	assert_exit(keeper_end(&next, SIGTERM), 0);
	assert_nothing_left();
}

/* Whatever is wrong with a successor, the server that is there goes on. */
static void test_bad_successors(void **state)
{
	struct keeper_server server = start("size=4M", NULL), next;
	char line[256];

	assert_serves(&server);
	write_page(0, 1);
	assert_refused(start("--wait", "algorithm=lzo", "lock=off", NULL),
		       "algorithm=lzo: not an algorithm");
	snprintf(line, sizeof(line), "pool=%s: it holds a device of 4194304 bytes", keeper.pool);
	assert_refused(start("--wait", "size=8M", "lock=off", NULL), line);
	snprintf(line, sizeof(line), "pool=%s: in use: another server is running on it",
		 keeper.pool);
	assert_refused(start("size=4M", "lock=off", NULL), line);
	assert_refused(start("--wait", "pool=test-server-none", "lock=off", NULL),
		       "pool=test-server-none: there is no such pool to take over");
	check_page(0, 1);
	/* One that waits, and is no more wanted. */
	next = start("--wait", NULL);
	assert_true(keeper_await_line(&next, "zcram-server: ready to take over"));
	assert_int_equal(WTERMSIG(keeper_end(&next, SIGTERM)), SIGTERM);
	/* One that waits, when there is nothing left to take over. */
	next = start("--wait", "lock=off", NULL);
	assert_true(keeper_await_line(&next, "zcram-server: ready to take over"));
	assert_exit(keeper_end(&server, SIGTERM), 0);
	snprintf(line, sizeof(line), "pool=%s: there is no such pool to take over", keeper.pool);
	assert_refused(next, line);
	assert_nothing_left();
}

/* A connection whose content is gone is never told zeros. */
static void test_lost_content(void **state)
{
	struct keeper_server server = start("size=4M", NULL);
	char line[256];

	assert_serves(&server);
	write_page(0, 1);
	keeper_end(&server, SIGKILL);
	keeper_purge(&keeper);
	snprintf(line, sizeof(line), "pool=%s: the content of a connection that has been served",
		 keeper.pool);
	assert_refused(start("size=4M", "lock=off", NULL), line);
	assert_false(keeper_has_segment(&keeper));
	snprintf(line, sizeof(line), "pool=%s: there is no such pool yet", keeper.pool);
	assert_refused(start("lock=off", NULL), line);
}

/* Another keeper. */

static int take(int pidfd, struct json_object *descriptors, const char *name)
{
	struct json_object *number;

	assert_true(json_object_object_get_ex(descriptors, name, &number));
	return (int)syscall(SYS_pidfd_getfd, pidfd, json_object_get_int(number), 0);
}

/* All that the first keeper had, from the server. */
static void adopt(struct keeper_server *server)
{
	struct control_client *client;
	struct json_object *result = NULL, *connections;

	assert_int_equal(control_connect(keeper.control, 60000, &client), 0);
	assert_int_equal(control_peer(client), server->pid);
	assert_int_equal(control_call(client, "adopt", NULL, &result, NULL), 0);
	assert_true(json_object_object_get_ex(result, "connections", &connections));
	assert_int_equal(json_object_array_length(connections), keeper.nr_connections);
	for (unsigned int i = 0; i < keeper.nr_connections; i++) {
		struct json_object *one = json_object_array_get_idx(connections, i);
		struct keeper_connection *c = &keeper.connections[i];

		c->memory = take(server->pidfd, one, "region");
		c->ring = take(server->pidfd, one, "ring");
		c->server = take(server->pidfd, one, "socket");
		assert_true(c->memory >= 0 && c->ring >= 0 && c->server >= 0);
	}
	json_object_put(result);
	control_close(client);
}

static void test_adopt(void **state)
{
	struct keeper_server server = {.out = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	int pids[2], status;
	pid_t first;

	/* Its orphans are ours. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe(pids), 0);
	first = fork();
	assert_true(first >= 0);
	if (first == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keeper.survived = true;
		server = start("size=4M", NULL);
		if (write(pids[1], &server.pid, sizeof(server.pid)) < 0)
			_exit(EXIT_FAILURE);
		pause();
	}
	assert_int_equal(read(pids[0], &server.pid, sizeof(server.pid)), sizeof(server.pid));
	server.pidfd = (int)syscall(SYS_pidfd_open, server.pid, 0);
	server.err = memfd_create("none", MFD_CLOEXEC);
	assert_serves(&server);
	kill(first, SIGKILL);
	assert_int_equal(waitpid(first, &status, 0), first);
	/* Nobody but the server has them now. */
	for (unsigned int i = 0; i < keeper.nr_connections; i++) {
		close(keeper.connections[i].memory);
		close(keeper.connections[i].ring);
		close(keeper.connections[i].server);
	}
	write_page(0, 1);
	adopt(&server);
	write_page(1, 2);
	keeper_end(&server, SIGKILL);
	close(pids[0]);
	close(pids[1]);
	server = start(NULL);
	assert_serves(&server);
	check_page(0, 2);
	check_page(1, 1);
	assert_exit(keeper_end(&server, SIGTERM), 0);
	assert_nothing_left();
}

static void test_no_pool(void **state)
{
	const struct keeper_connection *c = &keeper.connections[0];
	struct json_object *result = NULL;
	char connection[64], control[128], pidfile[128];
	struct keeper_server server;

	snprintf(connection, sizeof(connection), "--connection=%d,%d,%d", c->memory, c->ring,
		 c->server);
	snprintf(control, sizeof(control), "control=%s", keeper.control);
	snprintf(pidfile, sizeof(pidfile), "--pidfile=%s", keeper.pidfile);
	server = keeper_run(&keeper,
			    (const char *[]){connection, pidfile, control, "size=4M", NULL});
	assert_serves(&server);
	assert_int_equal(keeper_ask(&keeper, "handover", &result), -EOPNOTSUPP);
	write_page(0, 1);
	keeper_end(&server, SIGKILL);
	assert_refused(
		keeper_run(&keeper, (const char *[]){connection, "size=4M", "lock=off", NULL}),
		"pool: missing: a connection that has been served");
}

/* A line of the server's /proc/PID/status, in KiB. */
static unsigned long status_of(const struct keeper_server *server, const char *key)
{
	char path[64], line[256];
	unsigned long value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)server->pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoul(line + strlen(key), NULL, 10);
	fclose(file);
	return value;
}

/* Locked from the start, it has no memory but what is needed: not all of a pool's addresses. */
static void test_locked(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	skip(); /* it lets nothing be locked */
#endif
	struct keeper_server server = start("size=8G", NULL);
	char text[1024];

	assert_serves(&server);
	write_page(0, 1);
	keeper_said(&server, text, sizeof(text));
	if (strstr(text, "memory is not locked") == NULL)
		assert_true(status_of(&server, "VmLck:") > 1024);
	else
		assert_int_equal(status_of(&server, "VmLck:"), 0);
	/* 2 MiB of table for each GiB, and less than that for all the rest. */
	assert_true(status_of(&server, "VmRSS:") < 64 << 10);
	assert_exit(keeper_end(&server, SIGTERM), 0);
	assert_nothing_left();
}

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_term),	   TEST(test_interrupt_private),
		TEST(test_keep),	   TEST(test_disconnect),
		TEST(test_broken),	   TEST(test_handover),
		TEST(test_bad_successors), TEST(test_lost_content),
		TEST(test_adopt),	   TEST(test_no_pool),
		STORE_TEST(test_store),	   STORE_TEST(test_first_store),
		TEST(test_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return keeper_guard(run_all);
}
