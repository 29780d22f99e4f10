/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: whichever step fails, exactly those that were done are undone, the last first. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "daemon/steps.h"
#include "tests/lib/rng.h"

#define COUNT	 6
#define NOBODY	 (-1)
#define LOG_SIZE 256

/* Made steps that write down what is called: 'a'... for starts, 'A'... for stops. */
struct made {
	char log[LOG_SIZE];
	char entered[LOG_SIZE];
	int failing;   /* the step that cannot start */
	int unstopped; /* bits of the steps that cannot stop */
	bool silent;   /* it does not say why */
};

static struct made *current;

static void note(char log[LOG_SIZE], char what)
{
	size_t len = strlen(log);

	assert_true(len + 1 < LOG_SIZE);
	log[len] = what;
	log[len + 1] = '\0';
}

static int start(struct made *made, int which, char **why)
{
	note(made->log, (char)('a' + which));
	if (made->failing != which)
		return 0;
	if (!made->silent)
		*why = strdup("it was made so");
	return -EPIPE - which;
}

static int stop(struct made *made, int which)
{
	note(made->log, (char)('A' + which));
	return made->unstopped & (1 << which) ? -ELOOP - which : 0;
}

#define MADE_STEP(n)                                    \
	static int start_##n(void *context, char **why) \
	{                                               \
		return start(context, n, why);          \
	}                                               \
	static int stop_##n(void *context)              \
	{                                               \
		return stop(context, n);                \
	}

MADE_STEP(0)
MADE_STEP(1)
MADE_STEP(3)
MADE_STEP(4)
MADE_STEP(5)

static int start_2(void *context, char **why)
{
	return start(context, 2, why);
}

/* The third has nothing to undo. */
static const struct step table[COUNT] = {
	{"zero", "0", start_0, stop_0}, {"one", "1", start_1, stop_1},
	{"two", "2", start_2, NULL},	{"three", "3", start_3, stop_3},
	{"four", "4", start_4, stop_4}, {"five", "5", start_5, stop_5},
};

static void entered(const struct step *step, bool starting)
{
	note(current->entered, (char)((starting ? 'a' : 'A') + (step - table)));
}

static struct steps steps_of(struct made *made)
{
	current = made;
	return (struct steps){.table = table, .count = COUNT, .context = made, .entered = entered};
}

/* What must have been called when DONE steps were done, and stopped in reverse. */
static void add_stops(char *log, int done)
{
	for (int i = done - 1; i >= 0; i--) {
		if (table[i].stop != NULL)
			note(log, (char)('A' + i));
	}
}

static void fails_at(int failing, bool silent, int unstopped)
{
	struct made made = {.failing = failing, .silent = silent, .unstopped = unstopped};
	struct steps steps = steps_of(&made);
	char expected[LOG_SIZE] = "", *why;
	const char *failed;

	assert_int_equal(steps_start(&steps, &failed, &why), -EPIPE - failing);
	assert_string_equal(failed, table[failing].name);
	if (silent)
		assert_null(why);
	else
		assert_string_equal(why, "it was made so");
	free(why);
	for (int i = 0; i <= failing; i++)
		note(expected, (char)('a' + i));
	add_stops(expected, failing);
	assert_string_equal(made.log, expected);
	assert_string_equal(made.entered, expected);
	assert_int_equal(steps.done, 0);
	/* There is nothing more to undo. */
	assert_int_equal(steps_stop(&steps), 0);
	assert_string_equal(made.log, expected);
}

static void test_each_fails(void **state)
{
	for (int failing = 0; failing < COUNT; failing++) {
		fails_at(failing, false, 0);
		fails_at(failing, true, 0);
	}
}

static void test_any_fails(void **state)
{
	struct rng rng = rng_make(test_seed(0));

	for (uint64_t i = test_ops(10000); i > 0; i--)
		fails_at((int)rng_below(&rng, COUNT), rng_chance(&rng, 50),
			 (int)rng_below(&rng, 1 << COUNT));
}

static void test_all_succeed(void **state)
{
	struct made made = {.failing = NOBODY};
	struct steps steps = steps_of(&made);
	const char *failed = "untouched";
	char *why = NULL;

	assert_int_equal(steps_start(&steps, &failed, &why), 0);
	assert_string_equal(made.log, "abcdef");
	assert_int_equal(steps.done, COUNT);
	assert_string_equal(failed, "untouched");
	assert_null(why);
	assert_int_equal(steps_stop(&steps), 0);
	assert_string_equal(made.log, "abcdefFEDBA");
	assert_string_equal(made.entered, "abcdefFEDBA");
}

/* The first error is the one that is returned; the others are undone all the same. */
static void test_stops_fail(void **state)
{
	struct made made = {.failing = NOBODY, .unstopped = 1 << 4 | 1 << 1};
	struct steps steps = steps_of(&made);
	const char *failed;
	char *why;

	assert_int_equal(steps_start(&steps, &failed, &why), 0);
	assert_int_equal(steps_stop(&steps), -ELOOP - 4);
	assert_string_equal(made.log, "abcdefFEDBA");
	assert_int_equal(steps.done, 0);
}

static void test_none(void **state)
{
	struct made made = {.failing = NOBODY};
	struct steps steps = {.table = table, .count = 0, .context = &made};
	const char *failed;
	char *why;

	assert_int_equal(steps_start(&steps, &failed, &why), 0);
	assert_int_equal(steps_stop(&steps), 0);
	assert_string_equal(made.log, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_fails),  cmocka_unit_test(test_any_fails),
		cmocka_unit_test(test_all_succeed), cmocka_unit_test(test_stops_fail),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
