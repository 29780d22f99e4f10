/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * background: what a device does by itself beside serving: the hand of age.h, and recompress.h.
 *
 * Two threads. The *cold* one does the work and is of idle priority: it may be stopped at any instant
 * until nobody else wants its CPU, so it takes no lock that a request may wait for, directly or by the
 * kernel: it allocates nothing, and frees nothing. What takes such a lock it has done by the *proxy*,
 * which is as urgent as the movers and does nothing else: it is asked for one errand at a time, and the
 * cold thread waits for it meanwhile.
 *
 * The cold thread keeps to a share of one CPU, that of the proxy counted in: when a batch has taken so
 * much CPU time, it rests for as long as that is more than its share. What is ordered by hand is done
 * at once and without rest.
 *
 * Settings reach the cold thread as a recompressor that is made, touched and all, by whoever sets them;
 * the old one goes to the proxy to be freed.
 */
#ifndef ZCRAM_DEVICE_BACKGROUND_H
#define ZCRAM_DEVICE_BACKGROUND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/training.h"

struct device;
struct recompressor;

struct errand {
	void (*fn)(struct device *device, void *opaque); /* between the two threads, by state */
	void *opaque;
	uint64_t cpu;	/* ns that it took */
	uint32_t state; /* futex; atomic */
};

/* A call of device_recompress() that waits for the cold thread. */
struct background_order {
	struct recompressor *recompressor;
	bool canceled;
	uint32_t done; /* futex; atomic */
};

struct background {
	/* Whose who starts and stops. */
	pthread_t cold, proxy;
	bool running; /* atomic */

	uint32_t stop;	 /* atomic */
	uint32_t poked;	 /* futex; atomic: there is something new for the cold thread */
	uint32_t cancel; /* atomic: device_cancel() */
	struct errand errand;
	struct background_order *order; /* atomic; NULL: none */

	struct training training; /* by the proxy for the cold thread; or who works without them */
	struct recompressor
		*current; /* the cold thread's; the settings lock's while it is not running */
	struct recompressor *pending; /* atomic: what is to take its place; NULL: nothing */
	uint64_t memory;	      /* atomic: bytes of the last that was set */
	uint64_t cpu_ns; /* atomic: CPU time spent recompressing; the cold thread's to write */

	pthread_mutex_t place_lock; /* see recompress.h */
};

/* Is what is under way to be given up? Any thread. */
bool background_is_canceled(const struct background *background);

/* Not 0 after device_cancel(), which wakes those who wait for it (atomic). */
static inline const uint32_t *background_canceled(const struct background *background)
{
	return &background->cancel;
}

/* Before and after all else. */
void background_init(struct background *background);
void background_fini(struct background *background);

/* Start the threads; end them, soon if they were started. -EAGAIN, -ENOMEM. */
int background_start(struct device *device);
void background_stop(struct device *device);

/* From soon on work with this one, which becomes the background's. Settings lock. */
void background_set(struct device *device, struct recompressor *recompressor);

/* Have memory for what the threads work with, after a fork and before they start. -ENOMEM. */
int background_prefault(struct device *device);

#endif
