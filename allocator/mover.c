/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mover: compaction and migration when they would free something worth having. Under load that
 * is a sixteenth of the pool, for the holes are likely to be filled again by themselves; when
 * nothing has been freed for a second, a sixty-fourth.
 */
#include "allocator/allocator.h"
#include "allocator/worker.h"
#include "common/os.h"

#define SETTLED_MS    1000
#define WORTH_LOAD    16
#define WORTH_SETTLED 64
#define WORTH_PAGES   16

/* However much is freed, the mover looks no more often than this. */
#define PAUSE_MS 50

uint64_t mover_worth(struct zs_pool *pool, bool settled)
{
	uint32_t pages = load_relaxed(&pool->arena.pool);

	return pages / (settled ? WORTH_SETTLED : WORTH_LOAD) + WORTH_PAGES;
}

void mover_look(struct zs_pool *pool)
{
	if (load_relaxed(&pool->auto_compact))
		worker_poke(&pool->mover);
}

static void work(struct zs_pool *pool, bool settled)
{
	pthread_mutex_lock(&pool->mover_lock);
	pool->allocator->work(pool, settled);
	pthread_mutex_unlock(&pool->mover_lock);
	keeper_look(pool, false); /* what came free is its to release */
}

/* For how long there will be nothing to do. */
static int rest(struct zs_pool *pool, bool settled)
{
	if (settled && !(load_relaxed(&pool->auto_compact) && lower_pending(pool)))
		return -1;
	return SETTLED_MS;
}

void *mover_main(void *opaque)
{
	struct zs_pool *pool = opaque;
	bool poked = false, settled = true;

	/*
	 * As urgent as any other, and no more: it is long at work, but holds locks that writers wait
	 * for, a few microseconds at a time.
	 */
	os_thread_name("zs-mover");
	os_thread_urgent(false);

	/* Asleep for good when settled; after a poke, until nothing has been freed for a while. */
	while (worker_sleep(&pool->mover, rest(pool, settled), &poked)) {
		settled = !poked;
		if (load_relaxed(&pool->auto_compact))
			work(pool, settled);
		os_wait(&pool->mover.stop, 0, PAUSE_MS);
	}
	return NULL;
}

void zs_compact(struct zs_pool *pool)
{
	pthread_mutex_lock(&pool->mover_lock);
	pool->allocator->compact(pool);
	pthread_mutex_unlock(&pool->mover_lock);
	keeper_trim(pool, TRIM_GENTLY);
	keeper_release_gently(pool);
}
