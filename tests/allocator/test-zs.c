/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the pool against a plain table of owners: contents survive compaction and
 * migration, busy owners are left alone, memory comes back, the limit holds.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "allocator/arena.h"
#include "allocator/worker.h"
#include "common/os.h"
#include "common/util.h"
#include "tests/lib/allocator.h"
#include "tests/lib/rng.h"

#define OWNERS 40000
#define MIB    (UINT64_C(1) << 20)

/* A table of owners, as the device's slots are one. */
struct owners {
	struct zs_pool *pool;
	struct {
		zs_ref ref;
		uint16_t len; /* 0: has nothing */
		bool busy;
	} owner[OWNERS];
};

static bool relocate(void *opaque, uint32_t owner, zs_ref from, zs_ref to)
{
	struct owners *o = opaque;
	size_t len = o->owner[owner].len;

	if (!len || o->owner[owner].busy || o->owner[owner].ref != from)
		return false;
	memcpy(zs_payload(o->pool, to, len), zs_payload(o->pool, from, len), len);
	o->owner[owner].ref = to;
	return true;
}

static bool names(void *opaque, uint32_t owner, zs_ref ref)
{
	struct owners *o = opaque;

	return owner < OWNERS && o->owner[owner].len && o->owner[owner].ref == ref;
}

static size_t length(void *opaque, uint32_t owner, zs_ref ref)
{
	struct owners *o = opaque;

	return o->owner[owner].ref == ref ? o->owner[owner].len : 0;
}

static uint64_t served(void *opaque)
{
	return 0;
}

static struct owners *owners_new(uint64_t limit, uint64_t reserve)
{
	struct owners *o = calloc(1, sizeof(*o));
	struct zs_options options = {
		.kind = test_allocator(),
		.max_bytes = (uint64_t)OWNERS * ZS_PAGE_SIZE,
		.limit = limit,
		.reserve = reserve,
		.owner = {.relocate = relocate, .length = length, .served = served, .opaque = o},
	};

	assert_non_null(o);
	assert_int_equal(zs_pool_new(&options, &o->pool), 0);
	return o;
}

static void validate(struct owners *o)
{
	const char *error = NULL;

	zs_validate(o->pool, names, o, &error);
	assert_string_equal(error ? error : "", "");
}

static void owners_free(struct owners *o)
{
	validate(o);
	zs_pool_free(o->pool);
	free(o);
}

static struct zs_stats stats(struct owners *o)
{
	struct zs_stats s;

	zs_get_stats(o->pool, &s);
	return s;
}

