/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "allocator/arena.h"
#include "allocator/worker.h"
#include "allocator/zspage.h"

/* Hand a cell of Z out, which is on a list. */
static zs_ref take(struct zs_pool *pool, struct zs_class *c, struct zspage *z, uint32_t owner)
{
	unsigned int cell = cell_take(pool, c, z, owner);

	zspage_regroup(pool, c, z);
	return cell_ref(c, z, cell);
}

int zs_alloc(struct zs_pool *pool, uint32_t owner, size_t len, zs_ref *ret_ref)
{
	struct zs_class *c = zs_class_of(pool, len);
	bool look = false, wants = false;
	struct zspage *z;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	z = zspage_fullest(pool, c);
	if (unlikely(!z)) {
		r = zspage_make(pool, c, ARENA_SPARE, &z);
		if (r == 0)
			zspage_unpin(pool, c, z);
		look = true;
	}
	if (likely(r == 0)) {
		*ret_ref = take(pool, c, z, owner);
		wants = z->group == ZS_GROUP_TAIL;
		if (unlikely(wants))
			store_relaxed(&c->wants, true);
	}
	pthread_mutex_unlock(&c->lock);
	if (unlikely(look || wants))
		keeper_look(pool, wants);
	return r;
}

/*
 * How many pages a zspage that is to grow should have in the end: about 1.5% of its class more; at
 * the least (ret_need) what its next fresh cell needs. Class lock.
 */
static unsigned int growth(const struct zs_class *c, const struct zspage *z, unsigned int *ret_need)
{
	uint64_t goal = z->committed + (uint64_t)c->zspages * c->pages / 64;

	*ret_need = zspage_pages(c, z->fresh + 1U);
	return (unsigned int)min_u64(max_u64(goal, *ret_need), c->pages);
}

/* A zspage of the class that memory can be committed to, pinned. Errors of arena_take(). */
static int refill_candidate(struct zs_pool *pool, struct zs_class *c, struct zspage **ret_zspage)
{
	*ret_zspage = zspage_first(pool, c, ZS_GROUP_TAIL);
	if (!*ret_zspage)
		return zspage_make(pool, c, ARENA_ANY, ret_zspage);
	zspage_pin(pool, c, *ret_zspage);
	return 0;
}

/* Commit pages to Z, pinned, up to GOAL, or, near the limit, to NEED. How many it has then. */
static int grow(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int need,
		unsigned int goal)
{
	struct zs_arena *a = &pool->arena;
	unsigned int has = z->committed; /* the pinner's alone to change */
	int r = (int)has;

	/* When a new zspage's run was spare in part, it has room as it is. */
	if (need > has) {
		r = arena_grow(a, z->first, c->pages, has, goal);
		if (r == -ENOSPC && goal > need)
			r = arena_grow(a, z->first, c->pages, has, need);
	}
	return r;
}

int zs_grow(struct zs_pool *pool, struct zs_class *c)
{
	unsigned int need = 0, goal = 0;
	struct zspage *z;
	int r;

	pthread_mutex_lock(&c->lock);
	r = zspage_fullest(pool, c) ? 1 : refill_candidate(pool, c, &z);
	if (r == 0)
		goal = growth(c, z, &need);
	pthread_mutex_unlock(&c->lock);
	if (r != 0)
		return r > 0 || r == -EAGAIN ? 0 : r; /* another thread was first: try again */

	r = grow(pool, c, z, need, goal);
	pthread_mutex_lock(&c->lock);
	if (r > 0)
		zspage_set_committed(c, z, (unsigned int)r);
	bump(&c->opened, 1);
	zspage_unpin(pool, c, z);
	if (z->used == 0 && zspage_room(c, z) == 0) {
		zspage_unlist(pool, c, z);
		zspage_destroy(pool, c, z);
	}
	pthread_mutex_unlock(&c->lock);
	keeper_look(pool, false);
	return r < 0 ? r : 0;
}

static int refill(struct zs_pool *pool, struct zs_class *c)
{
	int r = arena_prepare(&pool->arena);

	return r < 0 ? r : zs_grow(pool, c);
}

int zs_refill(struct zs_pool *pool, size_t len)
{
	struct zs_class *c = zs_class_of(pool, len);
	int r = refill(pool, c);

	add_relaxed(&pool->refills, 1);
	if (r == -ENOSPC) {
		/* Pages that no cell of another class has reached are better used here. */
		keeper_trim(pool, TRIM_ALL);
		r = refill(pool, c);
	}
	if (r == -ENOSPC) {
		mover_make_room(pool);
		r = refill(pool, c);
	}
	return r;
}

/* Frees that a class sees before the mover is asked whether compaction has become worth it. */
#define FREES_PER_LOOK 128

void zs_free(struct zs_pool *pool, zs_ref ref)
{
	struct zs_arena *a = &pool->arena;
	uint32_t page = (uint32_t)(ref * ZS_REF_UNIT / ZS_PAGE_SIZE);
	/* The cell is the caller's: its zspage can neither go nor change class. */
	struct zspage *z = &a->zspages[load_relaxed(&a->page_map[page]) - 1];
	struct zs_class *c = &pool->classes[load_relaxed(&z->klass)];
	bool emptied = false, look;

	pthread_mutex_lock(&c->lock);
	cell_put(pool, c, z, cell_of(c, z, ref));
	if (!z->pinned) {
		emptied = z->used == 0;
		if (emptied) {
			zspage_unlist(pool, c, z);
			zspage_destroy(pool, c, z);
		} else {
			zspage_regroup(pool, c, z);
		}
	}
	look = ++c->frees >= FREES_PER_LOOK;
	if (look)
		c->frees = 0;
	pthread_mutex_unlock(&c->lock);
	if (unlikely(look))
		mover_look(pool);
	if (unlikely(emptied))
		keeper_look(pool, false);
}

void *zs_payload(const struct zs_pool *pool, zs_ref ref, size_t len)
{
	return pool->arena.base + ref * ZS_REF_UNIT + (len > ZS_MAX_SMALL ? 0 : ZS_OWNER_SIZE);
}

void zs_prefetch(const struct zs_pool *pool, zs_ref ref)
{
	__builtin_prefetch(pool->arena.base + ref * ZS_REF_UNIT, 1);
	__builtin_prefetch(&pool->arena.page_map[ref * ZS_REF_UNIT / ZS_PAGE_SIZE]);
}
