/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lifting: what compaction leaves of a class is one zspage that is part full, and the part of its
 * last page. Where that is a few objects, they are better off in free cells of slightly larger
 * classes: in a small pool those pages, one a class, are most of what is lost.
 *
 * An object changes class here, and nobody holds two class locks. So it goes in three steps: a cell
 * of the larger class is taken for its owner, the object is moved under the lock of its own class,
 * and whichever of the two cells is then nobody's is freed. Between the steps the new cell is like
 * one that zs_alloc() has just handed out.
 */
#include "allocator/move.h"
#include "allocator/worker.h"
#include "common/step.h"

/* More objects than this deserve pages of their own. */
#define LIFT_OBJECTS 16

/*
 * A free cell in a class above C, but not too far above, for OWNER, whose object may be a FALLBACK.
 * False: there is none.
 */
static bool take_larger(struct zs_pool *pool, const struct zs_class *c, uint32_t owner,
			bool fallback, zs_ref *ret_ref)
{
	for (uint32_t i = zs_class_index(pool, c) + 1U; i < pool->raw_class; i++) {
		struct zs_class *larger = &pool->classes[i];
		struct zspage *z;

		if (!class_is_near(larger, c))
			return false;
		pthread_mutex_lock(&larger->lock);
		z = zspage_fullest(pool, larger);
		if (z) {
			*ret_ref = cell_ref(larger, z, cell_take(pool, larger, z, owner));
			if (fallback)
				zspage_mark_fallbacks(larger, z);
			zspage_regroup(pool, larger, z);
		}
		pthread_mutex_unlock(&larger->lock);
		if (z)
			return true;
	}
	return false;
}

/*
 * Move the object in a live cell of Z, pinned, to a larger class. Class lock, dropped meanwhile.
 * False: there is no cell for it, or its owner was busy.
 */
static bool lift_cell(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int cell,
		      uint32_t owner)
{
	bool taken, fallback = z->fallbacks;
	zs_ref to;

	pthread_mutex_unlock(&c->lock);
	taken = take_larger(pool, c, owner, fallback, &to);
	STEP("lift: cell taken");
	pthread_mutex_lock(&c->lock);
	if (!taken || !move_out(pool, c, z, cell, owner, to))
		return false;
	STEP("lift: moved");
	return true;
}

/* The zspage whose objects are to be lifted, or NULL. */
static struct zspage *liftable(struct zs_pool *pool, struct zs_class *c)
{
	uint32_t lists = c->groups & ~(1U << ZS_GROUP_FULL);
	struct zspage *z;

	if (!lists || c->cells == 1)
		return NULL;
	z = zspage_first(pool, c, (unsigned int)__builtin_ctz(lists));
	return z && z->used <= LIFT_OBJECTS ? z : NULL;
}

static unsigned int lift_class(struct zs_pool *pool, struct zs_class *c)
{
	unsigned int moved = 0;
	struct zspage *z;
	uint32_t owner;

	pthread_mutex_lock(&c->lock);
	z = liftable(pool, c);
	if (z) {
		zspage_pin(pool, c, z);
		for (unsigned int cell = c->cells; cell-- > 0 && z->used > 0;) {
			if (!cell_live(pool, c, z, cell, &owner))
				continue;
			if (!lift_cell(pool, c, z, cell, owner))
				break;
			moved++;
		}
		if (z->used == 0) {
			STEP("lift: zspage emptied");
			add_relaxed(&pool->pages_compacted, z->committed);
			zspage_destroy(pool, c, z);
		} else {
			zspage_unpin(pool, c, z);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return moved;
}

void lift_pass(struct zs_pool *pool)
{
	for (uint32_t i = 0; i < pool->raw_class && !load_relaxed(&pool->mover.stop); i++)
		add_relaxed(&pool->objects_compacted, lift_class(pool, &pool->classes[i]));
}
