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

#include "allocator/arena.h"
#include "allocator/pages.h"
#include "allocator/zspage.h"
#include "common/bitmap.h"
#include "common/os.h"
#include "common/step.h"

#define MOST_CELLS   (ZS_MAX_PAGES * ZS_PAGE_SIZE / ZS_MIN_CELL)
#define EXTENT_BYTES ((size_t)ZS_EXTENT_PAGES * ZS_PAGE_SIZE)

/* The class that a tag names, or NULL: no zspage can start there. END: where the last one ended. */
static struct zs_class *class_of_tag(struct zs_pool *pool, uint32_t page, uint32_t end)
{
	uint32_t tag = pool->arena.tags[page];
	uint32_t klass = tag & ZS_TAG_RAW ? pool->raw_class : tag - 1;

	if (tag == 0 || klass >= pool->nr_classes || page < end ||
	    page % ZS_EXTENT_PAGES + pool->classes[klass].pages > ZS_EXTENT_PAGES)
		return NULL;
	return &pool->classes[klass];
}

/* The next zspage from page FROM on, and where the one before ended: its class, or NULL. */
static struct zs_class *next_zspage(struct zs_pool *pool, uint32_t from, uint32_t *ret_first)
{
	uint32_t end = pool->arena.top_extent * ZS_EXTENT_PAGES;

	for (uint32_t page = from; page < end; page++) {
		struct zs_class *c = class_of_tag(pool, page, from);

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
	uint32_t tag = a->tags[first];

	*z = (struct zspage){
		.first = first,
		.klass = zs_class_index(pool, c),
		.free_head = ZS_CELL_NONE,
		.group = ZS_GROUP_NONE,
		.raw = zs_class_index(pool, c) == pool->raw_class,
	};
	if (z->raw)
		z->owner = tag & ZS_TAG_RAW ? tag & ~ZS_TAG_RAW : ZS_HOLE;
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
	struct zs_class *c = z ? &pool->classes[z->klass] : NULL;
	unsigned int cell;

	if (!z || z->raw != (len > ZS_MAX_SMALL))
		return false;
	cell = cell_of(c, z, ref);
	if (cell >= c->cells || cell_ref(c, z, cell) != ref)
		return false;
	if (!z->raw && len + ZS_OWNER_SIZE > c->cell)
		return false;
	/* To be looked at though it be swapped out. Counts are made when all bits are known. */
	bitmap_set_range(a->extents[page / ZS_EXTENT_PAGES].committed,
			 (unsigned int)(page % ZS_EXTENT_PAGES), 1);
	if (!class_is_near(c, zs_class_of(pool, len)))
		zspage_mark_fallbacks(c, z);
	return true;
}

/* What recover_zspage() works with. */
struct recovery {
	struct zs_pool *pool;
	bool (*claim)(void *opaque, uint32_t owner, zs_ref ref);
	void *opaque;
	struct zs_recovered found;
	/* Of the extent at hand: pages that may be read; that have memory for sure. */
	uint64_t readable[ZS_EXTENT_PAGES / 64];
	uint64_t *committed;
	/* Of the zspage at hand: which cells are live, and the first behind the last of them. */
	uint64_t live[(MOST_CELLS + 63) / 64];
	unsigned int fresh;
};

/* Is the cell claimed by its owner? Reads it if it can be read. */
static bool claim_cell(struct recovery *k, const struct zs_class *c, const struct zspage *z,
		       unsigned int cell)
{
	uint64_t offset = (uint64_t)cell * c->cell;
	unsigned int at = z->first % ZS_EXTENT_PAGES;
	unsigned int page = at + (unsigned int)(offset / ZS_PAGE_SIZE);
	unsigned int last = at + (unsigned int)((offset + c->cell - 1) / ZS_PAGE_SIZE);
	uint32_t owner = z->owner;

	if (!bitmap_test(k->readable, page))
		return false;
	if (!z->raw) {
		owner = *cell_word(k->pool, c, z, cell);
		bitmap_set_range(k->committed, page, 1);
	}
	if (owner & ZS_HOLE || !k->claim(k->opaque, owner, cell_ref(c, z, cell)))
		return false;
	bitmap_set_range(k->committed, page, last - page + 1);
	return true;
}

static void claim_cells(struct recovery *k, const struct zs_class *c, struct zspage *z)
{
	memset(k->live, 0, sizeof(k->live));
	k->fresh = 0;
	for (unsigned int cell = 0; cell < c->cells; cell++) {
		if (!claim_cell(k, c, z, cell))
			continue;
		bitmap_set_range(k->live, cell, 1);
		z->used++;
		k->fresh = cell + 1;
	}
	k->found.objects += z->used;
}

/* Cells before the last live one that are not live are holes, the lowest the first to be taken. */
static void make_holes(struct recovery *k, const struct zs_class *c, struct zspage *z)
{
	z->fresh = (uint16_t)k->fresh;
	z->free_head = ZS_CELL_NONE;
	for (unsigned int cell = k->fresh; cell-- > 0;) {
		uint32_t *word = cell_word(k->pool, c, z, cell);

		if (bitmap_test(k->live, cell))
			continue;
		k->found.freed += !(*word & ZS_HOLE);
		*word = ZS_HOLE | z->free_head;
		z->free_head = (uint16_t)cell;
	}
}

/* No object in it: it is none, and its pages are nobody's. */
static void drop_zspage(struct recovery *k, struct zs_class *c, struct zspage *z)
{
	struct zs_arena *a = &k->pool->arena;

	k->found.freed += z->raw && !(z->owner & ZS_HOLE);
	zspage_clear_fallbacks(c, z);
	for (unsigned int i = 0; i < c->pages; i++)
		a->page_map[z->first + i] = 0;
	z->klass = ZS_CLASS_FREE;
	z->next = a->free_zspage;
	a->free_zspage = zspage_index(k->pool, z);
}

static int recover_zspage(struct recovery *k, struct zs_class *c, struct zspage *z)
{
	unsigned int at = z->first % ZS_EXTENT_PAGES, need, has;

	claim_cells(k, c, z);
	if (z->used == 0) {
		drop_zspage(k, c, z);
		STEP("recover: zspage dropped");
		return 0;
	}
	/* A page of it that is swapped out, with no object: it has to be there again. */
	need = zspage_pages(c, k->fresh);
	has = bitmap_run(k->committed, true, at, at + c->pages);
	if (has < need) {
		int r = os_commit(arena_page(&k->pool->arena, z->first),
				  (size_t)need * ZS_PAGE_SIZE);

		if (r < 0)
			return r;
		bitmap_set_range(k->committed, at, need);
		has = bitmap_run(k->committed, true, at, at + c->pages);
	}
	z->committed = (uint8_t)has;
	if (!z->raw)
		make_holes(k, c, z);
	c->zspages++;
	c->used += z->used;
	c->room += zspage_room(c, z) - z->used;
	bump(&c->opened, 1);
	zspage_enlist(k->pool, c, z);
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
