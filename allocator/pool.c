/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "allocator/allocator.h"
#include "allocator/worker.h"
#include "common/os.h"

/*
 * How long a write waits for the keeper, with all its pages. Longer than it takes to store all that the
 * kernel sends at a time, which is what gives it memory back; short enough that, when nothing does, the kernel
 * hears that this page has to stay, and looks for something else to end the shortage by.
 */
#define PATIENCE_MS 15000

uint64_t zs_max_bytes(void)
{
	return arena_max_bytes();
}

uint64_t zs_min_limit(void)
{
	return (uint64_t)ZS_MAX_PAGES * ZS_PAGE_SIZE;
}

static const struct zs_allocator *const allocators[ZS_KINDS] = {
	[ZS_ZSPAGE] = &zspage_allocator,
	[ZS_ZBUD] = &zbud_allocator,
};

uint64_t zs_layout(enum zs_kind kind)
{
	return allocators[kind]->layout();
}

static bool options_valid(const struct zs_options *options)
{
	return options->kind < ZS_KINDS && options->max_bytes > 0 &&
	       options->max_bytes <= zs_max_bytes() && options->reserve <= zs_max_bytes() &&
	       (!options->limit || options->limit >= zs_min_limit());
}

int zs_pool_new(const struct zs_options *options, struct zs_pool **ret_pool)
{
	struct zs_pool *pool;
	void *memory;
	int r;

	if (!options_valid(options))
		return -EINVAL;
	if (posix_memalign(&memory, CACHE_LINE, sizeof(*pool)) != 0)
		return -ENOMEM;
	pool = memset(memory, 0, sizeof(*pool));
	pool->allocator = allocators[options->kind];
	r = arena_init(&pool->arena, options->max_bytes, options->limit, options->store,
		       pool->allocator->ages);
	if (r == 0 && options->store && !options->ahead) {
		r = arena_prepare(&pool->arena);
		if (r < 0)
			arena_destroy(&pool->arena);
	}
	if (r < 0) {
		free(pool);
		return r;
	}
	pool->owner = options->owner;
	pool->patience = PATIENCE_MS;
	pool->freed = ZS_FREED_MAX;
	pool->arena.reserve_asked = (uint32_t)(options->reserve / ZS_PAGE_SIZE);
	arena_set_limit(&pool->arena, options->limit);
	pool->auto_compact = options->auto_compact;
	pthread_mutex_init(&pool->mover_lock, NULL);
	pthread_mutex_init(&pool->keeper_lock, NULL);
	pool->allocator->init(pool);
	*ret_pool = pool;
	return 0;
}

void zs_pool_free(struct zs_pool *pool)
{
	if (!pool)
		return;
	arena_destroy(&pool->arena);
	free(pool);
}

int zs_pool_start(struct zs_pool *pool)
{
	int r = keeper_fill(pool);

	/*
	 * What is stored already must be served, also where the kernel has no memory at hand: it may
	 * be that only a server can make some. The keeper asks again.
	 */
	if (r == -ENOMEM && load_relaxed(&pool->arena.modest) &&
	    load_relaxed(&pool->arena.pool) > 0)
		r = 0;
	/* -ENOSPC: all of the arena is in use, there is nothing to keep. */
	if (r == 0 || r == -ENOSPC)
		r = worker_start(&pool->keeper, keeper_main, pool);
	/* Also when it has nothing to do: auto_compact may be set later, and that must not fail. */
	if (r == 0)
		r = worker_start(&pool->mover, mover_main, pool);
	if (r < 0)
		zs_pool_stop(pool);
	else
		store_relaxed(&pool->started, true);
	return r;
}

void zs_pool_stop(struct zs_pool *pool)
{
	store_relaxed(&pool->started, false);
	worker_stop(&pool->mover);
	worker_stop(&pool->keeper);
	/* zs_compact() may still be called, and heeds the same wish to stop. */
	store_relaxed(&pool->mover.stop, 0);
	store_relaxed(&pool->keeper.stop, 0);
}

int zs_prefault(struct zs_pool *pool)
{
	int r = os_prefault(pool, sizeof(*pool));

	if (r == 0)
		r = arena_prefault(&pool->arena);
	if (r == 0) {
		arena_watch(&pool->arena);
		store_relaxed(&pool->arena.modest, true);
	}
	return r;
}

bool zs_has_headroom(struct zs_pool *pool, uint64_t bytes)
{
	return arena_has_headroom(&pool->arena, bytes);
}

int zs_prefault_ahead(struct zs_pool *pool)
{
	int r = os_prefault(pool, sizeof(*pool));

	return r < 0 ? r : arena_prefault_ahead(&pool->arena);
}

void zs_set(struct zs_pool *pool, uint64_t limit, bool auto_compact)
{
	arena_set_limit(&pool->arena, limit);
	store_relaxed(&pool->auto_compact, auto_compact);
	/* There may be more to keep, or less; and something to compact. */
	keeper_look(pool, true);
	mover_look(pool);
	parking_notify(&pool->arena.returned_to, true);
}

void zs_get_stats(struct zs_pool *pool, struct zs_stats *ret_stats)
{
	struct zs_arena *a = &pool->arena;
	struct zs_stats s = {
		.reserve_target = (uint64_t)load_relaxed(&pool->arena.reserve) * ZS_PAGE_SIZE,
		.objects_compacted = load_relaxed(&pool->objects_compacted),
		.pages_compacted = load_relaxed(&pool->pages_compacted),
		.objects_migrated = load_relaxed(&pool->objects_migrated),
		.extents_migrated = load_relaxed(&pool->extents_migrated),
		.refills = load_relaxed(&pool->refills),
	};

	for (uint32_t i = 0; i < pool->nr_classes; i++) {
		pthread_mutex_lock(&pool->classes[i].lock);
		s.objects += pool->classes[i].used;
		pthread_mutex_unlock(&pool->classes[i].lock);
	}
	pthread_mutex_lock(&a->lock);
	s.pool = (uint64_t)a->pool * ZS_PAGE_SIZE;
	s.pool_max = (uint64_t)a->pool_max * ZS_PAGE_SIZE;
	s.reserve = (uint64_t)a->spare * ZS_PAGE_SIZE;
	s.limit = (uint64_t)a->limit * ZS_PAGE_SIZE;
	s.metadata = arena_metadata(a) + align_up(sizeof(*pool), ZS_PAGE_SIZE);
	pthread_mutex_unlock(&a->lock);
	*ret_stats = s;
}