static int put(struct owners *o, uint32_t owner, size_t len)
{
	uint64_t waited = 0;
	zs_ref ref;
	int r;

	while ((r = zs_alloc(o->pool, owner, len, &ref)) == -EAGAIN) {
		r = zs_refill(o->pool, len, &waited);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	memset(zs_payload(o->pool, ref, len), (int)(owner * 7 + len), len);
	o->owner[owner].ref = ref;
	o->owner[owner].len = (uint16_t)len;
	return 0;
}

static void drop(struct owners *o, uint32_t owner)
{
	o->owner[owner].len = 0;
	zs_free(o->pool, o->owner[owner].ref);
}

static void check_content(struct owners *o)
{
	for (uint32_t i = 0; i < OWNERS; i++) {
		size_t len = o->owner[i].len;
		const unsigned char *at;

		if (!len)
			continue;
		at = zs_payload(o->pool, o->owner[i].ref, len);
		for (size_t k = 0; k < len; k++)
			if (at[k] != (unsigned char)(i * 7 + len))
				fail_msg("owner %u: byte %zu of %zu is wrong", i, k, len);
	}
}

static size_t random_len(struct rng *rng)
{
	if (rng_chance(rng, 5))
		return ZS_PAGE_SIZE;
	if (rng_chance(rng, 5))
		return 1 + rng_below(rng, ZS_MAX_SMALL);
	return 1 + rng_below(rng, 1 + rng_below(rng, ZS_MAX_SHARED));
}

static void test_random(void **state)
{
	struct rng rng = rng_make(test_seed(31));
	struct owners *o = owners_new(0, 0);
	uint64_t ops = test_ops(400000);

	for (uint64_t i = 0; i < ops; i++) {
		/* waves, so that there is something to compact */
		unsigned int fill = i / 50000 % 2 ? 25 : 75;
		uint32_t owner = (uint32_t)rng_below(&rng, OWNERS);

		if (o->owner[owner].len)
			drop(o, owner);
		if (rng_chance(&rng, fill))
			assert_int_equal(put(o, owner, random_len(&rng)), 0);
		if (i % 40000 == 39999) {
			validate(o);
			zs_compact(o->pool);
			validate(o);
			check_content(o);
		}
	}
	assert_true(stats(o).objects_compacted > 0);
	owners_free(o);
}

/*
 * Three of four objects go: what is left takes little more than its payload. Owners, rounding and
 * what cannot be cut are 3%; beside that a class wastes the part of one page.
 */
static void test_compaction_frees(void **state)
{
	struct rng rng = rng_make(test_seed(37));
	struct owners *o = owners_new(0, 0);
	uint64_t payload = 0;

	for (uint32_t i = 0; i < OWNERS; i++)
		assert_int_equal(put(o, i, 200 + rng_below(&rng, 3400)), 0);
	for (uint32_t i = 0; i < OWNERS; i++) {
		if (rng_chance(&rng, 75))
			drop(o, i);
		else
			payload += o->owner[i].len;
	}
	zs_compact(o->pool);
	check_content(o);
	assert_in_range(stats(o).pool, payload,
			payload / 100 * 103 + ZS_MAX_CLASSES * ZS_PAGE_SIZE / 2);
	assert_int_equal(stats(o).reserve, 0);
	assert_true(stats(o).pages_compacted > 0);
	for (uint32_t i = 0; i < OWNERS; i++)
		if (o->owner[i].len)
			drop(o, i);
	zs_compact(o->pool);
	assert_int_equal(stats(o).pool, 0);
	assert_int_equal(stats(o).reserve, 0);
	owners_free(o);
}

/* Raw pages cannot be compacted; only migration makes whole extents of them. */
static void test_migration_frees_extents(void **state)
{
	struct owners *o = owners_new(0, 0);

	for (uint32_t i = 0; i < 16 * ZS_EXTENT_PAGES; i++)
		assert_int_equal(put(o, i, ZS_PAGE_SIZE), 0);
	for (uint32_t i = 0; i < 16 * ZS_EXTENT_PAGES; i++)
		if (i % 8)
			drop(o, i);
	zs_compact(o->pool);
	check_content(o);
	/* 1024 pages are left, two extents' worth; the last but one is not worth emptying */
	assert_true(stats(o).extents_migrated >= 13);
	assert_int_equal(stats(o).pool, 2 * ZS_EXTENT_PAGES * ZS_PAGE_SIZE);
	owners_free(o);
}

static void test_busy_owners_stay(void **state)
{
	struct rng rng = rng_make(test_seed(41));
	struct owners *o = owners_new(0, 0);
	static zs_ref before[OWNERS];

	for (uint32_t i = 0; i < OWNERS; i++)
		assert_int_equal(put(o, i, 500 + rng_below(&rng, 100)), 0);
	for (uint32_t i = 0; i < OWNERS; i++)
		if (rng_chance(&rng, 80))
			drop(o, i);
	for (uint32_t i = 0; i < OWNERS; i += 3) {
		o->owner[i].busy = true;
		before[i] = o->owner[i].ref;
	}
	zs_compact(o->pool);
	check_content(o);
	for (uint32_t i = 0; i < OWNERS; i += 3) {
		if (o->owner[i].len)
			assert_int_equal(o->owner[i].ref, before[i]);
		o->owner[i].busy = false;
	}
	validate(o);
	zs_compact(o->pool);
	check_content(o);
	owners_free(o);
}

static void test_limit(void **state)
{
	struct owners *o = owners_new(4 * MIB, 0);
	uint32_t n = 0;
	int r;

	while ((r = put(o, n, 1000)) == 0)
		n++;
	assert_int_equal(r, -ENOSPC);
	assert_true(stats(o).pool <= 4 * MIB);
	assert_true((uint64_t)n * 1004 > 4 * MIB - 4 * MIB / 50);
	check_content(o);
	validate(o);
	for (uint32_t i = 0; i < n / 2; i++)
		drop(o, i);
	for (uint32_t i = 0; i < n / 2; i++)
		assert_int_equal(put(o, i, 1000), 0);
	owners_free(o);
}

/*
 * Raw pages give way to objects of zspages, at random: the holes are single pages for a long time,
 * and a zspage needs its pages in a row. There is no limit, so nothing may fail.
 */
static void test_scattered_holes(void **state)
{
	struct rng rng = rng_make(test_seed(43));
	struct owners *o = owners_new(0, 0);

	for (uint32_t i = 0; i < OWNERS; i++)
		assert_int_equal(put(o, i, ZS_PAGE_SIZE), 0);
	for (uint32_t i = 0; i < OWNERS / 2; i++) {
		uint32_t owner = (uint32_t)rng_below(&rng, OWNERS);

		drop(o, owner);
		assert_int_equal(put(o, owner, 3500 + rng_below(&rng, 100)), 0);
	}
	check_content(o);
	owners_free(o);
}

/* Objects that come one by one, with quiet between them, end as dense as if they had come at once.
 */
static void test_trickle(void **state)
{
	struct owners *o = owners_new(0, MIB);
	uint64_t payload = 0;

	while (stats(o).reserve < MIB)
		assert_int_equal(arena_commit_spare(&o->pool->arena, 64), 0);
	for (uint32_t i = 0; i < 60; i++) {
		assert_int_equal(put(o, i, 2100), 0);
		payload += 2100;
		keeper_trim(o->pool,
			    TRIM_ALL); /* what the keeper does when a class has been quiet */
	}
	zs_compact(o->pool);
	check_content(o);
	assert_in_range(stats(o).pool, payload, payload / 100 * 103 + ZS_PAGE_SIZE);
	owners_free(o);
}

/* One object in each of a hundred classes: they share pages in the end. */
static void test_few_objects_share(void **state)
{
	struct owners *o = owners_new(0, 0);
	uint64_t payload = 0;

	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(put(o, i, 1000 + i * 8), 0);
		payload += o->owner[i].len;
	}
	assert_true(stats(o).pool > 2 * payload);
	zs_compact(o->pool);
	validate(o);
	check_content(o);
	/* two or three to a page, of the pages that they have */
	assert_in_range(stats(o).pool, payload, payload / 10 * 16);
	owners_free(o);
}

