/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool: with pool=NAME, the segment that holds the device's content and outlives the server.
 *
 * All that can be refused is refused before the fork, in one line through nbdkit_error(). All of it
 * is called by the thread that nbdkit calls the plugin's own callbacks from. Without pool= these do
 * nothing.
 */
#ifndef ZCRAM_POOL_H
#define ZCRAM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "nbdkit-plugin/params.h"

/* Claim and attach the segment, or make it; the size of the device is then set. 0 or -1. */
int pool_open(struct params *params);

/* What the device is to stand in, and its size; NULL: private memory. */
void *pool_store(uint64_t *ret_size);

/* Say what was found in it. */
void pool_report(struct device *device);

/* Claim it for the process that serves. LOCKED: its memory is. 0 or -1. */
int pool_after_fork(bool locked);

/*
 * Give it back, after device_free(). CLEAN: the server has served, and was stopped; then
 * pool-at-exit= says whether the segment goes. If not clean, it goes if it was made by this process.
 */
void pool_close(bool clean);

#endif
