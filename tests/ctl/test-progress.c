/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: progress is shown on a terminal, a second after the start, and nowhere else. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/os.h"
#include "ctl/progress.h"

static int standard_error;

static int keep(void **state)
{
	standard_error = dup(STDERR_FILENO);
	return standard_error < 0;
}

static int put_back(void **state)
{
	dup2(standard_error, STDERR_FILENO);
	return close(standard_error);
}

static void test_no_terminal(void **state)
{
	struct progress progress;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	progress_start(&progress);
	assert_true(progress.next == UINT64_MAX);
	assert_false(progress_due(&progress));
	progress_end(&progress);
	close(fds[1]);
	put_back(state);
	assert_int_equal(read(fds[0], fds, 1), 0);
	close(fds[0]);
	keep(state);
}

static void test_terminal(void **state)
{
	static const char expected[] = "\rzcramctl: 7 of 9\033[K\r\033[K";
	int master = posix_openpt(O_RDWR | O_NOCTTY), terminal;
	struct progress progress;
	char text[64] = "";
	uint64_t now = os_now();

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(terminal >= 0);
	dup2(terminal, STDERR_FILENO);
	progress_start(&progress);
	assert_true(progress.next >= now + 1000000000);
	progress_end(&progress); /* nothing was shown, and nothing is to be cleared */
	progress.next = now;
	assert_true(progress_due(&progress));
	progress_show(&progress, "%d of %d", 7, 9);
	assert_true(progress.next > now);
	progress_end(&progress);
	for (size_t at = 0; at < sizeof(expected) - 1;) {
		ssize_t n = read(master, text + at, sizeof(expected) - 1 - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
	assert_string_equal(text, expected);
	close(terminal);
	close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_terminal, keep, put_back),
		cmocka_unit_test_setup_teardown(test_terminal, keep, put_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
