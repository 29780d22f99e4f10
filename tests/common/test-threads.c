/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: threads that were started ahead are the ones that begin, with all signals blocked, and
 * those that are not needed end.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>

#include "common/threads.h"

/* What a thread was when it began. */
struct seen {
	pthread_t self;
	sigset_t mask;
};

static unsigned int count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned int n = 0;

	assert_non_null(tasks);
	while (readdir(tasks) != NULL)
		n++;
	closedir(tasks);
	return n - 2; /* . and .. */
}

/*
 * The kernel lists a thread for a moment after it has been joined. That there come to be as many is
 * waited for; else the test never ends.
 */
static void await_threads(unsigned int n)
{
	while (count_threads() != n)
		sched_yield();
}

static void *look(void *opaque)
{
	struct seen *seen = opaque;

	seen->self = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
	return seen;
}

static void begin_and_join(struct seen *seen)
{
	pthread_t thread;
	void *result;

	assert_int_equal(thread_begin(&thread, look, seen), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, seen);
	assert_true(pthread_equal(thread, seen->self));
}

static void test_none(void **state)
{
	struct seen seen;

	threads_dismiss();
	begin_and_join(&seen);
	assert_false(sigismember(&seen.mask, SIGUSR1));
}

static void test_ahead(void **state)
{
	unsigned int before = count_threads();
	struct seen seen[4];
	sigset_t mask;

	assert_int_equal(threads_ahead(3), 0);
	assert_int_equal(count_threads(), before + 3);
	for (unsigned int i = 0; i < 3; i++) {
		begin_and_join(&seen[i]);
		assert_true(sigismember(&seen[i].mask, SIGUSR1));
		await_threads(before + 2 - i);
	}
	/* One more than were there. */
	begin_and_join(&seen[3]);
	assert_false(sigismember(&seen[3].mask, SIGUSR1));
	/* The caller's own is as it was. */
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGUSR1));
	await_threads(before);
}

static void test_again(void **state)
{
	unsigned int before = count_threads();
	struct seen seen;

	assert_int_equal(threads_ahead(0), 0);
	assert_int_equal(count_threads(), before);
	assert_int_equal(threads_ahead(1), 0);
	assert_int_equal(threads_ahead(2), 0);
	assert_int_equal(count_threads(), before + 3);
	begin_and_join(&seen);
	threads_dismiss();
	await_threads(before);
	begin_and_join(&seen);
	assert_false(sigismember(&seen.mask, SIGUSR1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
