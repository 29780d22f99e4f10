/* SPDX-License-Identifier: BSD-3-Clause */
/* Moving objects: the one step that compaction, squeezing and migration are made of. */
#ifndef ZCRAM_MOVE_H
#define ZCRAM_MOVE_H

#include "allocator/zspage.h"

/* Objects moved under one hold of a class lock: some microseconds. */
#define MOVES_PER_STEP 8

/*
 * Move what is in a live cell of SRC to DST, which has room. Class lock. False: its owner was busy.
 * Both keep their place on their lists, if they are on one.
 */
bool move_cell(struct zs_pool *pool, struct zs_class *c, struct zspage *src, unsigned int cell,
	       struct zspage *dst);

/*
 * Empty SRC, pinned, into the zspages that NEXT_DST gives, in steps, with the class lock dropped
 * between them. Class lock held on entry and return. NEXT_DST is asked under the class lock before
 * each move and returns a zspage with room, or NULL: stop. Returns the number of objects moved.
 */
unsigned int move_all(struct zs_pool *pool, struct zs_class *c, struct zspage *src,
		      struct zspage *(*next_dst)(struct zs_pool *pool, struct zs_class *c,
						 struct zspage *hint),
		      struct zspage *hint);

/*
 * Move the object of OWNER, in a live cell of Z, pinned, to the cell TO of another class, which was
 * taken for it. Class lock, dropped meanwhile. False: its owner was busy; TO has been freed.
 */
bool move_out(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int cell,
	      uint32_t owner, zs_ref to);

/* Let those who wait for the class lock have it. */
void move_pause(struct zs_class *c);

#endif
