/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena: runs of pages out of one range of addresses, and the memory behind them.
 *
 * Functions take the arena lock themselves. Those that say "blocks" enter the kernel, and are
 * called with no lock held; the pages they work on are marked used meanwhile, so nobody else does.
 */
#ifndef ZCRAM_ARENA_H
#define ZCRAM_ARENA_H

#include "allocator/zs-types.h"

/*
 * Room for MAX_BYTES of zspages; at most LIMIT bytes of them committed, 0: as many as there are. In
 * STORE, which arena_prepare() is to follow for, or in private memory: NULL. AGES: there is a table of
 * them too.
 */
int arena_init(struct zs_arena *arena, uint64_t max_bytes, uint64_t limit,
	       const struct zs_store *store, bool ages);
void arena_destroy(struct zs_arena *arena);

/* The largest max_bytes. */
uint64_t arena_max_bytes(void);

/* Change the limit, as in arena_init(), and the reserve with it. */
void arena_set_limit(struct zs_arena *arena, uint64_t limit);

/* Does the limit allow N more pages? */
bool arena_allows(struct zs_arena *arena, unsigned int n);

/* Does it, or will it when somebody does not get the memory that he is just asking for? */
bool arena_may_allow(struct zs_arena *arena);

/* Which runs arena_take() may take; the lowest of them it does. */
enum arena_source {
	ARENA_SPARE,  /* committed pages only */
	ARENA_ANY,    /* whether committed or not */
	ARENA_BARE,   /* pages that are not committed only: the reserve is left alone */
	ARENA_PARTLY, /* the same, in extents that have used pages already */
};

/*
 * Take N pages and a descriptor for a zspage of class KLASS, whose lock is held. Does not block.
 * Sets first, committed and klass of the descriptor. -EAGAIN: no such run, or no descriptor ready;
 * -ENOSPC, not with ARENA_SPARE: there is no run that the limit allows.
 */
int arena_take(struct zs_arena *arena, uint16_t klass, unsigned int n, enum arena_source source,
	       uint32_t *ret_zspage);

/* Put the N pages and the descriptor of a zspage back; class lock. What is committed is spare then.
 */
void arena_put(struct zs_arena *arena, uint32_t zspage, unsigned int n);

/*
 * Commit the pages FROM .. TO - 1 of a zspage of N pages that starts at FIRST and is pinned; those
 * before are committed, and of these some may be. Blocks. Returns how many pages from FIRST on are
 * committed then, which may be more. -ENOSPC: limit; -ENOMEM: and nothing has changed.
 */
int arena_grow(struct zs_arena *arena, uint32_t first, unsigned int n, unsigned int from,
	       unsigned int to);

/* Take the memory of N pages of a pinned zspage from page FIRST on. Blocks. */
void arena_shrink(struct zs_arena *arena, uint32_t first, unsigned int n);

/*
 * Would the kernel give SIZE bytes at once? Only asked in a modest pool: else true. May wait for the
 * headroom lock.
 */
bool arena_has_headroom(struct zs_arena *arena, size_t size);

/*
 * Have memory, as os_commit() does; a modest pool also fails, at once, when it would be looked for.
 * Blocks. -ENOMEM.
 */
int arena_commit(struct zs_arena *arena, void *at, size_t size);

/* Have descriptors for the reserve and one more, and map for the next runs. Blocks. -ENOMEM. */
int arena_prepare(struct zs_arena *arena);

/* Commit up to MAX free pages, lowest first, as spare. Blocks. -ENOSPC: none is left; -ENOMEM. */
int arena_commit_spare(struct zs_arena *arena, unsigned int max);

/* Release the highest run of spare pages, at most MAX. Blocks. Returns how many; 0: there are none. */
unsigned int arena_release_spare(struct zs_arena *arena, unsigned int max);

/*
 * Close the extent that migration would best empty, or return -ENOENT: none whose zspages would
 * fit into what is free in the others. arena_reopen() returns whether it is empty now.
 */
int arena_close_sparsest(struct zs_arena *arena, uint32_t *ret_extent);
bool arena_reopen(struct zs_arena *arena, uint32_t extent);

/* Pages that are not used in extents that have used ones. */
uint64_t arena_fragmented(struct zs_arena *arena);

/* As zs_prefault(), for the arena's tables. */
int arena_prefault(struct zs_arena *arena);

/* As zs_prefault_ahead(), for the arena's tables. */
int arena_prefault_ahead(struct zs_arena *arena);

/* Be able to tell what memory the kernel has at hand. Once is enough. */
void arena_watch(struct zs_arena *arena);

/* Bytes of tables that are committed. Arena lock. */
uint64_t arena_metadata(const struct zs_arena *arena);

/* Check A1..A7; the classes say how many pages a zspage has. NULL, or which is broken. */
const char *arena_validate(struct zs_arena *arena, const struct zs_class *classes);

/* With a store: set the tag of a page, before what is stored next. */
static inline void arena_tag(struct zs_arena *arena, uint32_t page, uint32_t tag)
{
	if (arena->tags)
		__atomic_store_n(&arena->tags[page], tag, __ATOMIC_RELEASE);
}

/* The word that says where the top is: with its complement, so that a stray one is known. */
static inline uint64_t arena_top_word(uint32_t top)
{
	return (uint64_t)~top << 32 | top;
}

static inline void *arena_page(const struct zs_arena *arena, uint32_t page)
{
	return arena->base + (uint64_t)page * ZS_PAGE_SIZE;
}

#endif
