/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: a server that dies now and then is always brought back, one that dies of all it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/deaths.h"

#define EACH (DEATHS_SERVICE / DEATHS_MAX)

/* How many deaths after SERVED each are taken until it is enough; 0: more than COUNT. */
static unsigned int taken(struct deaths *deaths, uint64_t served, unsigned int count)
{
	for (unsigned int i = 1; i <= count; i++) {
		if (deaths_add(deaths, served))
			return i;
	}
	return 0;
}

static void test_at_once(void **state)
{
	struct deaths deaths = {0};

	assert_int_equal(taken(&deaths, 0, 1000), DEATHS_MAX);
	/* And so it stays. */
	assert_int_equal(taken(&deaths, 0, 1000), 1);
}

static void test_after_some_service(void **state)
{
	struct deaths deaths = {0};

	assert_int_equal(taken(&deaths, EACH - 1, 1000), DEATHS_MAX);
	deaths = (struct deaths){0};
	assert_int_equal(taken(&deaths, EACH, 100000), 0);
	/* Those long ago do not count: what has served well may begin to fail. */
	assert_int_equal(taken(&deaths, 0, 1000), 1);
	deaths = (struct deaths){0};
	assert_int_equal(taken(&deaths, UINT64_MAX, 100000), 0);
	assert_int_equal(taken(&deaths, 0, 1000), DEATHS_MAX);
}

/* One that has served long in between is forgotten after as many others. */
static void test_one_good(void **state)
{
	struct deaths deaths = {0};

	assert_int_equal(taken(&deaths, 0, DEATHS_MAX - 1), 0);
	assert_false(deaths_add(&deaths, UINT64_MAX));
	assert_int_equal(taken(&deaths, 0, 1000), DEATHS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_after_some_service),
		cmocka_unit_test(test_one_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
