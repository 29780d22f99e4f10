/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery: zspages of the tags, then cells of what the slots say; all counts and lists last.
 *
 * What is read may be of any kind, not only what a kill has left: a tag is a zspage's when its class
 * is known and its pages are nobody else's, and a cell is an object's when the owner in it and the
 * slot name each other. One slot has one ref and one cell one owner, so no cell is claimed twice.
 *
 * A kill in the middle is followed by another recovery, which finds no less: what is changed here is
 * only what no slot can be believed about. Cells become holes, tags of zspages that hold nothing are
 * cleared; every cell that a slot names and that names the slot stays as it is.
 */
#include <string.h>

#include "allocator/pages.h"
#include "allocator/recover.h"
#include "allocator/zspage.h"
#include "common/bitmap.h"
#include "common/os.h"
#include "common/step.h"

#define EXTENT_BYTES ((size_t)ZS_EXTENT_PAGES * ZS_PAGE_SIZE)

/* The class that a tag names, or NULL: no zspage can start there. */
static struct zs_class *class_at(struct zs_pool *pool, uint32_t page)
{
	uint32_t tag = pool->arena.tags[page];
	struct zs_class *c = tag == 0 ? NULL : pool->allocator->class_of_tag(pool, tag);

	return c && page % ZS_EXTENT_PAGES + c->pages <= ZS_EXTENT_PAGES ? c : NULL;
}

/* The next zspage from page FROM on, and where the one before ended: its class, or NULL. */
static struct zs_class *next_zspage(struct zs_pool *pool, uint32_t from, uint32_t *ret_first)
{
	uint32_t end = pool->arena.top_extent * ZS_EXTENT_PAGES;

	for (uint32_t page = from; page < end; page++) {
		struct zs_class *c = class_at(pool, page);

		if (c) {
			*ret_first = page;
			return c;
		}
	}
	return NULL;
}

/* The word that should say so says nothing: the last extent that has memory. */
static int find_top(const struct zs_arena *a, uint32_t *ret_top)
{
	uint8_t resident[ZS_EXTENT_PAGES];

	*ret_top = 0;
	for (uint32_t i = 0; i < a->nr_extents; i++) {
		int r = os_resident(arena_page(a, i * ZS_EXTENT_PAGES), EXTENT_BYTES, resident);

		if (r < 0)
			return r;
		for (unsigned int k = 0; k < ZS_EXTENT_PAGES; k++)
			if (resident[k] & 1)
				*ret_top = i + 1;
	}
	return 0;
}

uint64_t zs_top_of_none(void)
{
	return arena_top_word(0);
}

/* Where the top had to be found, beyond it may be tags, of zspages of which nothing is left. */
static int forget_tags(struct zs_arena *a, uint32_t top)
{
	uint64_t from = (uint64_t)top * ZS_EXTENT_PAGES * sizeof(*a->tags);
	uint64_t start = align_up(from, ZS_PAGE_SIZE), end = a->nr_pages * sizeof(*a->tags);

	/* Of a page of tags the later half may be beyond. */
	for (uint64_t i = from / sizeof(*a->tags); i < min_u64(start, end) / sizeof(*a->tags); i++)
		arena_tag(a, (uint32_t)i, 0);
	if (start >= end)
		return 0;
	return os_release_shared((char *)a->tags + start, align_up(end, ZS_PAGE_SIZE) - start);
}

static int read_top(struct zs_arena *a)
{
	uint64_t word = *a->top;
	uint32_t top = (uint32_t)word;
	int r = 0;

	if (word != arena_top_word(top) || top > a->nr_extents) {
		r = find_top(a, &top);
		if (r == 0)
			r = forget_tags(a, top);
	}
	if (r < 0)
		return r;
	a->top_extent = top;
	*a->top = arena_top_word(top);
	return 0;
}

static void make_zspage(struct zs_pool *pool, uint32_t index, const struct zs_class *c,
			uint32_t first)
{
	struct zs_arena *a = &pool->arena;
	struct zspage *z = &a->zspages[index];

	*z = (struct zspage){
		.first = first,
		.klass = zs_class_index(pool, c),
		.group = ZS_GROUP_NONE,
	};
	pool->allocator->remake(pool, z, a->tags[first]);
	for (unsigned int i = 0; i < c->pages; i++)
		a->page_map[first + i] = index + 1;
}

int zs_recover_zspages(struct zs_pool *pool)
{
	struct zs_arena *a = &pool->arena;
	uint32_t first, at = 0, n = 0;
	struct zs_class *c;
	int r = read_top(a);

	/* The tables for all that was ever used; then, when they are counted, the descriptors. */
	if (r == 0)
		r = arena_prepare(a);
	if (r < 0)
		return r;
	for (; (c = next_zspage(pool, at, &first)) != NULL; at = first + c->pages)
		a->nr_zspages++;
	r = arena_prepare(a);
	if (r < 0)
		return r;
	for (at = 0; (c = next_zspage(pool, at, &first)) != NULL; at = first + c->pages)
		make_zspage(pool, n++, c, first);
	STEP("recover: zspages made");
	return 0;
}

static struct zspage *zspage_at(const struct zs_arena *a, uint64_t page)
{
	uint32_t entry;

