/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: programs are run to their end, and how they ended and what they wrote is told. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/child.h"

static struct loop loop;

static int setup(void **state)
{
	return loop_open(&loop);
}

static int teardown(void **state)
{
	loop_close(&loop);
	return 0;
}

/* Run a shell's SCRIPT; what comes of it must be R, and *why TEXT. */
static void run_gives(const char *script, int r, const char *text)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	char *why = NULL;

	assert_int_equal(child_run(&loop, argv, true, &why), r);
	if (text == NULL)
		assert_null(why);
	else
		assert_string_equal(why, text);
	free(why);
}

static void test_run(void **state)
{
	const char *none[] = {"zcram-no-such-program", NULL};
	char *why = NULL;

	run_gives("exit 0", 0, NULL);
	run_gives("echo out; echo err >&2", 0, NULL);
	run_gives("exit 3", -EIO, "sh: exit status 3");
	run_gives("echo out; echo one >&2; echo '  two' >&2; exit 1", -EIO,
		  "sh: exit status 1: one two");
	run_gives("printf unfinished >&2; exit 1", -EIO, "sh: exit status 1: unfinished");
	run_gives("kill -KILL $$", -EIO, "sh: killed by signal 9 (Killed)");
	assert_int_equal(child_run(&loop, none, true, &why), -ENOENT);
	assert_string_equal(why, "zcram-no-such-program: cannot be run: No such file or directory");
	free(why);
}

/* More than a pipe holds, and than is kept. */
static void test_much_output(void **state)
{
	const char *argv[] = {"sh", "-c", "yes 0123456789 | head -c 300000 >&2; exit 1", NULL};
	char *why = NULL;

	assert_int_equal(child_run(&loop, argv, true, &why), -EIO);
	assert_true(strlen(why) > 400 && strlen(why) < 700);
	assert_memory_equal(why, "sh: exit status 1: 0123456789 0123", 34);
	free(why);
}

static void test_cancel(void **state)
{
	const char *argv[] = {"sh", "-c", "kill -TERM $PPID; exec sleep 1000", NULL};
	char *why = NULL;

	assert_int_equal(child_run(&loop, argv, true, &why), -ECANCELED);
	assert_int_equal(loop.stops, 1);
	free(why);
	/* One that is not to be canceled goes on. */
	why = NULL;
	argv[2] = "kill -TERM $PPID; exit 7";
	assert_int_equal(child_run(&loop, argv, false, &why), -EIO);
	assert_string_equal(why, "sh: exit status 7");
	free(why);
	/* Its end may have been seen before what it sent. */
	while (loop.stops < 2)
		loop_turn(&loop, UINT64_MAX);
}

static int answer(void *opaque)
{
	return *(const int *)opaque;
}

static int exits;

static void on_exit_count(struct child *child, void *opaque)
{
	assert_ptr_equal(opaque, &exits);
	assert_false(child->running);
	exits++;
}

static void test_function(void **state)
{
	int status = 42;
	struct child_job job = {.run = answer, .opaque = &status, .output = -1};
	struct child child;

	assert_int_equal(child_start(&child, &loop, &job), 0);
	child.on_exit = on_exit_count;
	child.opaque = &exits;
	assert_true(child.running);
	while (child.running)
		loop_turn(&loop, UINT64_MAX);
	assert_int_equal(child.code, CLD_EXITED);
	assert_int_equal(child.status, 42);
	assert_false(child_succeeded(&child));
	assert_int_equal(exits, 1);
}

static unsigned int count_descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(list);
	while (readdir(list) != NULL)
		n++;
	closedir(list);
	return n;
}

/* To execute a program is not waited for; that it is, or why not, is an event. */
static void test_program(void **state)
{
	const char *sleep[] = {"sleep", "1000", NULL};
	const char *none[] = {"zcram-no-such-program", NULL};
	struct child_job job = {.argv = sleep, .output = -1};
	unsigned int before = count_descriptors();
	struct child child;

	exits = 0;
	assert_int_equal(child_start(&child, &loop, &job), 0);
	assert_false(child.executed);
	while (!child.executed)
		loop_turn(&loop, UINT64_MAX);
	assert_true(child.running);
	child_signal(&child, SIGKILL);
	while (child.running)
		loop_turn(&loop, UINT64_MAX);
	assert_int_equal(child.code, CLD_KILLED);
	assert_int_equal(child.error, 0);

	job.argv = none;
	assert_int_equal(child_start(&child, &loop, &job), 0);
	child.on_exit = on_exit_count;
	child.opaque = &exits;
	while (child.running)
		loop_turn(&loop, UINT64_MAX);
	assert_int_equal(child.error, -ENOENT);
	assert_true(child.executed);
	assert_false(child_succeeded(&child));
	assert_int_equal(exits, 1);
	assert_int_equal(count_descriptors(), before);
}

static char lines[64];

static void on_line(const char *line)
{
	strcat(strcat(lines, line), ";");
}

/* A server has a session, a stack and no core dump of its own, signals as usual, and its output read. */
static void test_long_lived(void **state)
{
	static const char script[] =
		"ulimit -s; ulimit -c; [ $(ps -o sid= -p $$) = $$ ] && echo session;"
		"grep -q 'SigBlk:.0000000000000000' /proc/self/status && echo signals";
	const char *argv[] = {"sh", "-c", script, NULL};
	struct child_job job = {.argv = argv, .long_lived = true};
	struct output output;
	struct child child;
	int pipe[2];

	assert_int_equal(pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(output_open(&output, &loop, pipe[0], on_line), 0);
	job.output = pipe[1];
	assert_int_equal(child_start(&child, &loop, &job), 0);
	close(pipe[1]);
	while (child.running)
		loop_turn(&loop, UINT64_MAX);
	output_close(&output);
	assert_true(child_succeeded(&child));
	assert_string_equal(lines, "512;0;session;signals;");
}

static void test_last_line(void **state)
{
	static const struct {
		const char *written, *last, *all;
	} cases[] = {
		{"", "", ""},
		{"one\n\n\n", "one", "one"},
		{"one\ntwo", "two", "one two"},
		{"x: error: bad\nSee --help.\n", "x: error: bad", "x: error: bad See --help."},
		{"x: error: bad\nx: error: worse\nSee\n", "x: error: worse",
		 "x: error: bad x: error: worse See"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].written);
		struct output output;
		int pipe[2];

		assert_int_equal(pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
		assert_int_equal(output_open(&output, &loop, pipe[0], NULL), 0);
		assert_int_equal(write(pipe[1], cases[i].written, len), len);
		close(pipe[1]);
		output_close(&output);
		assert_string_equal(output.last, cases[i].last);
		assert_string_equal(output.all, cases[i].all);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_much_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_function, setup, teardown),
		cmocka_unit_test_setup_teardown(test_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lived, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_line, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
