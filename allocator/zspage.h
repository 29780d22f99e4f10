/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zspage: cells, and the lists of a class. All of it under the class lock, and none of it blocks,
 * but for the first functions, which need no lock.
 */
#ifndef ZCRAM_ZSPAGE_H
#define ZCRAM_ZSPAGE_H

#include "allocator/arena.h"
#include "allocator/zs-types.h"

/* Compute the classes of the pool, and the table that finds them; their locks are made. */
void zs_classes_init(struct zs_pool *pool);

/* A number that is another when zspages are cut otherwise. */
uint64_t zspage_layout(void);

/* The class of a payload of LEN bytes. */
static inline struct zs_class *zs_class_of(struct zs_pool *pool, size_t len)
{
	uint32_t index = len > ZS_MAX_SMALL
				 ? pool->raw_class
				 : pool->class_of[div_round_up(len + ZS_OWNER_SIZE, ZS_STEP)];

	return &pool->classes[index];
}

static inline uint16_t zs_class_index(const struct zs_pool *pool, const struct zs_class *class)
{
	return (uint16_t)(class - pool->classes);
}

/* The cells of a larger class that are larger by no more than this part are near. */
#define ZS_NEAR 8

/* Is an object of class OWN well enough placed in LARGER, if there are but few of them? */
static inline bool class_is_near(const struct zs_class *larger, const struct zs_class *own)
{
	return larger->cell <= own->cell + own->cell / ZS_NEAR;
}

static inline zs_ref cell_ref(const struct zs_class *c, const struct zspage *z, unsigned int cell)
{
	return ((uint64_t)z->first * ZS_PAGE_SIZE + (uint64_t)cell * c->cell) / ZS_REF_UNIT;
}

/* The number of the cell at REF, which is in Z. */
static inline unsigned int cell_of(const struct zs_class *c, const struct zspage *z, zs_ref ref)
{
	uint64_t offset = ref * ZS_REF_UNIT - (uint64_t)z->first * ZS_PAGE_SIZE;

	return (unsigned int)(offset * c->reciprocal >> 32);
}

/* Cells of Z that have memory. */
static inline unsigned int zspage_room(const struct zs_class *c, const struct zspage *z)
{
	unsigned int n = (unsigned int)z->committed * ZS_PAGE_SIZE / c->cell;

	return n < c->cells ? n : c->cells;
}

/* Pages of Z that its first N cells stand in. */
static inline unsigned int zspage_pages(const struct zs_class *c, unsigned int n)
{
	return (unsigned int)div_round_up((uint64_t)n * c->cell, ZS_PAGE_SIZE);
}

/* Put on the list of its group, pinned or not; take off it. */
void zspage_enlist(struct zs_pool *pool, struct zs_class *c, struct zspage *z);
void zspage_unlist(struct zs_pool *pool, struct zs_class *c, struct zspage *z);

/*
 * Pin: off its list, refuses cells, is not freed when it empties, and its committed pages are the
 * pinner's to change. Unpin puts it back on a list.
 */
void zspage_pin(struct zs_pool *pool, struct zs_class *c, struct zspage *z);
void zspage_unpin(struct zs_pool *pool, struct zs_class *c, struct zspage *z);

/* Tell the class that Z has COMMITTED pages now. Class lock; Z is pinned. */
void zspage_set_committed(struct zs_class *c, struct zspage *z, unsigned int committed);

/* Make a zspage out of a run that arena_take() finds; its errors. It is on no list, and pinned. */
int zspage_make(struct zs_pool *pool, struct zs_class *c, enum arena_source source,
		struct zspage **ret_zspage);

/* Give an empty one back, which is on no list. */
void zspage_destroy(struct zs_pool *pool, struct zs_class *c, struct zspage *z);

/*
 * A free cell of Z, which has room; and back. They keep the counts and not the list: the caller
 * relists Z with zspage_regroup(), unless it is pinned.
 */
unsigned int cell_take(struct zs_pool *pool, struct zs_class *c, struct zspage *z, uint32_t owner);
void cell_put(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int cell);
void zspage_regroup(struct zs_pool *pool, struct zs_class *c, struct zspage *z);

/* The first word of a cell: its owner or its link. Not of a raw page. */
uint32_t *cell_word(const struct zs_pool *pool, const struct zs_class *c, const struct zspage *z,
		    unsigned int cell);

/* Is the cell live, and whose is it? */
bool cell_live(const struct zs_pool *pool, const struct zs_class *c, const struct zspage *z,
	       unsigned int cell, uint32_t *ret_owner);

/* Make the cells after the last live one fresh, and the free list go by address. */
void zspage_rebuild(struct zs_pool *pool, struct zs_class *c, struct zspage *z);

/* Take the first hole off the free list; no cell is given it before zspage_rebuild(). */
void zspage_skip_hole(struct zs_pool *pool, struct zs_class *c, struct zspage *z);

/* There may be fallbacks in Z from now on; there are none left. Class lock. */
static inline void zspage_mark_fallbacks(struct zs_class *c, struct zspage *z)
{
	if (z->fallbacks)
		return;
	z->fallbacks = 1;
	bump(&c->fallbacks, 1);
}

static inline void zspage_clear_fallbacks(struct zs_class *c, struct zspage *z)
{
	if (!z->fallbacks)
		return;
	z->fallbacks = 0;
	bump(&c->fallbacks, -1U);
}

/* What zspages do for a pool of them: see struct zs_allocator. */
int zspage_alloc(struct zs_pool *pool, uint32_t owner, size_t len, zs_ref *ret_ref);
size_t zspage_cell_bytes(struct zs_pool *pool, size_t len);
bool zspage_has_cell(struct zs_pool *pool, size_t len);
bool zspage_put(struct zs_pool *pool, struct zs_class *c, struct zspage *z, zs_ref ref);
int zspage_grow(struct zs_pool *pool, struct zs_class *c, enum arena_source source);
void zspage_work(struct zs_pool *pool, bool settled);
void zspage_compact(struct zs_pool *pool);
void zspage_compact_lightly(struct zs_pool *pool);
uint64_t zspage_potential(struct zs_pool *pool);
bool zspage_migrate(struct zs_pool *pool, uint32_t page);

static inline uint32_t zspage_index(const struct zs_pool *pool, const struct zspage *z)
{
	return (uint32_t)(z - pool->arena.zspages);
}

/* Of list G the first zspage, or NULL. */
static inline struct zspage *zspage_first(struct zs_pool *pool, struct zs_class *c, unsigned int g)
{
	return c->heads[g] == ZS_NONE ? NULL : &pool->arena.zspages[c->heads[g]];
}

/* Of the zspages with room the fullest, or NULL. */
static inline struct zspage *zspage_fullest(struct zs_pool *pool, struct zs_class *c)
{
	uint32_t groups = c->groups & ((1U << ZS_GROUP_ROOM) - 1);

	return groups ? zspage_first(pool, c, 31U - (unsigned int)__builtin_clz(groups)) : NULL;
}

#endif
