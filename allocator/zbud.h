/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zbud: pages, buddies and lists; zbud-types.h says what they are. All under the class lock, and
 * nothing here blocks, but where it is said.
 */
#ifndef ZCRAM_ZBUD_H
#define ZCRAM_ZBUD_H

#include "allocator/allocator.h"

enum zbud_buddy { ZBUD_FIRST, ZBUD_LAST, ZBUD_BUDDIES };

/* Chunks of a payload of LEN bytes, which is not a raw page. */
static inline unsigned int zbud_chunks(size_t len)
{
	return (unsigned int)div_round_up(len + ZS_OWNER_SIZE, ZBUD_CHUNK);
}

static inline unsigned int zbud_free_chunks(const struct zspage *z)
{
	return ZBUD_CHUNKS - z->chunks[ZBUD_FIRST] - z->chunks[ZBUD_LAST];
}

/* Has it one buddy, and room for another? */
static inline bool zbud_unbuddied(const struct zspage *z)
{
	return !z->raw && z->used == 1 && zbud_free_chunks(z) > 0;
}

/* Where a buddy of the page starts, or its raw page. */
static inline zs_ref zbud_ref(const struct zspage *z, enum zbud_buddy buddy)
{
	uint64_t offset = (uint64_t)z->first * ZS_PAGE_SIZE;

	if (buddy == ZBUD_LAST)
		offset += ZS_PAGE_SIZE - (uint64_t)z->chunks[ZBUD_LAST] * ZBUD_CHUNK;
	return offset / ZS_REF_UNIT;
}

static inline enum zbud_buddy zbud_buddy_at(zs_ref ref)
{
	return ref * ZS_REF_UNIT % ZS_PAGE_SIZE == 0 ? ZBUD_FIRST : ZBUD_LAST;
}

/* The owner, which stands before the payload. Not of a raw page. */
static inline uint32_t *zbud_owner(const struct zs_pool *pool, const struct zspage *z,
				   enum zbud_buddy buddy)
{
	return (uint32_t *)(void *)(pool->arena.base + zbud_ref(z, buddy) * ZS_REF_UNIT);
}

/* The one class. */
static inline struct zs_class *zbud_class(struct zs_pool *pool)
{
	return &pool->classes[0];
}

/* The page whose room for that many chunks is closest, or NULL. */
struct zspage *zbud_best(struct zs_pool *pool, unsigned int chunks);

/* Put an unbuddied page on its list; take it off. Others are on none: nothing is done. */
void zbud_enlist(struct zs_pool *pool, struct zspage *z);
void zbud_unlist(struct zs_pool *pool, struct zspage *z);

/* Z is the newest now; or has the place of OF in the order of age, and OF is the newest. */
void zbud_renew(struct zs_pool *pool, struct zspage *z);
void zbud_inherit(struct zs_pool *pool, struct zspage *z, struct zspage *of);

/*
 * Make a page out of one that arena_take() finds; its errors. It is empty, the newest, on no list,
 * and may not be committed.
 */
int zbud_make(struct zs_pool *pool, enum arena_source source, struct zspage **ret_page);

/* Give an empty one back, which is on no list. */
void zbud_destroy(struct zs_pool *pool, struct zspage *z);

/* Give a page that has none the last place in the order of age. */
void zbud_age_append(struct zs_pool *pool, struct zspage *z);

/*
 * A buddy of so many chunks for OWNER, for which the page has room; the page for a raw one; and
 * back. They leave the lists alone.
 */
void zbud_take_buddy(struct zs_pool *pool, struct zspage *z, enum zbud_buddy buddy,
		     unsigned int chunks, uint32_t owner);
void zbud_take_raw(struct zs_pool *pool, struct zspage *z, uint32_t owner);
void zbud_put_buddy(struct zs_pool *pool, struct zspage *z, enum zbud_buddy buddy);

/*
 * Empty the oldest pages by moving their objects to unbuddied ones, until PAGES came free, or all
 * had their turn. Drops the lock now and then. Returns how many came free. Mover lock, no other.
 */
uint32_t zbud_reclaim(struct zs_pool *pool, uint32_t pages);

/* What zbud does for a pool of it: see struct zs_allocator. */
uint32_t zbud_tag(const struct zs_pool *pool, const struct zspage *z);
bool zbud_migrate(struct zs_pool *pool, uint32_t page);
void zbud_work(struct zs_pool *pool, bool settled);
uint32_t zbud_buddy_of(struct zs_pool *pool, zs_ref ref);
uint64_t zbud_potential(struct zs_pool *pool);
void zbud_compact_lightly(struct zs_pool *pool);
void zbud_make_room(struct zs_pool *pool);
void zbud_compact(struct zs_pool *pool);

#endif
