/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: the table of size classes: every payload fits its cell, and no other fits better. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "allocator/zspage.h"

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct zs_pool));
	zs_classes_init(*state);
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static double cost(const struct zs_class *c)
{
	return (double)c->pages * ZS_PAGE_SIZE / c->cells;
}

static void test_every_length_fits(void **state)
{
	struct zs_pool *pool = *state;

	for (size_t len = 1; len <= ZS_MAX_SMALL; len++) {
		const struct zs_class *c = zs_class_of(pool, len);

		assert_true(len + ZS_OWNER_SIZE <= c->cell);
		/* the class below, if there is one, is too small */
		assert_true(c == pool->classes || c[-1].cell < len + ZS_OWNER_SIZE);
	}
	assert_ptr_equal(zs_class_of(pool, ZS_PAGE_SIZE), &pool->classes[pool->raw_class]);
}

static void test_classes_are_cut_well(void **state)
{
	struct zs_pool *pool = *state;

	assert_true(pool->nr_classes <= ZS_MAX_CLASSES);
	assert_int_equal(pool->raw_class, pool->nr_classes - 1);
	for (uint32_t i = 0; i < pool->raw_class; i++) {
		const struct zs_class *c = &pool->classes[i];

		assert_int_equal(c->cell % ZS_STEP, 0);
		assert_true(c->pages >= 1 && c->pages <= ZS_MAX_PAGES);
		assert_int_equal(c->cells, (unsigned int)c->pages * ZS_PAGE_SIZE / c->cell);
		/* merged: a larger cell would not fit as often */
		assert_true((c->cell + ZS_STEP) * (uint32_t)c->cells >
			    (uint32_t)c->pages * ZS_PAGE_SIZE);
		/* a class that costs no less than the next one has no business being there */
		assert_true(i == 0 || cost(c - 1) < cost(c));
		/* waste at the end of a zspage: under one part in 32 of a small cell's zspage */
		assert_true(c->cell > 2048 || cost(c) < c->cell * (1 + 1.0 / 32));
	}
}

static void test_cell_numbers(void **state)
{
	struct zs_pool *pool = *state;
	struct zspage z = {.first = 77};

	for (uint32_t i = 0; i < pool->nr_classes; i++) {
		const struct zs_class *c = &pool->classes[i];

		for (unsigned int cell = 0; cell < c->cells; cell++)
			assert_int_equal(cell_of(c, &z, cell_ref(c, &z, cell)), cell);
	}
}

static void test_shared_limit(void **state)
{
	struct zs_pool *pool = *state;

	assert_true(cost(zs_class_of(pool, ZS_MAX_SHARED)) < ZS_PAGE_SIZE);
	assert_true(cost(zs_class_of(pool, ZS_MAX_SHARED + 1)) >= ZS_PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length_fits),
		cmocka_unit_test(test_classes_are_cut_well),
		cmocka_unit_test(test_cell_numbers),
		cmocka_unit_test(test_shared_limit),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
