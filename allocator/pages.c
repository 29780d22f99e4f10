/* SPDX-License-Identifier: BSD-3-Clause */
#include "allocator/pages.h"

#include "allocator/arena.h"
#include "common/bitmap.h"

#define WORDS (ZS_EXTENT_PAGES / 64)

static struct zs_extent *extent_of(const struct zs_arena *a, uint32_t page)
{
	return &a->extents[page / ZS_EXTENT_PAGES];
}

unsigned int pages_committed(const struct zs_arena *a, uint32_t first, unsigned int n)
{
	return bitmap_count_range(extent_of(a, first)->committed, first % ZS_EXTENT_PAGES, n);
}

unsigned int pages_prefix(const struct zs_arena *a, uint32_t first, unsigned int n)
{
	unsigned int at = first % ZS_EXTENT_PAGES;

	return bitmap_run(extent_of(a, first)->committed, true, at, at + n);
}

/* The extent has more pages of a kind: what was known of its runs no longer holds. */
static void grew(struct zs_arena *a, uint32_t extent, enum zs_run kind)
{
	a->extents[extent].absent[kind] = 0;
	for (unsigned int n = 1; n <= ZS_MAX_PAGES; n++)
		if (a->hint[kind][n] > extent)
			a->hint[kind][n] = extent;
	if (kind == ZS_RUN_SPARE && a->top_spare <= extent)
		a->top_spare = extent + 1;
}

static void count_spare(struct zs_arena *a, struct zs_extent *e, int n)
{
	e->nr_spare = (uint16_t)(e->nr_spare + n);
	bump(&a->spare, (uint32_t)n);
	if (a->spare < a->spare_low)
		a->spare_low = a->spare;
}

static void count_pool(struct zs_arena *a, int n)
{
	bump(&a->pool, (uint32_t)n);
	if (a->pool > a->pool_max)
		a->pool_max = a->pool;
	if (n < 0) {
		bump(&a->returned, (uint64_t)-n);
		pages_lower_ceiling(a);
	}
}

void pages_use(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);
	int committed = (int)pages_committed(a, first, n);

	bitmap_set_range(e->used, first % ZS_EXTENT_PAGES, n);
	a->partly += e->nr_used == 0;
	e->nr_used = (uint16_t)(e->nr_used + n);
	a->used += n;
	count_spare(a, e, -committed);
	count_pool(a, committed);
	if (first / ZS_EXTENT_PAGES < a->top_extent)
		return;
	a->top_extent = first / ZS_EXTENT_PAGES + 1;
	if (a->top)
		__atomic_store_n(a->top, arena_top_word(a->top_extent), __ATOMIC_RELEASE);
}

void pages_unuse(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);
	uint32_t extent = first / ZS_EXTENT_PAGES;
	int committed = (int)pages_committed(a, first, n);

	bitmap_clear_range(e->used, first % ZS_EXTENT_PAGES, n);
	e->nr_used = (uint16_t)(e->nr_used - n);
	a->partly -= e->nr_used == 0;
	a->used -= n;
	count_spare(a, e, committed);
	count_pool(a, -committed);
	grew(a, extent, ZS_RUN_UNUSED);
	if (committed > 0)
		grew(a, extent, ZS_RUN_SPARE);
	if (committed < (int)n)
		grew(a, extent, ZS_RUN_BARE);
}

void pages_commit(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);
	int more = (int)(n - pages_committed(a, first, n));

	bitmap_set_range(e->committed, first % ZS_EXTENT_PAGES, n);
	e->nr_committed = (uint16_t)(e->nr_committed + more);
	count_pool(a, more);
}

void pages_uncommit(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);
	int less = (int)pages_committed(a, first, n);

	bitmap_clear_range(e->committed, first % ZS_EXTENT_PAGES, n);
	e->nr_committed = (uint16_t)(e->nr_committed - less);
	count_pool(a, -less);
}

void pages_gain(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);

	bitmap_set_range(e->committed, first % ZS_EXTENT_PAGES, n);
	e->nr_committed = (uint16_t)(e->nr_committed + n);
	count_spare(a, e, (int)n);
	grew(a, first / ZS_EXTENT_PAGES, ZS_RUN_SPARE);
}

void pages_lose(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);

	bitmap_clear_range(e->committed, first % ZS_EXTENT_PAGES, n);
	e->nr_committed = (uint16_t)(e->nr_committed - n);
	count_spare(a, e, -(int)n);
	grew(a, first / ZS_EXTENT_PAGES, ZS_RUN_BARE);
}

uint64_t extent_word(const struct zs_extent *e, enum zs_run kind, unsigned int word)
{
	switch (kind) {
	case ZS_RUN_SPARE:
		return e->committed[word] & ~e->used[word];
	case ZS_RUN_UNUSED:
		return ~e->used[word];
	default:
		return ~(e->used[word] | e->committed[word]);
	}
}

/* Where in the extent a run of N pages of a kind starts, or -1, which is remembered. */
static int find_in(struct zs_extent *e, enum zs_run kind, unsigned int n)
{
	uint64_t map[WORDS];
	int at;

	if (e->absent[kind] && e->absent[kind] <= n)
		return -1;
	for (unsigned int w = 0; w < WORDS; w++)
		map[w] = extent_word(e, kind, w);
	at = bitmap_find_run(map, ZS_EXTENT_PAGES, n);
	if (at < 0)
		e->absent[kind] = (uint16_t)n;
	return at;
}

int64_t pages_find(struct zs_arena *a, enum zs_run kind, unsigned int n, bool partly)
{
	uint32_t end = kind == ZS_RUN_SPARE || partly ? a->top_extent : a->nr_extents;
	bool passed = false; /* an extent that others may use: the hint must stay below it */

	for (uint32_t i = a->hint[kind][n]; i < end; i++) {
		struct zs_extent *e = &a->extents[i];
		int at;

		/* Beyond what was ever used, descriptors have no memory and all pages are bare. */
		if (i >= a->top_extent && i >= a->ready_map / ZS_EXTENT_PAGES)
			return (int64_t)i * ZS_EXTENT_PAGES;
		if (e->closed || (partly && e->nr_used == 0)) {
			passed = true;
			continue;
		}
		at = find_in(e, kind, n);
		if (!passed)
			a->hint[kind][n] = i;
		if (at >= 0)
			return (int64_t)i * ZS_EXTENT_PAGES + at;
	}
	return -1;
}

unsigned int pages_find_top_spare(struct zs_arena *a, unsigned int max, uint32_t *ret_first)
{
	for (; a->top_spare > 0; a->top_spare--) {
		const struct zs_extent *e = &a->extents[a->top_spare - 1];
		unsigned int w = WORDS, top, n = 0;
		uint64_t word;

		if (e->nr_spare == 0)
			continue;
		while ((word = extent_word(e, ZS_RUN_SPARE, --w)) == 0)
			;
		top = w * 64 + 63 - (unsigned int)__builtin_clzll(word);
		while (n < max && n <= top && bitmap_test(e->committed, top - n) &&
		       !bitmap_test(e->used, top - n))
			n++;
		*ret_first = (a->top_spare - 1) * ZS_EXTENT_PAGES + top + 1 - n;
		return n;
	}
	return 0;
}
