/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: runs of pages: lowest first, within the limit, committed when they say so. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "allocator/arena.h"
#include "tests/lib/rng.h"

#define MIB (UINT64_C(1) << 20)

/* The arena counts pages by the class of their zspage: here class n - 1 has zspages of n pages. */
static struct zs_class classes[ZS_MAX_PAGES];

static struct zs_arena *arena_new(uint64_t limit)
{
	struct zs_arena *a = malloc(sizeof(*a));

	assert_non_null(a);
	for (unsigned int n = 1; n <= ZS_MAX_PAGES; n++)
		classes[n - 1].pages = (uint8_t)n;
	assert_int_equal(arena_init(a, 64 * MIB, limit, NULL, false), 0);
	return a;
}

static void arena_free(struct zs_arena *a)
{
	assert_null(arena_validate(a, classes));
	arena_destroy(a);
	free(a);
}

static int take(struct zs_arena *a, unsigned int n, enum arena_source source, uint32_t *ret_index)
{
	return arena_take(a, (uint16_t)(n - 1), n, source, ret_index);
}

static void test_spare_before_anything(void **state)
{
	struct zs_arena *a = arena_new(64 * MIB);
	uint32_t index;

	assert_int_equal(take(a, 4, ARENA_SPARE, &index), -EAGAIN);
	assert_int_equal(arena_commit_spare(a, 10), 0);
	assert_int_equal(a->spare, 10);
	assert_int_equal(take(a, 4, ARENA_SPARE, &index), 0);
	assert_int_equal(a->zspages[index].first, 0);
	assert_int_equal(a->zspages[index].committed, 4);
	assert_int_equal(take(a, 4, ARENA_SPARE, &index), 0);
	assert_int_equal(a->zspages[index].first, 4);
	assert_int_equal(take(a, 4, ARENA_SPARE, &index), -EAGAIN);
	/* two pages of the next four are committed */
	assert_int_equal(take(a, 4, ARENA_ANY, &index), 0);
	assert_int_equal(a->zspages[index].first, 8);
	assert_int_equal(a->zspages[index].committed, 2);
	assert_int_equal(arena_grow(a, 8, 4, 2, 4), 4);
	assert_int_equal(a->pool, 12);
	arena_shrink(a, 9, 3);
	assert_int_equal(a->pool, 9);
	arena_free(a);
}

static void test_limit(void **state)
{
	struct zs_arena *a = arena_new(8 * ZS_PAGE_SIZE);
	uint32_t index;

	assert_int_equal(arena_commit_spare(a, 100), 0);
	assert_int_equal(take(a, 6, ARENA_SPARE, &index), 0);
	assert_int_equal(take(a, 3, ARENA_SPARE, &index), -EAGAIN);
	assert_int_equal(take(a, 2, ARENA_SPARE, &index), 0);
	arena_put(a, index, 2);
	/* a run may be had, bare, though other pages are spare; but no memory for it */
	assert_int_equal(take(a, 3, ARENA_ANY, &index), 0);
	assert_true(a->zspages[index].first >= 100);
	assert_int_equal(arena_grow(a, a->zspages[index].first, 3, 0, 3), -ENOSPC);
	assert_int_equal(arena_grow(a, a->zspages[index].first, 3, 0, 1), 1);
	assert_int_equal(take(a, 1, ARENA_SPARE, &index), 0);
	assert_int_equal(arena_grow(a, 200, 2, 0, 2), -ENOSPC);
	arena_free(a);
}

/* Release up to MAX pages, run by run. */
static unsigned int release(struct zs_arena *a, unsigned int max)
{
	unsigned int n, done = 0;

	while (done < max && (n = arena_release_spare(a, max - done)) > 0)
		done += n;
	return done;
}

static void test_release(void **state)
{
	struct zs_arena *a = arena_new(64 * MIB);
	uint32_t low, high, rest;

	while (a->spare < 2000)
		assert_int_equal(arena_commit_spare(a, 128), 0);
	assert_int_equal(take(a, 8, ARENA_SPARE, &low), 0);
	memset(arena_page(a, a->zspages[low].first), 1, 8 * ZS_PAGE_SIZE);
	assert_int_equal(release(a, 100), 100);
	/* from the high end: the low pages are still spare */
	assert_int_equal(take(a, 8, ARENA_SPARE, &high), 0);
	assert_int_equal(a->zspages[high].first, 8);
	rest = a->spare;
	assert_int_equal(release(a, 100000), rest);
	assert_int_equal(a->spare, 0);
	assert_int_equal(*(char *)arena_page(a, 7), 1);
	arena_free(a);
}

static void test_close(void **state)
{
	struct zs_arena *a = arena_new(64 * MIB);
	uint32_t index[2 * ZS_EXTENT_PAGES / 16], extent, at;

	for (size_t i = 0; i < ARRAY_SIZE(index); i++) {
		assert_int_equal(arena_prepare(a), 0);
		assert_int_equal(take(a, 16, ARENA_ANY, &index[i]), 0);
	}
	assert_int_equal(arena_close_sparsest(a, &extent), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(index); i++)
		if (i % 4 != 0 || (i >= 32 && i % 16))
			arena_put(a, index[i], 16);
	assert_int_equal(arena_fragmented(a), 2 * ZS_EXTENT_PAGES - 16 * (8 + 2));
	assert_int_equal(arena_close_sparsest(a, &extent), 0);
	assert_int_equal(extent, 1);
	assert_int_equal(take(a, 16, ARENA_PARTLY, &at), 0);
	assert_true(a->zspages[at].first < ZS_EXTENT_PAGES);
	assert_false(arena_reopen(a, extent));
	arena_put(a, index[32], 16);
	arena_put(a, index[48], 16);
	assert_true(arena_reopen(a, extent));
	arena_free(a);
}

struct run {
	uint32_t index;
	unsigned int n;
};

/* Random takes, puts, commits and releases: no two runs share a page, and all counts stay right. */
static void test_random(void **state)
{
	struct rng rng = rng_make(test_seed(23));
	struct zs_arena *a = arena_new(24 * MIB);
	uint8_t *owner = calloc(a->nr_pages, 1);
	static struct run runs[8192];
	size_t nr = 0;

	assert_non_null(owner);
	for (int i = 0; i < 200000; i++) {
		unsigned int n = 1 + (unsigned int)rng_below(&rng, ZS_MAX_PAGES), what;
		uint32_t index;

		assert_int_equal(arena_prepare(a), 0);
		what = (unsigned int)rng_below(&rng, 100);
		if (what < 2) {
			arena_commit_spare(a, n * 16);
		} else if (what < 3) {
			arena_release_spare(a, n * 8);
		} else if (nr > 0 && (what < 48 || nr == ARRAY_SIZE(runs))) {
			size_t k = rng_below(&rng, nr);

			memset(owner + a->zspages[runs[k].index].first, 0, runs[k].n);
			arena_put(a, runs[k].index, runs[k].n);
			runs[k] = runs[--nr];
		} else if (take(a, n, what % 3 ? ARENA_SPARE : ARENA_ANY, &index) == 0) {
			uint32_t first = a->zspages[index].first;

			for (unsigned int k = 0; k < n; k++)
				assert_int_equal(owner[first + k]++, 0);
			if (what % 2)
				arena_grow(a, first, n, 0, n);
			runs[nr++] = (struct run){index, n};
		}
		if (i % 1000 == 0)
			assert_null(arena_validate(a, classes));
	}
	free(owner);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spare_before_anything),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
