/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: the bitmap's ranges, counts and runs, against one bool a bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/bitmap.h"
#include "tests/lib/rng.h"

#define BITS 512

struct plain {
	bool bit[BITS];
};

static void set_range(struct plain *p, unsigned int first, unsigned int count, bool value)
{
	for (unsigned int i = 0; i < count; i++)
		p->bit[first + i] = value;
}

static unsigned int run(const struct plain *p, bool value, unsigned int first, unsigned int end)
{
	unsigned int n = 0;

	while (first + n < end && p->bit[first + n] == value)
		n++;
	return n;
}

static int find_run(const struct plain *p, unsigned int count)
{
	for (unsigned int i = 0; i + count <= BITS; i++)
		if (run(p, true, i, i + count) == count)
			return (int)i;
	return -1;
}

static void compare(const struct plain *p, const uint64_t *map, struct rng *rng)
{
	unsigned int first = (unsigned int)rng_below(rng, BITS);
	unsigned int count = (unsigned int)rng_below(rng, BITS - first + 1), ones = 0;

	for (unsigned int i = 0; i < BITS; i++)
		assert_int_equal(bitmap_test(map, i), p->bit[i]);
	for (unsigned int i = 0; i < count; i++)
		ones += p->bit[first + i];
	assert_int_equal(bitmap_count_range(map, first, count), ones);
	assert_int_equal(bitmap_run(map, true, first, first + count),
			 run(p, true, first, first + count));
	assert_int_equal(bitmap_run(map, false, first, first + count),
			 run(p, false, first, first + count));
	count = 1 + (unsigned int)rng_below(rng, 40);
	assert_int_equal(bitmap_find_run(map, BITS, count), find_run(p, count));
}

static void test_against_bools(void **state)
{
	struct rng rng = rng_make(test_seed(11));
	uint64_t map[BITS / 64] = {0};
	struct plain plain = {0};

	for (int i = 0; i < 20000; i++) {
		unsigned int first = (unsigned int)rng_below(&rng, BITS);
		unsigned int most = i % 7 ? 24 : BITS;
		unsigned int count = (unsigned int)rng_below(&rng, most);

		if (count > BITS - first)
			count = BITS - first;
		if (rng_chance(&rng, 50)) {
			bitmap_set_range(map, first, count);
			set_range(&plain, first, count, true);
		} else {
			bitmap_clear_range(map, first, count);
			set_range(&plain, first, count, false);
		}
		compare(&plain, map, &rng);
	}
}

static void test_edges(void **state)
{
	uint64_t map[BITS / 64] = {0};

	assert_int_equal(bitmap_find_run(map, BITS, 1), -1);
	bitmap_set_range(map, 0, BITS);
	assert_int_equal(bitmap_find_run(map, BITS, BITS), 0);
	assert_int_equal(bitmap_count_range(map, 0, BITS), BITS);
	bitmap_clear_range(map, 63, 2);
	assert_int_equal(bitmap_run(map, true, 0, BITS), 63);
	assert_int_equal(bitmap_run(map, false, 63, BITS), 2);
	assert_int_equal(bitmap_find_run(map, BITS, 64), 65);
	bitmap_set_range(map, 100, 0);
	bitmap_clear_range(map, BITS, 0);
	assert_int_equal(bitmap_count_range(map, 0, BITS), BITS - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_bools),
		cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