/* The least limit there may be holds a few objects of whatever length. */
static void test_least_limit(void **state)
{
	for (size_t len = 100; len <= ZS_PAGE_SIZE; len += 37) {
		struct owners *o = owners_new(zs_min_limit(), MIB);

		while (stats(o).reserve < zs_min_limit())
			assert_int_equal(arena_commit_spare(&o->pool->arena, 64), 0);
		for (uint32_t i = 0; i < 10; i++)
			assert_int_equal(put(o, i, len), 0);
		assert_true(stats(o).pool <= zs_min_limit());
		owners_free(o);
	}
}

/* Started, the pool keeps its reserve; and gives back what a burst has left. */
static void test_reserve(void **state)
{
	struct owners *o = owners_new(0, 2 * MIB);
	uint64_t refills;

	assert_int_equal(zs_pool_start(o->pool), 0);
	assert_int_equal(stats(o).reserve, 2 * MIB);
	for (uint32_t i = 0; i < 400; i++)
		assert_int_equal(put(o, i, 4096), 0);
	refills = stats(o).refills;
	assert_int_equal(refills, 0); /* 400 pages are less than the reserve holds */
	for (uint32_t i = 400; i < OWNERS; i++)
		assert_int_equal(put(o, i, 4096), 0);
	for (uint32_t i = 0; i < OWNERS; i++)
		drop(o, i);
	/* the keeper's work, for which the test waits as long as it takes */
	for (uint32_t never = 0; stats(o).reserve > 2 * MIB + MIB / 2;)
		os_wait(&never, 0, 10);
	assert_true(stats(o).reserve >= 2 * MIB);
	zs_pool_stop(o->pool);
	owners_free(o);
}

static void test_options(void **state)
{
	struct zs_options options = {.max_bytes = MIB};
	struct zs_pool *pool = NULL;

	options.limit = zs_min_limit() - 1;
	assert_int_equal(zs_pool_new(&options, &pool), -EINVAL);
	options.limit = 0;
	options.max_bytes = zs_max_bytes() + 1;
	assert_int_equal(zs_pool_new(&options, &pool), -EINVAL);
	options.max_bytes = 0;
	assert_int_equal(zs_pool_new(&options, &pool), -EINVAL);
	options.max_bytes = MIB;
	options.limit = zs_min_limit();
	assert_int_equal(zs_pool_new(&options, &pool), 0);
	zs_pool_free(pool);
	zs_pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_migration_frees_extents),
		cmocka_unit_test(test_busy_owners_stay),
		cmocka_unit_test(test_scattered_holes),
		cmocka_unit_test(test_least_limit),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_options),
	};
	const struct CMUnitTest of_zspages[] = {
		cmocka_unit_test(test_compaction_frees),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_trickle),
		cmocka_unit_test(test_few_objects_share),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	/* How dense zspages are; test-zbud has its own. */
	if (test_allocator() == ZS_ZSPAGE)
		failed += cmocka_run_group_tests(of_zspages, NULL, NULL);
	return failed;
}
