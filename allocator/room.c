/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of the room that the limit leaves, and how more is made. */
#include "allocator/allocator.h"
#include "allocator/worker.h"

void zs_get_room(struct zs_pool *pool, struct zs_room *ret)
{
	const struct zs_arena *a = &pool->arena;
	uint64_t limit = load_relaxed(&a->limit);
	uint64_t has = (uint64_t)load_relaxed(&a->pool) + load_relaxed(&a->charged);

	*ret = (struct zs_room){
		.limit = limit * ZS_PAGE_SIZE,
		.left = limit > has ? (limit - has) * ZS_PAGE_SIZE : 0,
		.over = has > limit ? (has - limit) * ZS_PAGE_SIZE : 0,
	};
}

bool zs_may_fit(struct zs_pool *pool, size_t len)
{
	/* Locks, although it is a hint: whoever announces himself first does not miss what comes free. */
	return pool->allocator->has_cell(pool, len) || arena_may_allow(&pool->arena);
}

struct parking *zs_room_parking(struct zs_pool *pool)
{
	return &pool->arena.returned_to;
}

void zs_watch(struct zs_pool *pool)
{
	__atomic_store_n(&pool->freed, 0, __ATOMIC_SEQ_CST);
}

uint32_t zs_freed(struct zs_pool *pool)
{
	return __atomic_load_n(&pool->freed, __ATOMIC_SEQ_CST);
}

uint64_t zs_returned(struct zs_pool *pool)
{
	return load_relaxed(&pool->arena.returned);
}

void zs_trim(struct zs_pool *pool)
{
	keeper_trim(pool, TRIM_ALL);
}

void zs_make_room(struct zs_pool *pool)
{
	pthread_mutex_lock(&pool->mover_lock);
	pool->allocator->make_room(pool);
	pthread_mutex_unlock(&pool->mover_lock);
	keeper_trim(pool, TRIM_ALL);
}

uint64_t zs_potential(struct zs_pool *pool)
{
	return pool->allocator->potential(pool) * ZS_PAGE_SIZE;
}

uint32_t zs_buddy(struct zs_pool *pool, zs_ref ref)
{
	return pool->allocator->buddy ? pool->allocator->buddy(pool, ref) : ZS_OWNER_MAX;
}

void zs_compact_lightly(struct zs_pool *pool, uint64_t worth)
{
	if (!load_relaxed(&pool->auto_compact) || zs_potential(pool) < worth)
		return;
	pthread_mutex_lock(&pool->mover_lock);
	pool->allocator->compact_lightly(pool);
	pthread_mutex_unlock(&pool->mover_lock);
}
