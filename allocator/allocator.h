/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * allocator: what differs between the kinds of pools, below zs.h, which is the same for all.
 *
 * A kind cuts pages that it has of the arena, and says how objects move. The rest is common: the
 * arena, its reserve and its limit, the keeper and the mover, when compaction is due, the walk
 * through a store. A kind has descriptors in the arena's table (struct zspage), and at least one
 * class, whose lock its functions are called with where they are given one.
 */
#ifndef ZCRAM_ALLOCATOR_H
#define ZCRAM_ALLOCATOR_H

#include "allocator/arena.h"

struct check;
struct recovery;

struct zs_allocator {
	bool ages; /* its descriptors have ages */

	/* Make the classes, with their locks, and the table that finds them. */
	void (*init)(struct zs_pool *pool);

	/* zs_layout() */
	uint64_t (*layout)(void);

	/* zs_alloc() */
	int (*alloc)(struct zs_pool *pool, uint32_t owner, size_t len, zs_ref *ret_ref);

	/* zs_cell_bytes(); is there a cell with memory for LEN bytes? Takes the class lock. */
	size_t (*cell_bytes)(struct zs_pool *pool, size_t len);
	bool (*has_cell)(struct zs_pool *pool, size_t len);

	/* Take the object at REF back, which is in Z. Class lock. True: the pages of Z came free. */
	bool (*put)(struct zs_pool *pool, struct zs_class *class, struct zspage *z, zs_ref ref);

	/*
	 * Commit memory for the next object of the class, of pages from SOURCE. Blocks.
	 * -ENOSPC, -ENOMEM.
	 */
	int (*grow)(struct zs_pool *pool, struct zs_class *class, enum arena_source source);

	/* Pages that moving objects would free: an estimate, without the mover lock. */
	uint64_t (*potential)(struct zs_pool *pool);

	/*
	 * What the mover does: what is worth it, as seldom or as often as it is called; what frees
	 * pages with the least work; all that frees pages; and all that can be done, also to have
	 * them in a row. Mover lock. Block.
	 */
	void (*work)(struct zs_pool *pool, bool settled);
	void (*compact_lightly)(struct zs_pool *pool);
	void (*make_room)(struct zs_pool *pool);
	void (*compact)(struct zs_pool *pool);

	/* zs_buddy(). NULL: never any. */
	uint32_t (*buddy)(struct zs_pool *pool, zs_ref ref);

	/* Move what stands at PAGE to another extent. False: it could not be, not wholly. Blocks. */
	bool (*migrate)(struct zs_pool *pool, uint32_t page);

	/* Bytes of Z that live objects take. Class lock. */
	uint64_t (*live)(const struct zs_class *class, const struct zspage *z);

	/* The tag of the first page of Z. Class lock. */
	uint32_t (*tag)(const struct zs_pool *pool, const struct zspage *z);

	/* Recovery (recover.h): the class that a tag is of, or NULL; a descriptor of what it says. */
	struct zs_class *(*class_of_tag)(struct zs_pool *pool, uint32_t tag);
	void (*remake)(struct zs_pool *pool, struct zspage *z, uint32_t tag);

	/* zs_recover_holds(), for a page of Z. */
	bool (*holds)(struct zs_pool *pool, struct zspage *z, zs_ref ref, size_t len);

	/*
	 * Have the objects of Z claimed, and all that follows from them derived but for what of the
	 * arena is. -ENOMEM.
	 */
	int (*recover)(struct recovery *k, struct zs_class *class, struct zspage *z);

	/* Validation (check.h), class lock: one descriptor; the lists of a class. */
	const char *(*check)(struct check *k, struct zs_class *class, struct zspage *z);
	const char *(*check_lists)(struct check *k, struct zs_class *class, uint64_t listed);
};

extern const struct zs_allocator zspage_allocator, zbud_allocator;

/* The lock of a class: it is held for less than it takes to fall asleep. */
void zs_class_lock_init(struct zs_class *class);

#endif
