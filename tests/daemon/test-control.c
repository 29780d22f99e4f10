/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zcramd's control socket, answered from its events: status at any time, an upgrade when it
 * is done, whoever else asks, has gone, is slow, or talks nonsense; and calls to a socket from the same
 * events.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "daemon/call.h"
#include "daemon/control.h"
#include "tests/control/fixture.h"

#define STATUS	"{\"version\":1,\"command\":\"status\"}\n"
#define UPGRADE "{\"version\":1,\"command\":\"upgrade\"}\n"
#define CLIENTS 8

static struct loop loop;
static struct zcramd_control *control;
static int upgrades, upgrade_result;

static struct json_object *status(void *opaque)
{
	assert_ptr_equal(opaque, &loop);
	return json_tokener_parse("{\"state\":\"serving\"}");
}

static int upgrade(void *opaque, const char **ret_why)
{
	assert_ptr_equal(opaque, &loop);
	*ret_why = "not now";
	upgrades += upgrade_result == 0;
	return upgrade_result;
}

static void open_control(uint64_t patience)
{
	struct zcramd_control_options options = {
		.path = fixture_path,
		.status = status,
		.upgrade = upgrade,
		.opaque = &loop,
		.patience = patience,
	};
	char *why = NULL;

	upgrades = upgrade_result = 0;
	assert_int_equal(loop_open(&loop), 0);
	if (zcramd_control_open(&options, &loop, &control, &why) < 0)
		fail_msg("%s", why);
}

static int setup(void **state)
{
	open_control(UINT64_C(3600) * USEC_PER_SEC);
	return 0;
}

static int teardown(void **state)
{
	zcramd_control_close(control);
	loop_close(&loop);
	return access(fixture_path, F_OK) == 0 ? -1 : 0;
}

/* Handle all events that there are. */
static void settle(void)
{
	while (sd_event_run(loop.event, 0) > 0)
		;
}

/* What has come for FD, after all events; the line to be freed, NULL: it is closed. */
static char *line_of(int fd)
{
	settle();
	return raw_line(fd);
}

