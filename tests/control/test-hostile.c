/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: clients that are slow, deaf, mute, too many, too long, or not allowed, and what
 * stands where the socket is to be: each is dealt with, and others are served meanwhile.
 */
#include <sys/wait.h>

#include "control/client.h"
#include "tests/control/serving.h"

#define IMPATIENT 50 /* ms */

/* By the linker: nothing to accept a client with, so many times. */
static int accepts_to_fail, accepts;

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	__atomic_add_fetch(&accepts, 1, __ATOMIC_SEQ_CST);
	if (__atomic_sub_fetch(&accepts_to_fail, 1, __ATOMIC_SEQ_CST) >= 0) {
		errno = EMFILE;
		return -1;
	}
	return __real_accept4(fd, address, size, flags);
}

/* Slow. */

static void test_half_request(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int half = raw_connect(), other = raw_connect();

	raw_print(half, "{\"version\":1,");
	assert_served(other);
	raw_print(half, "\"command\":");
	assert_served(other);
	raw_print(half, "\"stat\"}\n{\"vers");
	json_object_put(expect_result(half));
	raw_print(half, "ion\":1,\"command\":\"stat\"}\n");
	json_object_put(expect_result(half));
	/* And one that stays half for ever harms nobody, gone or not. */
	raw_print(half, "{\"version\":1,");
	assert_served(other);
	close(half);
	assert_served(other);
	close(other);
	serving_end(&serving);
}

static void test_half_request_is_dropped(void **state)
{
	struct serving serving = serving_begin(IMPATIENT);
	int half = raw_connect(), idle = raw_connect(), behind = raw_connect();

	raw_print(half, "{");
	assert_closed(half);
	/* So is one behind a whole one. */
	raw_print(behind, STAT "{");
	json_object_put(expect_result(behind));
	assert_closed(behind);
	/* Who has said nothing at all may stay. */
	assert_served(idle);
	close(half);
	close(behind);
	close(idle);
	serving_end(&serving);
}

/* The last word, then no more: what was asked is answered. */
static void test_half_close(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int fd = raw_connect();

	raw_print(fd, STAT STAT);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	json_object_put(expect_result(fd));
	json_object_put(expect_result(fd));
	assert_closed(fd);
	close(fd);
	serving_end(&serving);
}

/*
 * Ask until the server takes no more, for it cannot get rid of its answers. The last request may be
 * half sent; returns how many are whole.
 */
static int ask_without_reading(int fd)
{
	size_t len = strlen(STAT), done = 0;

	for (;;) {
		size_t at = done % len;
		ssize_t n = send(fd, &STAT[at], len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			return (int)(done / len);
		}
		done += (size_t)n;
	}
}

static void test_never_reads(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int deaf = raw_connect(), other = raw_connect(), asked;

	asked = ask_without_reading(deaf);
	assert_served(other);
	/* It can still change its mind. */
	for (int i = 0; i < asked; i++)
		json_object_put(expect_result(deaf));
	assert_served(other);
	close(deaf);
	/* Or go away with answers on their way. */
	deaf = raw_connect();
	ask_without_reading(deaf);
	close(deaf);
	assert_served(other);
	close(other);
	serving_end(&serving);
}

static void test_never_reads_is_dropped(void **state)
{
	struct serving serving = serving_begin(IMPATIENT);
	int deaf = raw_connect(), other = raw_connect();

	/* No more than its answers' buffer holds, so that it is the answers that wait. */
	for (int i = 0; i < 1000; i++) {
		if (send(deaf, STAT, strlen(STAT), MSG_NOSIGNAL) < 0)
			break;
	}
	raw_wait_closed(deaf);
	assert_served(other);
	close(deaf);
	close(other);
	serving_end(&serving);
}

/* Many. */

static void test_too_many(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int fds[CONTROL_CLIENTS_MAX], more;

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = raw_connect();
		assert_served(fds[i]);
	}
	more = raw_connect();
	expect_error(more, EAGAIN, "16 clients are connected");
	assert_closed(more);
	close(more);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		assert_served(fds[i]);
	/* One goes, and there is room again. */
	close(fds[3]);
	fds[3] = raw_connect();
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		assert_served(fds[i]);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	serving_end(&serving);
}

/* All of them hang, each in its way, and are dropped; then the next one is served. */
static void test_all_hang(void **state)
{
	struct serving serving = serving_begin(IMPATIENT);
	int fds[CONTROL_CLIENTS_MAX], fd;

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = raw_connect();
		raw_print(fds[i], i % 2 ? "{" : STAT "{");
	}
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		raw_wait_closed(fds[i]);
	fd = raw_connect();
	assert_served(fd);
	close(fd);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	serving_end(&serving);
}

