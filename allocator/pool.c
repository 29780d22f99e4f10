/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "allocator/arena.h"
#include "allocator/worker.h"
#include "allocator/zspage.h"
#include "common/os.h"

uint64_t zs_max_bytes(void)
{
	return arena_max_bytes();
}

uint64_t zs_min_limit(void)
{
	return (uint64_t)ZS_MAX_PAGES * ZS_PAGE_SIZE;
}

static bool options_valid(const struct zs_options *options)
{
	return options->max_bytes > 0 && options->max_bytes <= zs_max_bytes() &&
	       options->reserve <= zs_max_bytes() &&
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
	r = arena_init(&pool->arena, options->max_bytes, options->limit);
	if (r < 0) {
		free(pool);
		return r;
	}
	pool->owner = options->owner;
	/* What the limit forbids to use need not be kept. */
	pool->arena.reserve = (uint32_t)min_u64(options->reserve / ZS_PAGE_SIZE, pool->arena.limit);
	pool->auto_compact = options->auto_compact;
	pthread_mutex_init(&pool->mover_lock, NULL);
	pthread_mutex_init(&pool->keeper_lock, NULL);
	zs_classes_init(pool);
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

	/* -ENOSPC: all of the arena is in use, there is nothing to keep. */
	if (r == 0 || r == -ENOSPC)
		r = worker_start(&pool->keeper, keeper_main, pool);
	if (r == 0 && pool->auto_compact)
		r = worker_start(&pool->mover, mover_main, pool);
	if (r < 0)
		zs_pool_stop(pool);
	return r;
}

void zs_pool_stop(struct zs_pool *pool)
{
	worker_stop(&pool->mover);
	worker_stop(&pool->keeper);
	/* zs_compact() may still be called, and heeds the same wish to stop. */
	store_relaxed(&pool->mover.stop, 0);
	store_relaxed(&pool->keeper.stop, 0);
}

void zs_get_stats(struct zs_pool *pool, struct zs_stats *ret_stats)
{
	struct zs_arena *a = &pool->arena;
	struct zs_stats s = {
		.reserve_target = (uint64_t)pool->arena.reserve * ZS_PAGE_SIZE,
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
