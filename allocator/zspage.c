/* SPDX-License-Identifier: BSD-3-Clause */
#include "allocator/zspage.h"

#include "allocator/arena.h"
#include "common/step.h"

uint32_t *cell_word(const struct zs_pool *pool, const struct zs_class *c, const struct zspage *z,
		    unsigned int cell)
{
	return (uint32_t *)(void *)((char *)arena_page(&pool->arena, z->first) +
				    (size_t)cell * c->cell);
}

static unsigned int group_of(const struct zs_class *c, const struct zspage *z)
{
	unsigned int room = zspage_room(c, z);

	if (z->used < room)
		return z->used * ZS_GROUP_ROOM / c->cells;
	return room < c->cells ? ZS_GROUP_TAIL : ZS_GROUP_FULL;
}

static void enlist(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int g)
{
	uint32_t index = zspage_index(pool, z);

	z->group = g & 15;
	z->prev = ZS_NONE;
	z->next = c->heads[g];
	if (z->next != ZS_NONE)
		pool->arena.zspages[z->next].prev = index;
	c->heads[g] = index;
	c->groups |= 1U << g;
}

void zspage_enlist(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	enlist(pool, c, z, group_of(c, z));
}

void zspage_unlist(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	if (z->prev != ZS_NONE)
		pool->arena.zspages[z->prev].next = z->next;
	else
		c->heads[z->group] = z->next;
	if (z->next != ZS_NONE)
		pool->arena.zspages[z->next].prev = z->prev;
	if (c->heads[z->group] == ZS_NONE)
		c->groups &= ~(1U << z->group);
	z->group = ZS_GROUP_NONE;
}

void zspage_regroup(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	unsigned int g = group_of(c, z);

	if (g == z->group)
		return;
	zspage_unlist(pool, c, z);
	enlist(pool, c, z, g);
}

void zspage_pin(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	zspage_unlist(pool, c, z);
	z->pinned = 1;
}

void zspage_unpin(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	z->pinned = 0;
	zspage_enlist(pool, c, z);
}

void zspage_set_committed(struct zs_class *c, struct zspage *z, unsigned int committed)
{
	c->room -= zspage_room(c, z);
	z->committed = (uint8_t)committed;
	c->room += zspage_room(c, z);
}

int zspage_make(struct zs_pool *pool, struct zs_class *c, enum arena_source source,
		struct zspage **ret_zspage)
{
	struct zs_arena *a = &pool->arena;
	struct zspage *z;
	uint32_t index;
	int r = arena_take(a, zs_class_index(pool, c), c->pages, source, &index);

	if (r < 0)
		return r;
	z = &a->zspages[index];
	z->used = 0;
	z->raw = zs_class_index(pool, c) == pool->raw_class;
	z->fallbacks = 0;
	z->fresh = 0;
	z->free_head = ZS_CELL_NONE;
	z->group = ZS_GROUP_NONE;
	z->pinned = 1;
	c->zspages++;
	c->room += zspage_room(c, z);
	bump(&c->opened, 1);
	/* Migration looks at the map without the class lock, and then again with it. */
	for (unsigned int i = 0; i < c->pages; i++)
		store_relaxed(&a->page_map[z->first + i], index + 1);
	*ret_zspage = z;
	return 0;
}

void zspage_destroy(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	zspage_clear_fallbacks(c, z);
	c->zspages--;
	c->room -= zspage_room(c, z);
	for (unsigned int i = 0; i < c->pages; i++)
		store_relaxed(&pool->arena.page_map[z->first + i], 0);
	arena_put(&pool->arena, zspage_index(pool, z), c->pages);
}

unsigned int cell_take(struct zs_pool *pool, struct zs_class *c, struct zspage *z, uint32_t owner)
{
	unsigned int cell = 0;

	if (z->raw) {
		z->owner = owner;
		arena_tag(&pool->arena, z->first, ZS_TAG_RAW | owner);
	} else {
		uint32_t *word;

		cell = z->free_head != ZS_CELL_NONE ? z->free_head : z->fresh++;
		word = cell_word(pool, c, z, cell);
		if (cell == z->free_head)
			z->free_head = (uint16_t)*word;
		*word = owner;
	}
	z->used++;
	bump(&c->used, 1);
	c->room--;
	return cell;
}

void cell_put(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int cell)
{
	if (z->raw) {
		arena_tag(&pool->arena, z->first, pool->raw_class + 1);
	} else {
		*cell_word(pool, c, z, cell) = ZS_HOLE | z->free_head;
		z->free_head = (uint16_t)cell;
	}
	STEP("cell: put");
	z->used--;
	bump(&c->used, -1);
	c->room++;
}

bool cell_live(const struct zs_pool *pool, const struct zs_class *c, const struct zspage *z,
	       unsigned int cell, uint32_t *ret_owner)
{
	uint32_t word;

	if (z->raw) {
		*ret_owner = z->owner;
		return z->used > 0;
	}
	if (cell >= z->fresh)
		return false;
	word = *cell_word(pool, c, z, cell);
	*ret_owner = word;
	return !(word & ZS_HOLE);
}

void zspage_rebuild(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	uint32_t owner;

	if (z->raw)
		return;
	while (z->fresh > 0 && !cell_live(pool, c, z, z->fresh - 1U, &owner))
		z->fresh--;
	z->free_head = ZS_CELL_NONE;
	for (unsigned int cell = z->fresh; cell-- > 0;) {
		if (cell_live(pool, c, z, cell, &owner))
			continue;
		*cell_word(pool, c, z, cell) = ZS_HOLE | z->free_head;
		z->free_head = (uint16_t)cell;
	}
}

void zspage_skip_hole(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	z->free_head = (uint16_t)*cell_word(pool, c, z, z->free_head);
}
