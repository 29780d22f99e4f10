/* SPDX-License-Identifier: BSD-3-Clause */
/* Writeback from inside: backed.c, which the backing store calls, and writeback.c, which calls it. */
#ifndef ZCRAM_DEVICE_WRITEBACK_TYPES_H
#define ZCRAM_DEVICE_WRITEBACK_TYPES_H

#include "device/device-types.h"

/* Backed pages that are remembered as read, one of those that share a place. */
#define RECENT 4096

/*
 * The cookie of an object on its way is what its slot said, which is never locked by then; with this bit
 * it was ordered by hand.
 */
#define COOKIE_ORDERED SLOT_LOCK

struct writeback {
	struct backing *backing; /* constant */
	uint64_t where;		 /* hash of its place; constant */
	uint32_t taken;		 /* the writer lock; atomic */
	struct parking parking;	 /* it comes free, or somebody is to stop */
	/* the writer lock protects these, but that anybody may read the counters */
	struct counters counters;
	struct device_written_back done; /* of the call that is under way */
	uint64_t relieved;		 /* bytes of cells that came free */
	uint64_t hunt;			 /* the page that a hunt begins with */
	uint64_t day, day_written;	 /* see allowance() */
	uint8_t payload[DEVICE_PAGE_SIZE];

	uint32_t ordered;	 /* atomic: a call is */
	uint32_t recent[RECENT]; /* atomic: page + 1; 0: none */
};

/*
 * Take the writer lock, and have the writer's waits end with *STOP (atomic; NULL: never), whose setter calls
 * writeback_wake(). False: it is to stop, and has not got it.
 */
bool writer_take(struct writeback *writeback, const uint32_t *stop);
void writer_put(struct writeback *writeback);

/*
 * Open the store for a device, which does not use it yet; then have it: claim what its slots name, and be what
 * requests look for. Errors of device_open_backing(); seek.h says when.
 */
int writeback_open(struct device *device, const struct backing_options *options,
		   struct writeback **ret_writeback, char *ret_why);
void writeback_begin(struct device *device, struct writeback *writeback);

#endif
