/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lowering: fallbacks, which took cells of a larger class when there were no pages in a row for
 * their own (zs_alloc), move to cells of their own class. Not before the reserve is full again: what they
 * are moved to is memory of which writes may be in need.
 *
 * The steps are those of lifting, downwards: see lift.c.
 */
#include "allocator/arena.h"
#include "allocator/move.h"
#include "allocator/worker.h"
#include "common/step.h"

bool lower_pending(struct zs_pool *pool)
{
	for (uint32_t i = 0; i < pool->nr_classes; i++)
		if (load_relaxed(&pool->classes[i].fallbacks) > 0)
			return true;
	return false;
}

static bool has_time(struct zs_pool *pool)
{
	const struct zs_arena *a = &pool->arena;

	return !load_relaxed(&pool->mover.stop) &&
	       (!load_relaxed(&pool->started) ||
		load_relaxed(&a->spare) >= load_relaxed(&a->reserve));
}

static bool take_free(struct zs_pool *pool, struct zs_class *c, uint32_t owner, zs_ref *ret_ref)
{
	struct zspage *z;

	pthread_mutex_lock(&c->lock);
	z = zspage_fullest(pool, c);
	if (z) {
		*ret_ref = cell_ref(c, z, cell_take(pool, c, z, owner));
		zspage_regroup(pool, c, z);
	}
	pthread_mutex_unlock(&c->lock);
	return z != NULL;
}

/* A cell of the class for OWNER, with memory that is committed for it if need be. Blocks. */
static bool take_own(struct zs_pool *pool, struct zs_class *own, uint32_t owner, zs_ref *ret_ref)
{
	if (take_free(pool, own, owner, ret_ref))
		return true;
	return arena_prepare(&pool->arena) == 0 && zspage_grow(pool, own, ARENA_BARE) == 0 &&
	       take_free(pool, own, owner, ret_ref);
}

/*
 * Move what is in a live cell of Z, pinned, if it is a fallback. Class lock, dropped meanwhile. False:
 * it may be one and has to stay.
 */
static bool lower_cell(struct zs_pool *pool, struct zs_class *c, struct zspage *z,
		       unsigned int cell, uint32_t owner)
{
	size_t len = pool->owner.length(pool->owner.opaque, owner, cell_ref(c, z, cell));
	struct zs_class *own;
	bool taken;
	zs_ref to;

	/* Just handed out, or about to be freed. */
	if (len == 0)
		return false;
	own = zs_class_of(pool, len);
	if (class_is_near(c, own))
		return true;
	pthread_mutex_unlock(&c->lock);
	taken = has_time(pool) && take_own(pool, own, owner, &to);
	STEP("lower: cell taken");
	pthread_mutex_lock(&c->lock);
	if (!taken || !move_out(pool, c, z, cell, owner, to))
		return false;
	STEP("lower: moved");
	add_relaxed(&pool->objects_compacted, 1);
	return true;
}

/* The fallbacks of Z, of class C, whose lock is held and dropped meanwhile. */
static void lower_zspage(struct zs_pool *pool, struct zs_class *c, struct zspage *z)
{
	bool all = true;
	uint32_t owner;

	/* Pinned: whatever is freed meanwhile, no cell of it is handed out again. */
	zspage_pin(pool, c, z);
	for (unsigned int cell = c->cells; cell-- > 0 && z->used > 0;)
		if (cell_live(pool, c, z, cell, &owner))
			all = lower_cell(pool, c, z, cell, owner) && all;
	if (all)
		zspage_clear_fallbacks(c, z);
	if (z->used > 0)
		zspage_unpin(pool, c, z);
	else
		zspage_destroy(pool, c, z);
}

static void lower_at(struct zs_pool *pool, struct zspage *z)
{
	uint16_t klass = load_relaxed(&z->klass);
	struct zs_class *c;

	if (klass == ZS_CLASS_FREE)
		return;
	c = &pool->classes[klass];
	if (load_relaxed(&c->fallbacks) == 0)
		return;
	pthread_mutex_lock(&c->lock);
	if (load_relaxed(&z->klass) == klass && z->fallbacks && !z->pinned)
		lower_zspage(pool, c, z);
	pthread_mutex_unlock(&c->lock);
}

void lower_pass(struct zs_pool *pool)
{
	struct zs_arena *a = &pool->arena;

	if (!lower_pending(pool))
		return;
	for (uint32_t i = 0; i < load_relaxed(&a->nr_zspages) && has_time(pool); i++)
		lower_at(pool, &a->zspages[i]);
}
