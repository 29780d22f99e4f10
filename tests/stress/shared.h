/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shared: pages that any thread may write, read and drop at any moment, and that still must never
 * be torn, another page's, or older than what a completed write has put in their place.
 *
 * Every request takes a *ticket* from one clock before it begins. A page's content follows from
 * (page, thread, sequence number of the thread's request), so what is read says who wrote it, and
 * the whole of it can be compared. Let F be the ticket of the latest request on the page that had
 * completed when a read began. What is read may be
 *
 *	a version whose writer had not begun its next request by ticket F: it may have overlapped F;
 *	zeros, when a trim or zero of the page is under way or has completed after F, or F is 0.
 */
#ifndef ZCRAM_TESTS_SHARED_H
#define ZCRAM_TESTS_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/model.h"
#include "tests/lib/rng.h"

#define SHARED_MAX_PAGES 8 /* of one request */

struct shared_page {
	_Atomic uint64_t done;	    /* ticket of the latest-begun request that has completed */
	_Atomic uint64_t zero_done; /* the clock when the latest trim or zero completed */
	_Atomic uint64_t zeroing;   /* trims and zeroes under way */
};

struct shared {
	_Atomic uint64_t clock;
	uint64_t seed;
	uint64_t pages; /* the device's first ones */
	struct shared_page *page;
	unsigned int threads;
	uint64_t requests;	  /* that a thread may make */
	_Atomic uint64_t *ticket; /* [thread * requests + sequence number] */
};

/* One thread's part in it. */
struct shared_worker {
	struct shared *shared;
	struct model *model; /* the thread's view: its device and its counters */
	unsigned int thread;
	uint64_t next; /* sequence number */
	struct rng rng;
	uint64_t done[SHARED_MAX_PAGES]; /* of the pages being read, as their read began */
	uint8_t buf[SHARED_MAX_PAGES * DEVICE_PAGE_SIZE];
	uint8_t want[DEVICE_PAGE_SIZE];
};

void shared_init(struct shared *shared, uint64_t seed, uint64_t pages, unsigned int threads,
		 uint64_t requests);
void shared_fini(struct shared *shared);

void shared_worker_init(struct shared_worker *worker, struct shared *shared, struct model *model,
			unsigned int thread, struct rng rng);

/* One random request on some of the shared pages. */
void shared_request(struct shared_worker *worker);

/* Read and check every shared page. */
void shared_check(struct shared_worker *worker);

#endif
