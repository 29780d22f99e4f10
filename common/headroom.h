/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * headroom: how much memory the kernel has at hand.
 *
 * When free memory is down to what the kernel holds back (the zones' min watermark), whoever asks
 * for more goes and looks for some itself, and stays in the kernel until it has been found. A server
 * of swap must not: what would be found is what it has yet to write, and while it is in the kernel
 * it holds its own address space locked. So it asks first, and asks again later.
 */
#ifndef ZCRAM_HEADROOM_H
#define ZCRAM_HEADROOM_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

struct headroom {
	unsigned int
		urgent; /* quarters of min that are held back from real-time threads; constant */
	pthread_mutex_t lock; /* the rest; nothing else is locked under it */
	FILE *zones;	      /* /proc/zoneinfo; NULL: not known, all is granted */
	char buffer[4096];
};

/*
 * Open /proc/zoneinfo, and read it once, so that later calls allocate nothing, here or in the
 * kernel. Allocates. Where it cannot be had, headroom_pages() is UINT64_MAX.
 */
void headroom_init(struct headroom *headroom);
void headroom_destroy(struct headroom *headroom);

/*
 * Pages that the kernel would give the calling thread at once. From threads of a real-time policy it
 * holds a quarter less back, and since Linux 6.3 a half; so what is there for them nobody of ordinary
 * policy takes before them. For others a quarter more is left, since others may be faster. Does not
 * allocate; may wait for another caller to have read.
 */
uint64_t headroom_pages(struct headroom *headroom);

/* The same for a thread of ordinary policy, whatever the caller's is: so that others have theirs. */
uint64_t headroom_ordinary(struct headroom *headroom);

/* The same of a text like /proc/zoneinfo's, for whom QUARTERS of the zones' min are held back. */
uint64_t headroom_read(FILE *zones, unsigned int quarters);

#endif
