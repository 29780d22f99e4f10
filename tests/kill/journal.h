/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * journal: in memory that no kill takes away, what a device must hold and what was being done to it.
 *
 * `bytes` is the device as it must be read. It is divided among the workers, so that each byte is
 * changed by one of them only. A worker writes down a request before he makes it, and what came of
 * it after; a kill finds him in one of three states:
 *
 *	REQUEST_NONE	   his part of `bytes` is what the device must hold
 *	REQUEST_INTENDED   each page of the request is old or new, as if it had been a request alone
 *	REQUEST_DONE	   it was acknowledged: the device must hold the new content, and `bytes` is
 *			   to be made alike, which may be done twice
 *
 * What is written follows from page and version, so that the device's content says whose it is, and
 * the journal need not hold it. The first pages are apart from this: there requests of all workers
 * race, and tests/stress/shared.h says what may be read.
 */
#ifndef ZCRAM_TESTS_KILL_JOURNAL_H
#define ZCRAM_TESTS_KILL_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/device.h"
#include "tests/lib/evictor.h"
#include "tests/lib/rng.h"
#include "tests/stress/shared.h"

#define PAGE		     DEVICE_PAGE_SIZE

#define JOURNAL_MAX_THREADS  16
#define JOURNAL_SHARED_PAGES 64
#define JOURNAL_SECTOR_PAGES 8 /* after them: in each page, sectors of all workers in turn */
#define JOURNAL_MAX_COUNT    (64 * PAGE) /* bytes, of a worker's request */
#define JOURNAL_MAX_STEPS    128

/* Of what a page is written with. */
enum journal_content {
	JOURNAL_ZEROS,
	JOURNAL_WORD,	   /* one word over and over, this version's alone */
	JOURNAL_FEW_WORDS, /* the same, one of four that do not fit into a slot */
	JOURNAL_TEXT,
	JOURNAL_POINTERS,
	JOURNAL_INTEGERS,
	JOURNAL_SIZED, /* shrinks to any length */
	JOURNAL_SMALL, /* shrinks to less than an eighth */
	JOURNAL_RAW,
	JOURNAL_CONTENTS,
};

enum request_kind { REQUEST_WRITE, REQUEST_TRIM, REQUEST_ZERO };
enum request_state { REQUEST_NONE, REQUEST_INTENDED, REQUEST_DONE };

/* One worker's, and the checker's. Written by him alone. */
struct request {
	_Atomic uint32_t state; /* of enum request_state; what follows is constant unless NONE */
	uint32_t kind;
	uint64_t offset, count; /* bytes */
	uint64_t version;	/* counts up; the lowest bits are an enum journal_content */
	uint64_t made;		/* requests so far */
};

/* How far a child has come. */
enum journal_phase { PHASE_OPENING, PHASE_CHECKING, PHASE_LOADING, PHASE_ENDED, PHASES };

/* Where a child is to kill itself, and what it came by. STEP: index, or -1. */
struct journal_steps {
	int step;
	uint64_t occurrence; /* from 1 on */
	unsigned int walk;   /* instructions that are still carried out after it */
	_Atomic uint64_t reached[JOURNAL_MAX_STEPS]; /* times, by this child */
};

struct journal {
	/* Constant. */
	uint64_t seed, size, pages;
	unsigned int threads;
	uint8_t *bytes;
	struct evictor evictor; /* where children write back to */

	/* Of the store that is in use: for the next one it is the other allocator's turn. */
	enum zs_kind allocator;
	bool formed; /* device_new() has once returned */
	uint32_t generation;
	uint8_t uuid[16];

	/* Of the child: its own to write. */
	_Atomic uint32_t phase;
	struct device_stats stats; /* as it last looked */
	struct journal_steps steps;

	/* Since the journal was made. */
	uint64_t checks, damaged, cells_freed;
	uint64_t found_old, found_new; /* pages of requests that a kill has cut off */
	uint64_t trained, retired;     /* dictionaries */
	uint64_t redone; /* requests that it has cut off after they were acknowledged */

	struct request request[JOURNAL_MAX_THREADS + 1]; /* the last is the checker's */
	struct shared shared;
	struct shared_worker worker[JOURNAL_MAX_THREADS]; /* model and rng are each child's own */
};

/*
 * In memory that is shared with children (SHARED), or of which each has a copy of its own; at the
 * same address. Ends the program when there is none.
 */
struct journal *journal_new(uint64_t seed, uint64_t size, unsigned int threads, bool shared);

/* For a new store: the device is empty. Of a shared journal. */
void journal_reset(struct journal *journal);

static inline struct request *journal_checker(struct journal *journal)
{
	return &journal->request[JOURNAL_MAX_THREADS];
}

/* A worker's part: bytes; a multiple of the page size. */
uint64_t journal_part_start(const struct journal *journal, unsigned int worker);
uint64_t journal_part_size(const struct journal *journal);

/* The page as it is written by a request of this version. */
void journal_make_page(const struct journal *journal, uint64_t page, uint64_t version,
		       uint8_t *buf);

/*
 * Before the request; CONTENT and BUF matter for a write only, and BUF is filled with what is to be
 * written. It stands in the journal when this returns.
 */
void journal_intend(struct journal *journal, struct request *request, enum request_kind kind,
		    uint64_t offset, uint64_t count, enum journal_content content, uint8_t *buf);

/* After it, when it was acknowledged. */
void journal_done(struct journal *journal, struct request *request);

/* After it, when it failed: FOUND is what the device holds now in its place. */
void journal_failed(struct journal *journal, struct request *request, const uint8_t *found);

/*
 * After a kill: requests that were acknowledged are made good in `bytes`; of the others those pages
 * that FOUND shows to be new, COUNT bytes of the device from OFFSET on, whole pages. Then all that
 * the device holds must be in `bytes`: ends the program, and says what a page holds, otherwise.
 * Has the same outcome when it is broken off and done again.
 */
void journal_redo(struct journal *journal);
void journal_compare(struct journal *journal, const uint8_t *found, uint64_t offset,
		     uint64_t count);

/* Nothing is in flight any more, all of the device having been compared. */
void journal_settled(struct journal *journal);

/* The same for the pages that are raced for: they were found right, and stand as FOUND shows. */
void journal_settle_shared(struct journal *journal, const uint8_t *found);

#endif
