/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages: the state of every arena page, and where runs of a kind are. All under the arena lock;
 * nothing blocks. Of the arena's counts those that follow from pages are kept here and nowhere
 * else.
 */
#ifndef ZCRAM_PAGES_H
#define ZCRAM_PAGES_H

#include "allocator/zs-types.h"

/*
 * A page is used or not, and committed or not. "use" and "unuse" say whether a zspage (or a thread
 * that commits or releases it) has it; "commit" and "uncommit" whether memory is behind it, of
 * pages that are used; "gain" and "lose" the same of pages that are not. FIRST .. FIRST + N - 1 lie
 * within one extent.
 */
void pages_use(struct zs_arena *arena, uint32_t first, unsigned int n);
void pages_unuse(struct zs_arena *arena, uint32_t first, unsigned int n);
void pages_commit(struct zs_arena *arena, uint32_t first, unsigned int n);
void pages_uncommit(struct zs_arena *arena, uint32_t first, unsigned int n);
void pages_gain(struct zs_arena *arena, uint32_t first, unsigned int n);
void pages_lose(struct zs_arena *arena, uint32_t first, unsigned int n);

/* Of the N pages from FIRST on: how many are committed; how many at their start are. */
unsigned int pages_committed(const struct zs_arena *arena, uint32_t first, unsigned int n);
unsigned int pages_prefix(const struct zs_arena *arena, uint32_t first, unsigned int n);

/* Which pages of an extent are of a kind: a word of its bitmap. */
uint64_t extent_word(const struct zs_extent *extent, enum zs_run kind, unsigned int word);

/*
 * First page of the lowest run of N pages of a kind, or -1. PARTLY: only in extents that have used
 * pages. Never in a closed extent.
 */
int64_t pages_find(struct zs_arena *arena, enum zs_run kind, unsigned int n, bool partly);

/* The highest run of at most MAX spare pages: its first page and its length, 0 if there is none. */
unsigned int pages_find_top_spare(struct zs_arena *arena, unsigned int max, uint32_t *ret_first);

/* The limit was lowered below what is held: what has fallen is not to rise again. */
static inline void pages_lower_ceiling(struct zs_arena *arena)
{
	if (unlikely(arena->ceiling > arena->limit))
		arena->ceiling = (uint32_t)max_u64(arena->limit, arena->pool + arena->charged);
}

/* Pages that are not used in extents that have used ones. */
static inline uint64_t pages_fragmented(const struct zs_arena *arena)
{
	return (uint64_t)arena->partly * ZS_EXTENT_PAGES - arena->used;
}

#endif
