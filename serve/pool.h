/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool: with pool=NAME, the segment that holds the device's content and outlives the server.
 *
 * What is refused is said in one line (say.h). All of it is called by one thread at a time. Without
 * pool= these do nothing.
 */
#ifndef ZCRAM_POOL_H
#define ZCRAM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/params.h"

/*
 * For a server that is to take over from another, before it claims anything: is there a pool, and
 * could we serve it? It is attached then, to be looked at, and the size of the device is set. LOCKED:
 * as in pool_take(). Changes nothing, and waits for nobody. 0 or -1.
 */
int pool_expect(struct params *params, bool locked);

/* Has nobody the pool that is expected? */
bool pool_is_free(void);

/* Claim the pool, waiting MILLISECONDS at most for who has it. 0 or -1. */
int pool_claim(const struct params *params, int milliseconds);

/*
 * Attach the segment that is claimed, or see to it that the one that was expected is still there, or, if MAKE, make it where there is none; the size of the
 * device is then set. 0 or -1.
 */
int pool_open(struct params *params, bool make);

/* What the device is to stand in, and its size; NULL: private memory. */
void *pool_store(uint64_t *ret_size);

/* Say what was found in it. */
void pool_report(struct device *device);

/*
 * Of the process that serves: claim it, if that is another than the one that did. LOCKED: its memory
 * is. 0 or -1.
 */
int pool_take(bool locked);

/* How a server comes to its end. */
enum pool_end {
	POOL_FAILED,  /* before it has served: a segment that it made itself goes */
	POOL_STOPPED, /* asked to: pool-at-exit= says whether the segment goes */
	POOL_LEFT,    /* to a successor: it stays */
};

/* Is the content gone when the server has come to such an end? Also without a pool. */
bool pool_is_lost(const struct params *params, enum pool_end end);

/* Give it back, after device_free(). */
void pool_close(const struct params *params, enum pool_end end);

#endif
