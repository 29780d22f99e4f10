/* SPDX-License-Identifier: BSD-3-Clause */
/* Writeback from inside: backed.c, which the backing store calls, and writeback.c, which calls it. */
#ifndef ZCRAM_DEVICE_WRITEBACK_TYPES_H
#define ZCRAM_DEVICE_WRITEBACK_TYPES_H

#include <pthread.h>

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
	pthread_mutex_t lock;	 /* the writer lock */
	/* lock protects these, but that anybody may read the counters */
	struct counters counters;
	struct device_written_back done; /* of the call that is under way */
	uint64_t relieved;		 /* bytes of cells that came free */
	uint64_t hunt;			 /* the page that a hunt begins with */
	uint64_t day, day_written;	 /* see allowance() */
	uint8_t payload[DEVICE_PAGE_SIZE];

	uint32_t ordered;	 /* atomic: a call is */
	uint32_t recent[RECENT]; /* atomic: page + 1; 0: none */
};

#endif
