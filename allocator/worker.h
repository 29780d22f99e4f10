/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool's two threads, and what is worth waking them for. */
#ifndef ZCRAM_WORKER_H
#define ZCRAM_WORKER_H

#include "allocator/arena.h"

/* Start a thread; it calls FN(POOL) until worker_stop() is called, which waits for it. */
int worker_start(struct zs_worker *worker, void *(*fn)(void *pool), struct zs_pool *pool);
void worker_stop(struct zs_worker *worker);

/*
 * Sleep until poked or MILLISECONDS have passed (< 0: for ever). False: it is to stop.
 * ret_poked: it was poked since the last call.
 */
bool worker_sleep(struct zs_worker *worker, int milliseconds, bool *ret_poked);

/* Wake the thread, or keep it from falling asleep. At most one system call, and mostly none. */
void worker_poke(struct zs_worker *worker);

/*
 * A zspage was opened, has grown or was freed: wake the keeper if it sleeps for good, or if the
 * reserve is low, or descriptors for it are; or (NOW) a class wants memory for its next cell: wake it anyhow.
 */
void keeper_look(struct zs_pool *pool, bool now);

/* Many cells were freed: wake the mover. */
void mover_look(struct zs_pool *pool);

/* The threads. */
void *keeper_main(void *pool);
void *mover_main(void *pool);

/* Commit until the reserve is full. -ENOSPC, -ENOMEM. Blocks. */
int keeper_fill(struct zs_pool *pool);

/* Of which classes keeper_trim() takes, and how fast. */
enum trim_mode {
	TRIM_QUIET,  /* of classes that have been quiet: the keeper's tick */
	TRIM_ALL,    /* of every class, at once: a write is waiting */
	TRIM_GENTLY, /* of every class, with pauses while requests are served */
};

/* Take back pages of zspages that no cell has reached. Blocks. False: there will be more to do. */
bool keeper_trim(struct zs_pool *pool, enum trim_mode mode);

/* Release spare pages beyond the reserve, with pauses while requests are served. Blocks. */
void keeper_release_gently(struct zs_pool *pool);

/* So many pages have to come free for moving objects to be worth it. */
uint64_t mover_worth(struct zs_pool *pool, bool settled);

/* Free whole extents. Mover lock. Blocks. */
void migrate_pass(struct zs_pool *pool);
void migrate_if_worth(struct zs_pool *pool, bool settled);

/* The other passes of the mover's, of zspages, with the mover lock held. */
void compact_pass(struct zs_pool *pool, bool thorough);
void compact_squeeze(struct zs_pool *pool);
void lift_pass(struct zs_pool *pool);
void lower_pass(struct zs_pool *pool);

/* Is there anything that lower_pass() may have to do? */
bool lower_pending(struct zs_pool *pool);

#endif
