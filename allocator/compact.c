/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compaction: a class's emptiest zspage is emptied into its fullest ones, as long as they have
 * room for all of it; thoroughly, as long as that frees a page. What is then left half-filled is
 * squeezed: its objects are moved to its front, so that the pages behind them can be given back.
 */
#include "allocator/allocator.h"
#include "allocator/move.h"
#include "allocator/worker.h"
#include "common/step.h"

static uint64_t potential(const struct zs_class *c)
{
	return c->room / c->cells * c->pages;
}

uint64_t zspage_potential(struct zs_pool *pool)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < pool->nr_classes; i++) {
		struct zs_class *c = &pool->classes[i];

		pthread_mutex_lock(&c->lock);
		pages += potential(c);
		pthread_mutex_unlock(&c->lock);
	}
	return pages;
}

/* The zspage with the fewest objects, or NULL. Those with a tail count: they are short ones. */
static struct zspage *emptiest(struct zs_pool *pool, struct zs_class *c)
{
	uint32_t groups = c->groups & ((1U << ZS_GROUP_ROOM) - 1);
	struct zspage *tail = zspage_first(pool, c, ZS_GROUP_TAIL), *z = NULL;

	if (groups)
		z = zspage_first(pool, c, (unsigned int)__builtin_ctz(groups));
	return tail && (!z || tail->used < z->used) ? tail : z;
}

static struct zspage *fullest(struct zs_pool *pool, struct zs_class *c, struct zspage *unused)
{
	return zspage_fullest(pool, c);
}

/* Would moving objects of Z to the others free all of it, or, if THOROUGH, at least a page? */
static bool worth_moving(const struct zs_class *c, const struct zspage *z, bool thorough)
{
	uint64_t elsewhere = c->room - (zspage_room(c, z) - z->used);

	if (elsewhere >= z->used)
		return true;
	return thorough &&
	       zspage_pages(c, z->used - (unsigned int)elsewhere) < zspage_pages(c, z->used);
}

/*
 * Two zspages that are short, with tails: have memory for the objects of one in the other. Without
 * it neither has room, and a trickle of writes would leave many. Blocks.
 */
static void lengthen_short(struct zs_pool *pool, struct zs_class *c)
{
	struct zspage *to = zspage_first(pool, c, ZS_GROUP_TAIL), *from;
	unsigned int pages;
	int r;

	from = to && to->next != ZS_NONE ? &pool->arena.zspages[to->next] : NULL;
	if (!from || to->used + from->used > c->cells)
		return;
	pages = zspage_pages(c, (unsigned int)to->used + from->used);
	zspage_pin(pool, c, to);
	pthread_mutex_unlock(&c->lock);
	r = arena_grow(&pool->arena, to->first, c->pages, to->committed, pages);
	pthread_mutex_lock(&c->lock);
	if (r > 0)
		zspage_set_committed(c, to, (unsigned int)r);
	bump(&c->opened, 1);
	zspage_unpin(pool, c, to);
}

/* Empty one zspage of the class. False: none can be, or its objects were busy. */
static bool compact_one(struct zs_pool *pool, struct zs_class *c, bool thorough)
{
	unsigned int moved = 0;
	bool freed = false;
	struct zspage *z;

	pthread_mutex_lock(&c->lock);
	if (thorough)
		lengthen_short(pool, c);
	z = emptiest(pool, c);
	if (z && worth_moving(c, z, thorough)) {
		zspage_pin(pool, c, z);
		moved = move_all(pool, c, z, fullest, NULL);
		freed = z->used == 0;
		if (freed) {
			STEP("compact: zspage emptied");
			add_relaxed(&pool->pages_compacted, z->committed);
			zspage_destroy(pool, c, z);
		} else {
			zspage_unpin(pool, c, z);
		}
	}
	pthread_mutex_unlock(&c->lock);
	add_relaxed(&pool->objects_compacted, moved);
	return freed || moved > 0;
}

void compact_pass(struct zs_pool *pool, bool thorough)
{
	for (uint32_t i = 0; i < pool->nr_classes && !load_relaxed(&pool->mover.stop); i++)
		while (compact_one(pool, &pool->classes[i], thorough) &&
		       !load_relaxed(&pool->mover.stop))
			;
}

/*
 * A zspage of the class that would need fewer pages with its objects in front; or NULL. After a
 * thorough pass a list with room has one zspage at most, unless objects were busy.
 */
static struct zspage *squeezable(struct zs_pool *pool, struct zs_class *c)
{
	for (unsigned int g = 0; g < ZS_GROUP_ROOM; g++) {
		struct zspage *z = zspage_first(pool, c, g);

		if (z && !z->raw && zspage_pages(c, z->used) < zspage_pages(c, z->fresh))
			return z;
	}
	return NULL;
}

/* Move up to MOVES_PER_STEP objects of Z from its end to its front. False: nothing has changed. */
static bool squeeze_step(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	unsigned int moved = 0, fresh = z->fresh;
	uint32_t owner;

	/* By address: the hole taken next is the lowest. */
	zspage_rebuild(pool, c, z);
	for (unsigned int cell = z->fresh; cell-- > 0 && moved < MOVES_PER_STEP;) {
		if (z->free_head > cell)
			break;
		if (!cell_live(pool, c, z, cell, &owner))
			continue;
		if (!move_cell(pool, c, z, cell, z))
			break;
		moved++;
		/* The next hole to take is the next lowest, not the one that this move has made. */
		zspage_skip_hole(pool, c, z);
	}
	zspage_rebuild(pool, c, z);
	STEP("squeeze: step");
	bump(&c->opened, 1); /* there is something to trim */
	return moved > 0 || z->fresh < fresh;
}

static void squeeze_class(struct zs_pool *pool, struct zs_class *c)
{
	struct zspage *z;

	pthread_mutex_lock(&c->lock);
	while ((z = squeezable(pool, c)) != NULL && squeeze_step(pool, c, z))
		move_pause(c);
	pthread_mutex_unlock(&c->lock);
}

void compact_squeeze(struct zs_pool *pool)
{
	for (uint32_t i = 0; i < pool->nr_classes && !load_relaxed(&pool->mover.stop); i++)
		squeeze_class(pool, &pool->classes[i]);
}

void zspage_work(struct zs_pool *pool, bool settled)
{
	lower_pass(pool);
	if (zspage_potential(pool) > mover_worth(pool, settled))
		compact_pass(pool, settled);
	migrate_if_worth(pool, settled);
	if (settled) {
		lift_pass(pool);
		compact_squeeze(pool);
	}
}

void zspage_compact(struct zs_pool *pool)
{
	lower_pass(pool);
	compact_pass(pool, true);
	migrate_pass(pool);
	lift_pass(pool);
	compact_squeeze(pool);
}

void zspage_compact_lightly(struct zs_pool *pool)
{
	compact_pass(pool, false);
}
