/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery of zspages: see recover.c. */
#include <string.h>

#include "allocator/recover.h"
#include "allocator/zspage.h"
#include "common/bitmap.h"
#include "common/os.h"

#define MOST_CELLS (ZS_MAX_PAGES * ZS_PAGE_SIZE / ZS_MIN_CELL)

struct zs_class *zspage_class_of_tag(struct zs_pool *pool, uint32_t tag)
{
	uint32_t klass = tag & ZS_TAG_RAW ? pool->raw_class : tag - 1;

	return klass < pool->nr_classes ? &pool->classes[klass] : NULL;
}

void zspage_remake(struct zs_pool *pool, struct zspage *z, uint32_t tag)
{
	z->free_head = ZS_CELL_NONE;
	z->raw = z->klass == pool->raw_class;
	if (z->raw)
		z->owner = tag & ZS_TAG_RAW ? tag & ~ZS_TAG_RAW : ZS_HOLE;
}

bool zspage_holds(struct zs_pool *pool, struct zspage *z, zs_ref ref, size_t len)
{
	struct zs_class *c = &pool->classes[z->klass];
	unsigned int cell;

	if (z->raw != (len > ZS_MAX_SMALL))
		return false;
	cell = cell_of(c, z, ref);
	if (cell >= c->cells || cell_ref(c, z, cell) != ref)
		return false;
	if (!z->raw && len + ZS_OWNER_SIZE > c->cell)
		return false;
	if (!class_is_near(c, zs_class_of(pool, len)))
		zspage_mark_fallbacks(c, z);
	return true;
}

/* Of the zspage at hand: which cells are live, and the first behind the last of them. */
struct cells {
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

static void claim_cells(struct recovery *k, const struct zs_class *c, struct zspage *z,
			struct cells *cells)
{
	memset(cells, 0, sizeof(*cells));
	for (unsigned int cell = 0; cell < c->cells; cell++) {
		if (!claim_cell(k, c, z, cell))
			continue;
		bitmap_set_range(cells->live, cell, 1);
		z->used++;
		cells->fresh = cell + 1;
	}
	k->found.objects += z->used;
}

/* Cells before the last live one that are not live are holes, the lowest the first to be taken. */
static void make_holes(struct recovery *k, const struct zs_class *c, struct zspage *z,
		       const struct cells *cells)
{
	z->fresh = (uint16_t)cells->fresh;
	z->free_head = ZS_CELL_NONE;
	for (unsigned int cell = cells->fresh; cell-- > 0;) {
		uint32_t *word = cell_word(k->pool, c, z, cell);

		if (bitmap_test(cells->live, cell))
			continue;
		k->found.freed += !(*word & ZS_HOLE);
		*word = ZS_HOLE | z->free_head;
		z->free_head = (uint16_t)cell;
	}
}

int zspage_recover(struct recovery *k, struct zs_class *c, struct zspage *z)
{
	struct cells cells;
	unsigned int at = z->first % ZS_EXTENT_PAGES, need, has;

	claim_cells(k, c, z, &cells);
	if (z->used == 0) {
		k->found.freed += z->raw && !(z->owner & ZS_HOLE);
		return 0;
	}
	/* A page of it that is swapped out, with no object: it has to be there again. */
	need = zspage_pages(c, cells.fresh);
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
		make_holes(k, c, z, &cells);
	c->room += zspage_room(c, z) - z->used;
	bump(&c->opened, 1);
	zspage_enlist(k->pool, c, z);
	return 0;
}
