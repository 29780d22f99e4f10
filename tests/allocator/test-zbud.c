/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zbud: how objects share pages, which pages are emptied first, and what that costs;
 * what is busy stays where it is, and contents survive all of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "allocator/zbud.h"
#include "common/os.h"
#include "common/util.h"
#include "tests/lib/rng.h"

#define OWNERS 20000
#define PAGE   ZS_PAGE_SIZE

/* Payloads that take just a half and just a quarter of a page. */
#define HALF	(PAGE / 2 - ZS_OWNER_SIZE)
#define QUARTER (PAGE / 4 - ZS_OWNER_SIZE)

struct owners {
	struct zs_pool *pool;
	unsigned int moves;
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
	o->moves++;
	return true;
}

static bool names(void *opaque, uint32_t owner, zs_ref ref)
{
	struct owners *o = opaque;

	return owner < OWNERS && o->owner[owner].len && o->owner[owner].ref == ref;
}

static size_t length(void *opaque, uint32_t owner, zs_ref ref)
{
	return names(opaque, owner, ref) ? ((struct owners *)opaque)->owner[owner].len : 0;
}

static uint64_t served(void *opaque)
{
	return 0;
}

static struct owners *owners_new(uint64_t limit)
{
	struct owners *o = calloc(1, sizeof(*o));
	struct zs_options options = {
		.kind = ZS_ZBUD,
		.max_bytes = (uint64_t)OWNERS * PAGE,
		.limit = limit,
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
	for (uint32_t i = 0; i < OWNERS; i++) {
		size_t len = o->owner[i].len;
		const uint8_t *at = len ? zs_payload(o->pool, o->owner[i].ref, len) : NULL;

		for (size_t k = 0; k < len; k++)
			if (at[k] != (uint8_t)(i * 7 + len))
				fail_msg("owner %u: byte %zu of %zu is wrong", i, k, len);
	}
}

static void owners_free(struct owners *o)
{
	validate(o);
	zs_pool_free(o->pool);
	free(o);
}

static int try_put(struct owners *o, uint32_t owner, size_t len)
{
	uint64_t waited = 0;
	zs_ref ref;
	int r;

	while ((r = zs_alloc(o->pool, owner, len, &ref)) == -EAGAIN) {
		r = zs_refill(o->pool, len, &waited);
		if (r < 0)
			return r;
	}
	assert_int_equal(r, 0);
	memset(zs_payload(o->pool, ref, len), (int)(owner * 7 + len), len);
	o->owner[owner].ref = ref;
	o->owner[owner].len = (uint16_t)len;
	return 0;
}

static void put(struct owners *o, uint32_t owner, size_t len)
{
	assert_int_equal(try_put(o, owner, len), 0);
}

static void drop(struct owners *o, uint32_t owner)
{
	o->owner[owner].len = 0;
	zs_free(o->pool, o->owner[owner].ref);
}

static uint64_t pages(struct owners *o)
{
	struct zs_stats s;

	zs_get_stats(o->pool, &s);
	assert_int_equal(s.pool % PAGE, 0);
	return s.pool / PAGE;
}

static uint64_t page_of(const struct owners *o, uint32_t owner)
{
	return o->owner[owner].ref * ZS_REF_UNIT / PAGE;
}

static unsigned int reclaim(struct owners *o, unsigned int n)
{
	unsigned int freed;

	pthread_mutex_lock(&o->pool->mover_lock);
	freed = zbud_reclaim(o->pool, n);
	pthread_mutex_unlock(&o->pool->mover_lock);
	return freed;
}

/* N objects, each alone in a page: what is put beside them goes again. */
static void put_apart(struct owners *o, uint32_t n, size_t len)
{
	for (uint32_t i = 0; i < n; i++) {
		put(o, i, len);
		put(o, OWNERS / 2 + i, PAGE - ZBUD_CHUNK - len);
	}
	assert_int_equal(pages(o), n);
	for (uint32_t i = 0; i < n; i++)
		drop(o, OWNERS / 2 + i);
	assert_int_equal(pages(o), n);
	validate(o);
}

/* Two to a page, whatever they add up to, if it is no more than a page. */
static void test_shares(void **state)
{
	struct owners *o = owners_new(0);

	put(o, 0, HALF);
	put(o, 1, HALF);
	assert_int_equal(pages(o), 1);
	put(o, 2, HALF + 1); /* a chunk more */
	put(o, 3, HALF);
	assert_int_equal(pages(o), 3);
	put(o, 4, HALF - ZBUD_CHUNK);
	assert_int_equal(page_of(o, 4), page_of(o, 2));
	for (uint32_t i = 5; i < 9; i++)
		put(o, i, 10);
	/* never three */
	assert_int_equal(pages(o), 5);
	owners_free(o);
}

/* Beside the object that leaves the least room. */
static void test_best_fit(void **state)
{
	struct owners *o = owners_new(0);

	put(o, 0, HALF + 600);
	put(o, 1, HALF + 300);
	put(o, 2, HALF + 100);
	put(o, 3, HALF - 400);
	assert_int_equal(page_of(o, 3), page_of(o, 1));
	put(o, 4, HALF - 400);
	assert_int_equal(page_of(o, 4), page_of(o, 2));
	put(o, 5, HALF - 700);
	assert_int_equal(page_of(o, 5), page_of(o, 0));
	assert_int_equal(pages(o), 3);
	owners_free(o);
}

/* Every length has its place, those of nearly a page and raw pages one of their own. */
static void test_lengths(void **state)
{
	struct owners *o = owners_new(0);

	for (uint32_t len = 1; len <= PAGE; len++)
		put(o, len, len);
	validate(o);
	for (uint32_t len = PAGE - ZBUD_CHUNK - ZS_OWNER_SIZE + 1; len <= PAGE; len++)
		for (uint32_t other = 1; other <= PAGE; other++)
			assert_true(other == len || page_of(o, other) != page_of(o, len));
	for (uint32_t len = 1; len <= PAGE; len++)
		drop(o, len);
	assert_int_equal(pages(o), 0);
	owners_free(o);
}

/* The pages that were written first go first, each for one move; but what was written since, last. */
static void test_oldest_first(void **state)
{
	const size_t len = 24 * ZBUD_CHUNK - ZS_OWNER_SIZE,
		     rest = PAGE - 24 * ZBUD_CHUNK - ZS_OWNER_SIZE;
	struct owners *o = owners_new(0);
	zs_ref before[6];

	for (uint32_t i = 0; i < 6; i++) {
		put(o, i, len);
		put(o, 100 + i, rest);
		before[i] = o->owner[i].ref;
	}
	/* Each has room for just one of the first. */
	for (uint32_t i = 0; i < 6; i++)
		put(o, 200 + i, rest);
	for (uint32_t i = 6; i-- > 0;)
		drop(o, 100 + i);
	put(o, 300, rest);
	assert_int_equal(page_of(o, 300), page_of(o, 0));
	drop(o, 300);
	assert_int_equal(pages(o), 12);
	for (uint32_t i = 1; i < 6; i++) {
		assert_int_equal(reclaim(o, 1), 1);
		assert_int_equal(o->moves, i);
		assert_int_equal(pages(o), 12 - i);
		assert_int_not_equal(o->owner[i].ref, before[i]);
		for (uint32_t k = 0; k < 6; k++)
			assert_true((k > 0 && k <= i) == (o->owner[k].ref != before[k]));
	}
	validate(o);
	assert_int_equal(reclaim(o, 100), 1);
	assert_int_equal(pages(o), 6);
	assert_int_equal(reclaim(o, 100), 0);
	owners_free(o);
}

/* A page with two objects is emptied into two with room, or stays as it is. */
static void test_both_buddies(void **state)
{
	struct owners *o = owners_new(0);
	zs_ref first, last;

	put(o, 0, QUARTER);
	put(o, 1, QUARTER);
	first = o->owner[0].ref;
	last = o->owner[1].ref;
	put(o, 2, HALF + 1);
	assert_int_equal(reclaim(o, 1), 0);
	assert_int_equal(o->moves, 0);
	assert_int_equal(o->owner[0].ref, first);
	assert_int_equal(o->owner[1].ref, last);
	put(o, 3, HALF + 1);
	assert_int_equal(pages(o), 3);
	assert_int_equal(reclaim(o, 10), 1);
	assert_int_equal(o->moves, 2);
	assert_int_equal(pages(o), 2);
	assert_int_not_equal(page_of(o, 0), page_of(o, 1));
	owners_free(o);
}

/* What is read stays where it is, and is emptied when nobody reads it any more. */
static void test_busy_stays(void **state)
{
	struct owners *o = owners_new(0);
	zs_ref before[40];

	put_apart(o, 40, QUARTER);
	for (uint32_t i = 0; i < 40; i++) {
		o->owner[i].busy = i % 2;
		before[i] = o->owner[i].ref;
	}
	assert_int_equal(reclaim(o, 40), 20);
	for (uint32_t i = 1; i < 40; i += 2)
		assert_int_equal(o->owner[i].ref, before[i]);
	validate(o);
	for (uint32_t i = 0; i < 40; i++) {
		o->owner[i].busy = true;
		before[i] = o->owner[i].ref;
	}
	drop(o, 0);
	drop(o, 2);
	o->owner[0].busy = o->owner[2].busy = false;
	assert_int_equal(reclaim(o, 40), 0);
	for (uint32_t i = 3; i < 40; i++)
		assert_int_equal(o->owner[i].ref, before[i]);
	for (uint32_t i = 0; i < 40; i++)
		o->owner[i].busy = false;
	assert_int_equal(reclaim(o, 40), 1);
	owners_free(o);
}

/* At the limit there is room that moving makes; then none. */
static void test_limit(void **state)
{
	uint32_t n = (uint32_t)(4 * zs_min_limit() / PAGE);
	struct owners *o = owners_new(4 * zs_min_limit());

	put_apart(o, n, QUARTER);
	assert_true(zs_may_fit(o->pool, HALF));
	assert_false(zs_may_fit(o->pool, PAGE));
	assert_int_equal(try_put(o, 1000, PAGE), -ENOSPC);
	assert_int_equal(zs_potential(o->pool), zs_min_limit() * 2);
	zs_make_room(o->pool);
	assert_int_equal(zs_potential(o->pool), 0);
	assert_int_equal(pages(o), n / 2);
	assert_true(zs_may_fit(o->pool, PAGE));
	for (uint32_t i = 0; i < n / 2; i++)
		put(o, 1000 + i, PAGE);
	assert_int_equal(pages(o), n);
	validate(o);
	assert_int_equal(try_put(o, 5000, PAGE), -ENOSPC);
	drop(o, 1000);
	put(o, 5000, PAGE);
	assert_false(zs_may_fit(o->pool, QUARTER));
	assert_int_equal(try_put(o, 5001, QUARTER), -ENOSPC);
	owners_free(o);
}

/* With its threads the pool does so by itself; the test waits for it as long as it takes. */
static void test_by_itself(void **state)
{
	struct owners *o = owners_new(0);

	put_apart(o, 4000, QUARTER);
	zs_set(o->pool, 0, true);
	assert_int_equal(zs_pool_start(o->pool), 0);
	for (uint32_t never = 0; pages(o) > 2000;)
		os_wait(&never, 0, 10);
	zs_pool_stop(o->pool);
	owners_free(o);
}

/* Where few pages are left of an extent, they go elsewhere, raw ones too: it comes free. */
static void test_migration(void **state)
{
	struct owners *o = owners_new(0);
	uint32_t n = 8 * ZS_EXTENT_PAGES;
	struct zs_stats s;

	for (uint32_t i = 0; i < n; i++)
		put(o, i, i % 2 ? PAGE : HALF + 1 + i % 500);
	for (uint32_t i = 0; i < n; i++)
		if (i % 16 > 1)
			drop(o, i);
	assert_int_equal(pages(o), n / 8);
	zs_compact(o->pool);
	zs_get_stats(o->pool, &s);
	assert_true(s.extents_migrated >= 5);
	assert_int_equal(pages(o), n / 8);
	owners_free(o);
}

static size_t random_len(struct rng *rng)
{
	if (rng_chance(rng, 5))
		return PAGE;
	if (rng_chance(rng, 5))
		return 1 + rng_below(rng, ZS_MAX_SMALL);
	return 1 + rng_below(rng, 1 + rng_below(rng, ZS_MAX_SHARED));
}

/* Beside a table: after so much of anything nothing is lost, and a freed page costs two moves. */
static void test_random(void **state)
{
	struct rng rng = rng_make(test_seed(0));
	uint64_t ops = test_ops(200000);
	struct owners *o = owners_new(0);

	for (uint64_t i = 0; i < ops; i++) {
		uint32_t owner = (uint32_t)rng_below(&rng, OWNERS);
		unsigned int fill = i / 25000 % 2 ? 25 : 75;

		if (o->owner[owner].len)
			drop(o, owner);
		if (rng_chance(&rng, fill))
			put(o, owner, random_len(&rng));
		o->owner[owner].busy = rng_chance(&rng, 5);
		if (rng_chance(&rng, 1)) {
			unsigned int before = o->moves, most = (unsigned int)rng_below(&rng, 20);
			uint64_t had = pages(o);
			unsigned int freed = reclaim(o, most);

			assert_in_range(freed, 0, most);
			assert_int_equal(pages(o), had - freed);
			assert_true(o->moves - before >= freed);
		}
		if (i % 10000 == 9999) {
			validate(o);
			zs_compact(o->pool);
			validate(o);
		}
	}
	owners_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),	     cmocka_unit_test(test_best_fit),
		cmocka_unit_test(test_lengths),	     cmocka_unit_test(test_oldest_first),
		cmocka_unit_test(test_both_buddies), cmocka_unit_test(test_busy_stays),
		cmocka_unit_test(test_limit),	     cmocka_unit_test(test_by_itself),
		cmocka_unit_test(test_migration),    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
