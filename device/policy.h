/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy: writeback by itself.
 *
 * A thread looks once a second. When the pool takes more than so many percent of its limit, pages that are
 * old enough are written until what is stored takes a sixteenth less than that; what is lost between
 * comes free by compaction. When the kernel says that tasks have waited for memory (PSI), a sixteenth of
 * what is stored is written, of pages as old.
 *
 * A store that is full or has failed, and a day's allowance that is spent, mean that nothing is written; it
 * is looked again all the same, also for those at the limit, who may have given up hope (limit.h). After a look
 * in vain it rests for twenty times the CPU time that this took, which is more than a second where a device has
 * tens of GiB. The thread is as urgent as the movers; whom it may hold up is who else writes back.
 */
#ifndef ZCRAM_DEVICE_POLICY_H
#define ZCRAM_DEVICE_POLICY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct device;

/* Whose who starts and stops, but for stop. */
struct policy {
	pthread_t thread;
	bool running;
	uint32_t stop;	/* futex; atomic */
	uint32_t at;	/* of the settings, for who must not wait for their lock; atomic */
	uint64_t a_day; /* the same: bytes within 24 hours; 0: no limit */
};

struct device_policy;

/* Can it be in force? -EINVAL. */
int policy_check(const struct device_policy *policy);

/* It is in force now. */
void policy_set(struct policy *policy, const struct device_policy *settings);

/* Start the thread, if there is a backing store, or one is missing; end it, which waits for what it has under way. -EAGAIN. */
int policy_start(struct device *device);
void policy_stop(struct device *device);

/* One look. PRESSED: the kernel is short of memory. Returns the bytes of cells that came free. */
uint64_t policy_turn(struct device *device, bool pressed);

#endif
