/* SPDX-License-Identifier: BSD-3-Clause */
#include "allocator/move.h"

#include <sched.h>

#include "common/step.h"

bool move_cell(struct zs_pool *pool, struct zs_class *c, struct zspage *src, unsigned int cell,
	       struct zspage *dst)
{
	unsigned int to;
	uint32_t owner;

	cell_live(pool, c, src, cell, &owner);
	to = cell_take(pool, c, dst, owner);
	STEP("move: cell taken");
	/* Slot locks are only tried here: their holders may be waiting for this class's lock. */
	if (pool->owner.relocate(pool->owner.opaque, owner, cell_ref(c, src, cell),
				 cell_ref(c, dst, to))) {
		if (unlikely(src->fallbacks))
			zspage_mark_fallbacks(c, dst);
		cell_put(pool, c, src, cell);
		STEP("move: source put");
		return true;
	}
	cell_put(pool, c, dst, to);
	return false;
}

bool move_out(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int cell,
	      uint32_t owner, zs_ref to)
{
	/* Freed meanwhile, the cell is a hole and its owner names something else: not moved. */
	if (pool->owner.relocate(pool->owner.opaque, owner, cell_ref(c, z, cell), to)) {
		cell_put(pool, c, z, cell);
		return true;
	}
	pthread_mutex_unlock(&c->lock);
	zs_free(pool, to);
	pthread_mutex_lock(&c->lock);
	return false;
}

void move_pause(struct zs_class *c)
{
	pthread_mutex_unlock(&c->lock);
	sched_yield();
	pthread_mutex_lock(&c->lock);
}

unsigned int move_all(struct zs_pool *pool, struct zs_class *c, struct zspage *src,
		      struct zspage *(*next_dst)(struct zs_pool *pool, struct zs_class *c,
						 struct zspage *hint),
		      struct zspage *hint)
{
	unsigned int moved = 0, in_step = 0;

	/* From the end, so that what stays, if not all can go, stands in few pages. */
	for (unsigned int cell = c->cells; cell-- > 0 && src->used > 0;) {
		struct zspage *dst;
		uint32_t owner;

		if (!cell_live(pool, c, src, cell, &owner))
			continue;
		if (in_step == MOVES_PER_STEP) {
			move_pause(c);
			in_step = 0;
			if (!cell_live(pool, c, src, cell, &owner))
				continue;
		}
		dst = next_dst(pool, c, hint);
		if (!dst)
			break;
		moved += move_cell(pool, c, src, cell, dst);
		in_step++;
		if (!dst->pinned)
			zspage_regroup(pool, c, dst);
	}
	return moved;
}
