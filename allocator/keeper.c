/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: memory is committed and released here, so that the I/O path need not. It refills the
 * reserve, gives back what has been spare for a while, and the pages of half-filled zspages that
 * no cell has reached.
 */
#include <errno.h>

#include "allocator/arena.h"
#include "allocator/worker.h"
#include "allocator/zspage.h"
#include "common/os.h"

/* How long memory must have been of no use before it is given back, and a class quiet. */
#define TICK_MS 250

/* Pages committed or released by one call of the kernel at most: some 0.1 ms. */
#define BATCH 128

/* Spare pages beyond the reserve that are not worth a system call. */
#define SLACK 64

static uint32_t spare(struct zs_pool *pool)
{
	return load_relaxed(&pool->arena.spare);
}

void keeper_look(struct zs_pool *pool)
{
	if (load_relaxed(&pool->keeper_idle) || spare(pool) < pool->reserve - pool->reserve / 4)
		worker_poke(&pool->keeper);
}

int keeper_fill(struct zs_pool *pool)
{
	uint32_t have;
	int r = arena_prepare(&pool->arena);

	while (r == 0 && (have = spare(pool)) < pool->reserve)
		r = arena_commit_spare(&pool->arena,
				       (unsigned int)min_u64(pool->reserve - have, BATCH));
	return r;
}

/* Release what has been spare beyond the reserve since the last call. */
static void release(struct zs_pool *pool)
{
	struct zs_arena *a = &pool->arena;
	uint32_t low, n;

	pthread_mutex_lock(&a->lock);
	low = a->spare_low;
	a->spare_low = a->spare;
	pthread_mutex_unlock(&a->lock);
	if (low <= pool->reserve + SLACK)
		return;
	for (n = low - pool->reserve; n > 0 && !load_relaxed(&pool->keeper.stop);) {
		uint32_t done = arena_release_spare(a, (unsigned int)min_u64(n, BATCH));

		if (done == 0)
			break;
		n -= done;
	}
}

/* A zspage that changed is at the head of its list: those far behind have been looked at. */
#define LOOK_AT 64

/* A zspage of the class with committed pages that no cell has reached, pinned; or NULL. */
static struct zspage *pin_untouched(struct zs_pool *pool, struct zs_class *c)
{
	for (unsigned int g = 0; g < ZS_GROUP_ROOM; g++) {
		uint32_t index = c->heads[g];

		for (int n = 0; index != ZS_NONE && n < LOOK_AT; n++) {
			struct zspage *z = &pool->arena.zspages[index];

			if (!z->raw && z->committed > zspage_pages(c, z->fresh)) {
				zspage_pin(pool, c, z);
				return z;
			}
			index = z->next;
		}
	}
	return NULL;
}

static void trim_class(struct zs_pool *pool, struct zs_class *c)
{
	struct zspage *z;

	pthread_mutex_lock(&c->lock);
	while ((z = pin_untouched(pool, c)) != NULL) {
		unsigned int had = z->committed, keep = zspage_pages(c, z->fresh);

		/* Pinned: the cells there are nobody's and nobody will be given one. */
		zspage_set_committed(c, z, keep);
		pthread_mutex_unlock(&c->lock);
		arena_shrink(&pool->arena, z->first + keep, had - keep);
		pthread_mutex_lock(&c->lock);
		zspage_unpin(pool, c, z);
		if (z->used == 0) {
			zspage_unlist(pool, c, z);
			zspage_destroy(pool, c, z);
		}
	}
	pthread_mutex_unlock(&c->lock);
}

bool keeper_trim(struct zs_pool *pool, bool all)
{
	bool done = true;

	pthread_mutex_lock(&pool->keeper_lock);
	for (uint32_t i = 0; i < pool->nr_classes; i++) {
		struct zs_class *c = &pool->classes[i];
		uint32_t opened = load_relaxed(&c->opened);

		if (opened == c->trimmed)
			continue;
		if (all || opened == c->opened_seen) {
			trim_class(pool, c);
			c->trimmed = opened;
		} else {
			done = false;
		}
		c->opened_seen = opened;
	}
	pthread_mutex_unlock(&pool->keeper_lock);
	return done;
}

/* What is done once a tick. False: there is nothing left to wait for. */
static bool tidy(struct zs_pool *pool)
{
	/*
	 * Idle first, and then look: a zspage that is opened or freed after the look wakes us.
	 */
	__atomic_store_n(&pool->keeper_idle, true, __ATOMIC_SEQ_CST);
	release(pool);
	if (keeper_trim(pool, false) && spare(pool) <= pool->reserve + SLACK)
		return false;
	store_relaxed(&pool->keeper_idle, false);
	return true;
}

void *keeper_main(void *opaque)
{
	struct zs_pool *pool = opaque;
	uint64_t tick = os_now();
	bool poked, more = true;

	/* As urgent as the writers, who have to do its work when it is late. */
	os_thread_name("zs-keeper");
	while (worker_sleep(&pool->keeper, more ? TICK_MS : -1, &poked)) {
		store_relaxed(&pool->keeper_idle, false);
		keeper_fill(pool); /* a failure shows as refills, and is tried again */
		more = true;
		if (os_now() - tick < TICK_MS * UINT64_C(1000000))
			continue;
		tick = os_now();
		more = tidy(pool);
	}
	return NULL;
}