static bool has_nothing(int fd)
{
	char byte;

	settle();
	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

static void expect(int fd, const char *line)
{
	char *got = line_of(fd);

	if (line == NULL)
		assert_null(got);
	else if (got == NULL)
		fail_msg("closed instead of %s", line);
	else
		assert_string_equal(got, line);
	free(got);
}

static void expect_status(int fd)
{
	expect(fd, "{\"version\":1,\"result\":{\"state\":\"serving\"}}");
}

/* An error with this name, and TEXT in its message. */
static void expect_error(int fd, const char *name, const char *text)
{
	char *got = line_of(fd);

	assert_non_null(got);
	if (strstr(got, name) == NULL || strstr(got, text) == NULL ||
	    strstr(got, "\"error\"") == NULL)
		fail_msg("no %s with '%s': %s", name, text, got);
	free(got);
}

static void test_status(void **state)
{
	int fd = raw_connect(), other = raw_connect();
	struct stat st;

	assert_int_equal(stat(fixture_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	raw_print(fd, STATUS);
	expect_status(fd);
	/* Several at once, and one in pieces. */
	raw_print(fd, STATUS STATUS "{\"version\":1,\"comm");
	raw_print(other, STATUS);
	expect_status(fd);
	expect_status(fd);
	assert_true(has_nothing(fd));
	expect_status(other);
	raw_print(fd, "and\":\"status\",\"arguments\":{}}\n");
	expect_status(fd);
	close(fd);
	raw_print(other, STATUS);
	expect_status(other);
	close(other);
}

static void test_nonsense(void **state)
{
	int fd = raw_connect();

	raw_print(fd, "what?\n");
	expect_error(fd, "EINVAL", "request: not JSON");
	raw_print(fd, "{\"version\":1,\"command\":\"stat\"}\n");
	expect_error(fd, "EOPNOTSUPP", "command stat: unknown: give status or upgrade");
	raw_print(fd, "{\"version\":1}\n");
	expect_error(fd, "EINVAL", "command: missing: give status or upgrade");
	raw_print(fd, "{\"version\":2,\"command\":\"status\"}\n");
	expect_error(fd, "EPROTONOSUPPORT", "version 2");
	raw_print(fd, "{\"version\":1,\"command\":\"upgrade\",\"arguments\":{\"to\":1}}\n");
	expect_error(fd, "EINVAL", "argument to: unknown: this command takes none");
	assert_int_equal(upgrades, 0);
	raw_print(fd, STATUS);
	expect_status(fd);
	close(fd);
}

/* No line may be as long as this: it is told so, and closed. */
static void test_too_long(void **state)
{
	int fd = raw_connect();
	char *line = malloc(CONTROL_REQUEST_MAX + 1);
	size_t sent = 0;

	assert_non_null(line);
	memset(line, ' ', CONTROL_REQUEST_MAX + 1);
	while (sent < CONTROL_REQUEST_MAX + 1) {
		ssize_t n = send(fd, line + sent, CONTROL_REQUEST_MAX + 1 - sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(n > 0 || errno == EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		settle();
	}
	expect_error(fd, "EMSGSIZE", "too long");
	expect(fd, NULL);
	free(line);
	close(fd);
}

static void test_upgrade(void **state)
{
	int fd = raw_connect(), other = raw_connect();

	raw_print(fd, UPGRADE STATUS);
	assert_true(has_nothing(fd));
	assert_int_equal(upgrades, 1);
	/* Others are answered meanwhile, and told of another upgrade what the callback says. */
	raw_print(other, STATUS);
	expect_status(other);
	upgrade_result = -EBUSY;
	raw_print(other, UPGRADE);
	expect_error(other, "EBUSY", "upgrade: not now");
	zcramd_control_upgraded(control, json_tokener_parse("{\"pause-us\":7}"), 0, NULL);
	expect(fd, "{\"version\":1,\"result\":{\"pause-us\":7}}");
	/* What was behind it has waited. */
	expect_status(fd);
	/* One that fails, with a reason and without. */
	upgrade_result = 0;
	raw_print(fd, UPGRADE);
	assert_true(has_nothing(fd));
	zcramd_control_upgraded(control, NULL, -EIO, "the new server has ended: why");
	expect_error(fd, "EIO", "upgrade: the new server has ended: why");
	raw_print(fd, UPGRADE);
	assert_true(has_nothing(fd));
	zcramd_control_upgraded(control, NULL, -ENOMEM, NULL);
	expect_error(fd, "ENOMEM", "upgrade: Cannot allocate memory");
	assert_int_equal(upgrades, 3);
	close(fd);
	close(other);
}

/* Who asked has gone; there is nobody to tell. And where there is no socket at all. */
static void test_asker_gone(void **state)
{
	int fd = raw_connect(), other;

	raw_print(fd, UPGRADE);
	assert_true(has_nothing(fd));
	close(fd);
	settle();
	/* In the same place. */
	other = raw_connect();
	raw_print(other, STATUS);
	expect_status(other);
	zcramd_control_upgraded(control, json_tokener_parse("{}"), 0, NULL);
	assert_true(has_nothing(other));
	zcramd_control_upgraded(NULL, json_tokener_parse("{}"), 0, NULL);
	close(other);
}

static void test_many(void **state)
{
	int fds[CLIENTS], fd;

	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = raw_connect();
		raw_print(fds[i], STATUS);
		expect_status(fds[i]);
	}
	fd = raw_connect();
	expect_error(fd, "EAGAIN", "8 clients are connected");
	expect(fd, NULL);
	close(fd);
	close(fds[3]);
	settle();
	fd = raw_connect();
	raw_print(fd, STATUS);
	expect_status(fd);
	close(fd);
	for (int i = 0; i < CLIENTS; i++)
		if (i != 3)
			close(fds[i]);
}

/* One that is half-way with its request, and one that does not take its answer; one at rest stays. */
static void test_slow(void **state)
{
	int half, resting;

	teardown(NULL);
	open_control(USEC_PER_SEC / 100);
	resting = raw_connect();
	half = raw_connect();
	raw_print(half, "{");
	while (sd_event_run(loop.event, UINT64_MAX) >= 0) {
		char byte;

		if (recv(half, &byte, 1, MSG_DONTWAIT) == 0)
			break;
	}
	raw_print(resting, STATUS);
	expect_status(resting);
	close(resting);
	close(half);
}

/* A socket that somebody else serves is left alone, and one that nobody serves is replaced. */
static void test_in_the_way(void **state)
{
	struct zcramd_control_options options = {.path = fixture_path, .status = status};
	struct zcramd_control *second = NULL;
	char *why = NULL;

	assert_int_equal(zcramd_control_open(&options, &loop, &second, &why), -EADDRINUSE);
	assert_non_null(strstr(why, fixture_path));
	free(why);
}

/* Calls, to a process that answers each with what the test says. */

static pid_t answer_with(const char *answer, size_t len)
{
	struct sockaddr_un address = fixture_address();
	int listener;
	pid_t pid;

	teardown(NULL);
	assert_int_equal(loop_open(&loop), 0);
	control = NULL;
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = accept(listener, NULL, NULL);
		char line[256];

		if (recv(fd, line, sizeof(line), 0) < 0)
			_exit(EXIT_FAILURE);
		if (answer != NULL && send(fd, answer, len, MSG_NOSIGNAL) < 0)
			_exit(EXIT_FAILURE);
		if (answer == NULL)
			pause();
		_exit(EXIT_SUCCESS);
	}
	close(listener);
	return pid;
}

static void call_gives(const char *answer, int expected)
{
	pid_t pid = answer_with(answer, answer ? strlen(answer) : 0);
	struct json_object *result = NULL;
	char *message = NULL;
	int r = call(&loop, fixture_path, 0, "stat", answer ? UINT64_C(3600) * USEC_PER_SEC : 1000,
		     &result, &message);

	assert_int_equal(r, expected);
	json_object_put(result);
	free(message);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	unlink(fixture_path);
}

static void test_call(void **state)
{
	static const char answer[] = "{\"version\":1,\"result\":{\"version\":\"9.8\"}}\n";
	char version[CALL_VERSION_SIZE];
	struct json_object *result = NULL;
	char *message = NULL;
	pid_t pid;

	call_gives("{\"version\":1,\"result\":{}}\n", 0);
	call_gives("{\"version\":1,\"error\":{\"errno\":\"EBUSY\",\"message\":\"one\"}}\n", -EBUSY);
	call_gives("nonsense\n", -EPROTO);
	call_gives("", -ECONNRESET);
	call_gives(NULL, -ETIMEDOUT);
	assert_int_equal(call(&loop, fixture_path, 0, "stat", 1000, &result, &message), -ENOENT);
	/* Whoever serves it is not the one that is meant. */
	pid = answer_with(NULL, 0);
	assert_int_equal(call(&loop, fixture_path, pid, "stat", 1000, &result, &message),
			 -ECONNREFUSED);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	unlink(fixture_path);
	call_version(&loop, fixture_path, 1000, version);
	assert_string_equal(version, "");
	pid = answer_with(answer, strlen(answer));
	call_version(&loop, fixture_path, UINT64_C(3600) * USEC_PER_SEC, version);
	assert_string_equal(version, "9.8");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	unlink(fixture_path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status),  TEST(test_nonsense),   TEST(test_too_long),
		TEST(test_upgrade), TEST(test_asker_gone), TEST(test_many),
		TEST(test_slow),    TEST(test_in_the_way), TEST(test_call),
	};

	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