static void test_nothing_to_accept_with(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int first = raw_connect(), fd;

	assert_served(first);
	__atomic_store_n(&accepts, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&accepts_to_fail, 1000000, __ATOMIC_SEQ_CST);
	fd = raw_connect();
	raw_print(fd, STAT);
	/* Those who are connected are served, and it does not ask again each time. */
	for (int i = 0; i < 1000; i++)
		assert_served(first);
	assert_in_range(__atomic_load_n(&accepts, __ATOMIC_SEQ_CST), 1, 500);
	__atomic_store_n(&accepts_to_fail, 0, __ATOMIC_SEQ_CST);
	json_object_put(expect_result(fd));
	close(first);
	close(fd);
	serving_end(&serving);
}

/* Long, and wrong. */

static void test_longest_line(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	char *line = malloc(CONTROL_REQUEST_MAX + 1);
	int fd = raw_connect();

	assert_non_null(line);
	memset(line, ' ', CONTROL_REQUEST_MAX);
	memcpy(line, STAT, strlen(STAT) - 1);
	line[CONTROL_REQUEST_MAX] = '\n';
	raw_send(fd, line, CONTROL_REQUEST_MAX + 1);
	json_object_put(expect_result(fd));
	/* A byte more, and it is not even waited for its end. */
	line[CONTROL_REQUEST_MAX] = ' ';
	raw_send(fd, line, CONTROL_REQUEST_MAX + 1);
	expect_error(fd, EMSGSIZE, "too long: a line may have 65536 bytes");
	assert_closed(fd);
	free(line);
	close(fd);
	serving_end(&serving);
}

static void test_wrong_lines(void **state)
{
	static const char nul[] = "{\"version\":1,\"command\":\"stat\"\0}\n";
	struct serving serving = serving_begin(PATIENT);
	char deep[10001];
	int fd = raw_connect();

	raw_send(fd, nul, sizeof(nul) - 1);
	expect_error(fd, EINVAL, "NUL byte");
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\n';
	raw_send(fd, deep, sizeof(deep));
	expect_error(fd, EINVAL, "nested too deeply");
	raw_print(fd, "\xff\xfe\n\n \n");
	expect_error(fd, EINVAL, "not JSON");
	expect_error(fd, EINVAL, "not JSON");
	expect_error(fd, EINVAL, "not JSON");
	raw_print(fd, "GET / HTTP/1.1\r\n");
	expect_error(fd, EINVAL, "not JSON");
	assert_served(fd);
	close(fd);
	serving_end(&serving);
}

/* Not allowed. */

/* As another user: connects, and returns what there is to read, or the errno. */
static void child_of_nobody(int out)
{
	struct sockaddr_un address = fixture_address();
	char text[512] = "";
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (setgid(65534) < 0 || setuid(65534) < 0)
		snprintf(text, sizeof(text), "no other user: %s", strerror(errno));
	else if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		snprintf(text, sizeof(text), "connect: %s", strerror(errno));
	else if (recv(fd, text, sizeof(text) - 1, MSG_WAITALL) < 0)
		snprintf(text, sizeof(text), "recv: %s", strerror(errno));
	_exit(write(out, text, strlen(text)) < 0);
}

static void assert_nobody_gets(const char *expected)
{
	char text[512] = "";
	size_t len = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_of_nobody(ends[1]);
	close(ends[1]);
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (strstr(text, expected) == NULL)
		fail_msg("'%s' is not in '%s'", expected, text);
}

static void test_other_user(void **state)
{
	struct serving serving;
	int fd;

	if (geteuid() != 0)
		skip();
	serving = serving_begin(PATIENT);
	assert_int_equal(chmod(fixture_dir, 0755), 0);
	assert_nobody_gets("connect: Permission denied");
	/* Were the file open to all, the peer would still be looked at. */
	assert_int_equal(chmod(fixture_path, 0666), 0);
	assert_nobody_gets(
		"{\"version\":1,\"error\":{\"errno\":\"EPERM\",\"message\":\"not allowed: "
		"only root and the server's own user are\"}}\n");
	fd = raw_connect();
	assert_served(fd);
	close(fd);
	serving_end(&serving);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_request),
		cmocka_unit_test(test_half_request_is_dropped),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_never_reads),
		cmocka_unit_test(test_never_reads_is_dropped),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_all_hang),
		cmocka_unit_test(test_nothing_to_accept_with),
		cmocka_unit_test(test_longest_line),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_other_user),
	};

	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
