/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration: what is in the extent that holds the fewest pages moves, object by object, to runs in
 * the other extents, so that 2 MiB in a row come free.
 */
#include <errno.h>

#include "allocator/allocator.h"
#include "allocator/move.h"
#include "allocator/worker.h"
#include "common/step.h"

static struct zspage *the_new_one(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	return z->used < zspage_room(c, z) ? z : NULL;
}

/* Pin the zspage at PAGE; it may be gone, or pinned by another: NULL. Class locked if not NULL. */
static struct zspage *pin_at(struct zs_pool *pool, uint32_t page, struct zs_class **ret_class)
{
	struct zs_arena *a = &pool->arena;
	uint32_t entry = load_relaxed(&a->page_map[page]);
	struct zspage *z = entry ? &a->zspages[entry - 1] : NULL;
	uint16_t klass = z ? load_relaxed(&z->klass) : ZS_CLASS_FREE;

	if (klass == ZS_CLASS_FREE)
		return NULL;
	*ret_class = &pool->classes[klass];
	pthread_mutex_lock(&(*ret_class)->lock);
	/* Entries of this class's zspages change under this lock: is it still what it was? */
	if (load_relaxed(&a->page_map[page]) == entry && load_relaxed(&z->klass) == klass &&
	    !z->pinned) {
		zspage_pin(pool, *ret_class, z);
		return z;
	}
	pthread_mutex_unlock(&(*ret_class)->lock);
	return NULL;
}

/* A pinned zspage in another extent, with memory for N cells. Class lock, dropped meanwhile. */
static struct zspage *make_copy(struct zs_pool *pool, struct zs_class *c, unsigned int n)
{
	unsigned int pages = zspage_pages(c, n);
	struct zspage *z;
	int r = zspage_make(pool, c, ARENA_PARTLY, &z);

	if (r < 0)
		return NULL;
	if (z->committed < pages) {
		pthread_mutex_unlock(&c->lock);
		r = arena_grow(&pool->arena, z->first, c->pages, z->committed, pages);
		pthread_mutex_lock(&c->lock);
		if (r > 0)
			zspage_set_committed(c, z, (unsigned int)r);
	}
	if (r >= 0)
		return z;
	zspage_destroy(pool, c, z);
	return NULL;
}

static void unpin_or_destroy(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	if (z->used > 0)
		zspage_unpin(pool, c, z);
	else
		zspage_destroy(pool, c, z);
}

bool zspage_migrate(struct zs_pool *pool, uint32_t page)
{
	struct zs_class *c;
	struct zspage *z = pin_at(pool, page, &c), *copy;
	bool moved = false;

	if (!z)
		return load_relaxed(&pool->arena.page_map[page]) == 0;
	copy = make_copy(pool, c, z->used);
	if (copy) {
		STEP("migrate: copy made");
		add_relaxed(&pool->objects_migrated, move_all(pool, c, z, the_new_one, copy));
		unpin_or_destroy(pool, c, copy);
	}
	STEP("migrate: zspage moved");
	moved = z->used == 0;
	unpin_or_destroy(pool, c, z);
	pthread_mutex_unlock(&c->lock);
	return moved;
}

/* True: all of it has come free. */
static bool migrate_extent(struct zs_pool *pool, uint32_t extent)
{
	uint32_t first = extent * ZS_EXTENT_PAGES;

	for (uint32_t page = first; page < first + ZS_EXTENT_PAGES; page++) {
		if (load_relaxed(&pool->mover.stop))
			break;
		if (load_relaxed(&pool->arena.page_map[page]) &&
		    !pool->allocator->migrate(pool, page))
			break; /* what is busy now is worth another try later, not a wait */
	}
	return arena_reopen(&pool->arena, extent);
}

void migrate_pass(struct zs_pool *pool)
{
	uint32_t extent;

	while (!load_relaxed(&pool->mover.stop) &&
	       arena_close_sparsest(&pool->arena, &extent) == 0) {
		if (!migrate_extent(pool, extent))
			break;
		add_relaxed(&pool->extents_migrated, 1);
	}
}

void migrate_if_worth(struct zs_pool *pool, bool settled)
{
	/* Whole extents cost more copying than pages: for those ask eight times as much. */
	if (arena_fragmented(&pool->arena) > 8 * mover_worth(pool, settled) + ZS_EXTENT_PAGES)
		migrate_pass(pool);
}
