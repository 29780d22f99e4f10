/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table: slots that name objects in a backing store, as a device's would, and nothing besides.
 *
 * A page's payload follows from its number and its version, so what a slot says is all there is to
 * know of what has to be read. A slot is one word:
 *
 *	bit  0		lock
 *	bits 1-2	state
 *	bits 3-20	version
 *	bits 21-63	location, of a page that is in the backing store
 *
 * All but table_evict(), which is the writer's, may be called by any number of threads. What may
 * not fail ends the program when it does.
 */
#ifndef ZCRAM_TESTS_TABLE_H
#define ZCRAM_TESTS_TABLE_H

#include "backing/backing.h"
#include "tests/lib/rng.h"

enum page_state {
	PAGE_EMPTY,
	PAGE_POOL,
	PAGE_MARKED /* in the pool, on its way out */,
	PAGE_STORED
};

struct table {
	uint64_t *slots; /* atomic; the caller's: shared memory, if it is to survive a kill */
	uint32_t pages;
	struct backing *backing;
	/* atomic */
	uint64_t stored, moved,
		refused;      /* calls of `written` that were taken, for moved ones, and were not */
	uint64_t failed;      /* with an error */
	int error;	      /* the last one */
	bool errors_expected; /* or else they end the program */
};

/* The callbacks. */
struct backing_ops table_ops(struct table *table);

enum page_state table_state(const struct table *table, uint32_t page);

/* A new version of a page, in the pool. What was there before is freed. */
void table_write(struct table *table, uint32_t page);

/* The page is empty from now on. */
void table_drop(struct table *table, uint32_t page);

/* Append a page that is in the pool, as backing_append(). -ENOENT: it is not. */
int table_evict(struct table *table, uint32_t page);

/*
 * Read COUNT pages from PAGE on, those of them that are in the backing store, all at once, and
 * compare them with what they have to be. BACK: bring each back to the pool, if nothing has
 * happened to it. The number of pages that could not be read.
 */
unsigned int table_read(struct table *table, uint32_t page, uint32_t count, bool back);

/* Claim all that the slots name, after a kill. */
void table_recover(struct table *table);

/* Bytes of the store that the slots name. */
uint64_t table_live(const struct table *table);

/* Of a page in the store. */
struct backing_object table_object(const struct table *table, uint32_t page);

/* backing_validate(), against what the slots say; nobody may be at work. */
void table_validate(const struct table *table);

#define TABLE_READ_MAX 64U

#endif
