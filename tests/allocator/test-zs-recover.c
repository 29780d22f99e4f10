/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a pool that is recovered from its store, against a plain table of owners: what an owner
 * names is there, what none names is free, every invariant holds, and work goes on.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "allocator/zs-types.h"
#include "common/util.h"
#include "tests/lib/allocator.h"
#include "tests/lib/check.h"
#include "tests/lib/rng.h"

#define OWNERS	  20000
#define MAX_BYTES ((uint64_t)OWNERS * ZS_PAGE_SIZE)

struct world {
	struct zs_pool *pool;
	struct zs_store store;
	uint64_t arena_bytes, tags_bytes, top;
	struct rng rng;
	struct {
		zs_ref ref;
		uint16_t len; /* 0: has nothing */
	} owner[OWNERS];
};

static bool relocate(void *opaque, uint32_t owner, zs_ref from, zs_ref to)
{
	struct world *w = opaque;
	size_t len = w->owner[owner].len;

	if (!len || w->owner[owner].ref != from)
		return false;
	memcpy(zs_payload(w->pool, to, len), zs_payload(w->pool, from, len), len);
	w->owner[owner].ref = to;
	return true;
}

static bool names(void *opaque, uint32_t owner, zs_ref ref)
{
	struct world *w = opaque;

	return owner < OWNERS && w->owner[owner].len && w->owner[owner].ref == ref;
}

static size_t length(void *opaque, uint32_t owner, zs_ref ref)
{
	return names(opaque, owner, ref) ? ((struct world *)opaque)->owner[owner].len : 0;
}

static uint64_t served(void *opaque)
{
	return 0;
}

static void open_pool(struct world *w)
{
	struct zs_options options = {
		.kind = test_allocator(),
		.max_bytes = MAX_BYTES,
		.owner = {.relocate = relocate, .length = length, .served = served, .opaque = w},
		.store = &w->store,
	};

	assert_int_equal(zs_pool_new(&options, &w->pool), 0);
}