	if (page >= (uint64_t)a->top_extent * ZS_EXTENT_PAGES)
		return NULL;
	entry = a->page_map[page];
	return entry ? &a->zspages[entry - 1] : NULL;
}

bool zs_recover_holds(struct zs_pool *pool, zs_ref ref, size_t len)
{
	struct zs_arena *a = &pool->arena;
	uint64_t page = ref * ZS_REF_UNIT / ZS_PAGE_SIZE;
	struct zspage *z = zspage_at(a, page);

	if (!z || !pool->allocator->holds(pool, z, ref, len))
		return false;
	/* To be looked at though it be swapped out. Counts are made when all bits are known. */
	bitmap_set_range(a->extents[page / ZS_EXTENT_PAGES].committed,
			 (unsigned int)(page % ZS_EXTENT_PAGES), 1);
	return true;
}

/* No object in it: it is none, and its pages are nobody's. */
static void drop_zspage(struct recovery *k, struct zs_class *c, struct zspage *z)
{
	struct zs_arena *a = &k->pool->arena;

	zspage_clear_fallbacks(c, z);
	for (unsigned int i = 0; i < c->pages; i++)
		a->page_map[z->first + i] = 0;
	z->klass = ZS_CLASS_FREE;
	z->next = a->free_zspage;
	a->free_zspage = zspage_index(k->pool, z);
}

static int recover_zspage(struct recovery *k, struct zs_class *c, struct zspage *z)
{
	int r = k->pool->allocator->recover(k, c, z);

	if (r < 0)
		return r;
	if (z->used == 0) {
		drop_zspage(k, c, z);
		STEP("recover: zspage dropped");
		return 0;
	}
	c->zspages++;
	c->used += z->used;
	STEP("recover: zspage rebuilt");
	return 0;
}

/* What memory the extent has, by the kernel; and what it has besides, by the slots. */
static int look_at_extent(struct recovery *k, uint32_t extent)
{
	struct zs_arena *a = &k->pool->arena;
	uint8_t resident[ZS_EXTENT_PAGES];
	int r = os_resident(arena_page(a, extent * ZS_EXTENT_PAGES), EXTENT_BYTES, resident);

	if (r < 0)
		return r;
	k->committed = a->extents[extent].committed;
	memcpy(k->readable, k->committed, sizeof(k->readable));
	memset(k->committed, 0, sizeof(k->readable));
	for (unsigned int i = 0; i < ZS_EXTENT_PAGES; i++)
		if (resident[i] & 1)
			bitmap_set_range(k->committed, i, 1);
	for (unsigned int w = 0; w < ZS_EXTENT_PAGES / 64; w++)
		k->readable[w] |= k->committed[w];
	return 0;
}

/* The counts of an extent, all of whose bits are known, and its part in the arena's. */
static void count_extent(struct zs_arena *a, uint32_t extent)
{
	struct zs_extent *e = &a->extents[extent];

	e->nr_used = (uint16_t)bitmap_count_range(e->used, 0, ZS_EXTENT_PAGES);
	e->nr_committed = (uint16_t)bitmap_count_range(e->committed, 0, ZS_EXTENT_PAGES);
	for (unsigned int w = 0; w < ZS_EXTENT_PAGES / 64; w++)
		e->nr_spare = (uint16_t)(e->nr_spare +
					 __builtin_popcountll(extent_word(e, ZS_RUN_SPARE, w)));
	a->used += e->nr_used;
	a->spare += e->nr_spare;
	a->pool += (uint32_t)e->nr_committed - e->nr_spare;
	a->partly += e->nr_used > 0;
	if (e->nr_spare > 0)
		a->top_spare = extent + 1;
}

static int recover_extent(struct recovery *k, uint32_t extent)
{
	struct zs_arena *a = &k->pool->arena;
	uint32_t first = extent * ZS_EXTENT_PAGES, n;
	int r = look_at_extent(k, extent);

	for (uint32_t page = first; r == 0 && page < first + ZS_EXTENT_PAGES; page += n) {
		struct zspage *z = zspage_at(a, page);
		struct zs_class *c = z ? &k->pool->classes[z->klass] : NULL;

		n = z ? c->pages : 1;
		if (z)
			r = recover_zspage(k, c, z);
		if (r == 0 && z && z->used > 0)
			bitmap_set_range(a->extents[extent].used, page - first, n);
		else if (r == 0 && a->tags[page] != 0)
			arena_tag(a, page, 0);
		/* Within a zspage there is none; one that is found was not believed. */
		for (uint32_t i = 1; i < n; i++)
			if (a->tags[page + i] != 0)
				arena_tag(a, page + i, 0);
	}
	if (r == 0)
		count_extent(a, extent);
	return r;
}

int zs_recover_cells(struct zs_pool *pool, bool (*claim)(void *opaque, uint32_t owner, zs_ref ref),
		     void *opaque, struct zs_recovered *ret_recovered)
{
	struct recovery k = {.pool = pool, .claim = claim, .opaque = opaque};
	struct zs_arena *a = &pool->arena;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < a->top_extent; i++)
		r = recover_extent(&k, i);
	if (r < 0)
		return r;
	a->pool_max = a->pool;
	a->spare_low = a->spare;
	a->ceiling = (uint32_t)max_u64(a->limit, a->pool);
	*ret_recovered = k.found;
	STEP("recover: cells rebuilt");
	return 0;
}