static void *share(uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static void validate(struct world *w)
{
	const char *error = NULL;

	zs_validate(w->pool, names, w, &error);
	assert_string_equal(error ? error : "", "");
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->rng = rng_make(test_seed(0));
	w->arena_bytes = zs_arena_bytes(MAX_BYTES);
	w->tags_bytes = w->arena_bytes / ZS_PAGE_SIZE * sizeof(uint32_t);
	w->store = (struct zs_store){
		.top = &w->top, .tags = share(w->tags_bytes), .arena = share(w->arena_bytes)};
	open_pool(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	zs_pool_free(w->pool);
	munmap(w->store.arena, w->arena_bytes);
	munmap(w->store.tags, w->tags_bytes);
	free(w);
	return 0;
}

static zs_ref allocate(struct world *w, uint32_t owner, size_t len)
{
	uint64_t waited = 0;
	zs_ref ref;
	int r;

	while ((r = zs_alloc(w->pool, owner, len, &ref)) == -EAGAIN)
		assert_int_equal(zs_refill(w->pool, len, &waited), 0);
	assert_int_equal(r, 0);
	memset(zs_payload(w->pool, ref, len), (int)(owner * 7 + len), len);
	return ref;
}

static void drop(struct world *w, uint32_t owner)
{
	if (w->owner[owner].len)
		zs_free(w->pool, w->owner[owner].ref);
	w->owner[owner].len = 0;
}

static void put(struct world *w, uint32_t owner)
{
	uint64_t kind = rng_below(&w->rng, 10);
	size_t len =
		kind == 0 ? ZS_PAGE_SIZE : 1 + rng_below(&w->rng, kind < 6 ? 800 : ZS_MAX_SHARED);
	zs_ref ref = allocate(w, owner, len);

	drop(w, owner);
	w->owner[owner].ref = ref;
	w->owner[owner].len = (uint16_t)len;
}

static void work(struct world *w, uint64_t ops)
{
	for (uint64_t i = 0; i < ops; i++) {
		uint32_t owner = (uint32_t)rng_below(&w->rng, OWNERS);

		if (rng_below(&w->rng, 5) < 3)
			put(w, owner);
		else
			drop(w, owner);
	}
}

static void check_content(struct world *w)
{
	for (uint32_t owner = 0; owner < OWNERS; owner++) {
		size_t len = w->owner[owner].len;
		const uint8_t *at = len ? zs_payload(w->pool, w->owner[owner].ref, len) : NULL;

		for (size_t i = 0; i < len; i++)
			CHECK(at[i] == (uint8_t)(owner * 7 + len), "owner %u has lost byte %zu",
			      owner, i);
	}
}

static struct zs_recovered recover(struct world *w)
{
	struct zs_recovered recovered;
	uint64_t held = 0;

	zs_pool_free(w->pool);
	open_pool(w);
	assert_int_equal(zs_recover_zspages(w->pool), 0);
	for (uint32_t owner = 0; owner < OWNERS; owner++) {
		if (!w->owner[owner].len)
			continue;
		held++;
		CHECK(zs_recover_holds(w->pool, w->owner[owner].ref, w->owner[owner].len),
		      "owner %u is not believed", owner);
	}
	assert_int_equal(zs_recover_cells(w->pool, names, w, &recovered), 0);
	assert_int_equal(recovered.objects, held);
	validate(w);
	check_content(w);
	return recovered;
}

static struct zs_stats stats(struct world *w)
{
	struct zs_stats s;

	zs_get_stats(w->pool, &s);
	return s;
}

static void test_empty(void **state)
{
	struct world *w = *state;

	assert_int_equal(recover(w).freed, 0);
	assert_int_equal(stats(w).pool, 0);
}

static void test_rounds(void **state)
{
	struct world *w = *state;

	for (int round = 0; round < 8; round++) {
		struct zs_stats before, after;

		work(w, 15000);
		if (round % 3 == 2)
			zs_compact(w->pool);
		before = stats(w);
		assert_int_equal(recover(w).freed, 0);
		after = stats(w);
		assert_int_equal(before.objects, after.objects);
		assert_int_equal(before.pool + before.reserve, after.pool + after.reserve);
	}
}

/* Cells that were handed out and that nobody names: of threads that were killed. */
static void test_nobodys(void **state)
{
	struct world *w = *state;
	struct zs_stats before;

	work(w, 15000);
	zs_compact(w->pool);
	before = stats(w);
	for (uint32_t i = 0; i < 500; i++)
		allocate(w, (uint32_t)rng_below(&w->rng, OWNERS), 1 + rng_below(&w->rng, 3000));
	assert_in_range(recover(w).freed, 1, 500);
	assert_int_equal(stats(w).objects, before.objects);
	work(w, 5000);
	assert_int_equal(recover(w).freed, 0);
}

/* Of all, and of what no cell is. */
static void test_not_held(void **state)
{
	struct world *w = *state;
	zs_ref end = w->arena_bytes / ZS_REF_UNIT;
	zs_ref ref;

	put(w, 1);
	recover(w);
	ref = w->owner[1].ref;
	assert_false(zs_recover_holds(w->pool, ref + 1, 10));
	assert_false(zs_recover_holds(w->pool, end - 1, 10));
	assert_false(zs_recover_holds(w->pool, end, 10));
	assert_false(zs_recover_holds(w->pool, (UINT64_C(1) << ZS_REF_BITS) - 1, 10));
	assert_false(
		zs_recover_holds(w->pool, ref + ZS_EXTENT_PAGES * ZS_PAGE_SIZE / ZS_REF_UNIT, 10));
}

/* Tags of all kinds where nothing is, some of them over zspages that are: only what is in those goes. */
static void test_stray_tags(void **state)
{
	struct world *w = *state;
	struct zs_recovered recovered;
	uint32_t pages;

	work(w, 15000);
	pages = w->pool->arena.top_extent * ZS_EXTENT_PAGES;
	for (uint32_t page = 0; page < pages; page++)
		if (!w->pool->arena.page_map[page])
			w->store.tags[page] = (uint32_t)rng_next(&w->rng) >> rng_below(&w->rng, 32);
	zs_pool_free(w->pool);
	open_pool(w);
	assert_int_equal(zs_recover_zspages(w->pool), 0);
	for (uint32_t owner = 0; owner < OWNERS; owner++)
		if (w->owner[owner].len &&
		    !zs_recover_holds(w->pool, w->owner[owner].ref, w->owner[owner].len))
			w->owner[owner].len = 0;
	assert_int_equal(zs_recover_cells(w->pool, names, w, &recovered), 0);
	validate(w);
	check_content(w);
	work(w, 15000);
	assert_int_equal(recover(w).freed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobodys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stray_tags, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
