/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recompress: compress pages again, harder, and keep the result where it saves memory.
 *
 * A batch of pages at a time, in four steps, of which two take locks that requests may wait for:
 *
 *	gather	choose pages by their slots' words alone; nothing is locked
 *	fetch	copy their payloads out, each under its slot's lock			locks
 *	squeeze	decompress the copies, and compress them with one method after the other until one
 *		result takes a smaller cell: the work of nearly all the time
 *	place	where that is so, have a cell, copy the result there, and, under the slot's lock, have
 *		the slot name it if its word is the one that was gathered and age_rises() too; free the
 *		other of the two cells. Where it is not, mark the word as tried		locks
 *
 * Gather and squeeze may be done by a thread of idle priority, which the scheduler may stop at any
 * instant for as long as others are busy; fetch and place by one that is no less urgent than the
 * movers. Locks of slots are only tried, for as long as it takes to copy a payload.
 *
 * The pool's memory comes first to writers: nothing is placed while the reserve is low, and nothing is
 * looked for in the kernel. A page for which there is no memory is left as it was, for another time.
 * Content is read of private copies: whatever becomes of the page meanwhile, the slot's word says it.
 *
 * A page whose dictionary is to be given up (training.h) takes what it becomes, smaller or not.
 *
 * A page of age 0 is made one of age 1 when it is gathered (age.h says why).
 *
 * When it is to end (background.h), what has not been squeezed of a batch is left as it is.
 *
 * Locks: gathering takes the age lock, for a moment. The place lock is held while a batch is placed, and
 * by device_validate(), which wants nobody to have a cell that no slot names, nor counters that are not
 * the slots'. Order: before the slot lock, behind the writer lock (writeback.h).
 */
#ifndef ZCRAM_DEVICE_RECOMPRESS_H
#define ZCRAM_DEVICE_RECOMPRESS_H

#include "device/device-types.h"

#define RECOMPRESS_BATCH 16

/* Which pages. */
struct recompress_rule {
	unsigned int age; /* at least */
	bool raw;	  /* only such as are stored raw */
	bool again;	  /* tried ones too */
	uint64_t threshold;
	uint64_t max_pages; /* 0: no bound */
};

struct victim {
	uint32_t page;
	bool fetched;
	bool replaced;	  /* the payload is another now, that is to take the page's place */
	uint8_t encoding; /* of the payload */
	slot_word word;	  /* that it was gathered by */
	size_t len;
	uint8_t payload[CODEC_PAGE_SIZE]; /* the page's, then the one that may take its place */
};

/* What one works with: one thread at a time, or two that hand it to each other. */
struct recompressor {
	struct device_cold cold;
	struct recompress_rule rule;
	uint64_t memory; /* bytes of all this; 0 without a method */
	struct codec_stream *streams[DEVICE_COLD_METHODS];
	size_t streams_memory[DEVICE_COLD_METHODS]; /* bytes, without that for dictionaries */
	unsigned int generation; /* of dictionaries, that all streams use that can; 0: none */
	unsigned int evicted;	 /* generation whose objects are to go, tried or not; 0: none */
	uint64_t at;		 /* the page that is looked at next */
	uint64_t done;		 /* pages that were tried */
	uint64_t rises;
	struct device_recompressed result;
	bool starved; /* there was no memory at hand for one of the batch */
	unsigned int count;
	struct victim victims[RECOMPRESS_BATCH];
	uint8_t page[CODEC_PAGE_SIZE];
};

/*
 * For the settings, and by hand. Allocates, and touches all of it, or, without a method, none.
 * -ENOMEM; -EINVAL: a bad method.
 */
int recompressor_new(struct device *device, const struct device_cold *cold,
		     const struct recompress_rule *rule, struct recompressor **ret_recompressor);
/* NULL: nothing. */
void recompressor_free(struct recompressor *recompressor);

/* Have memory for all of it after a fork. -ENOMEM. */
int recompressor_prefault(struct recompressor *recompressor);

/* Compress with the newest dictionary from now on, as far as there is memory. The trainer's (dicts.h). */
void recompressor_use_dicts(struct device *device, struct recompressor *recompressor);

/* Can it be in force? -EINVAL. */
int cold_check(const struct device_cold *cold);

/* The rule of the background's own work. */
struct recompress_rule recompress_rule_of(const struct device_cold *cold);

/* Look at up to RECOMPRESS_LOOK pages, from r->at on. False: the table has ended, or max_pages has. */
#define RECOMPRESS_LOOK (UINT64_C(64) * SLOTS_PER_LEAF)

bool recompress_gather(struct device *device, struct recompressor *r);
void recompress_fetch(struct device *device, struct recompressor *r);
void recompress_squeeze(struct device *device, struct recompressor *r);

/*
 * For training: the page's content to BUF, CODEC_PAGE_SIZE bytes, between two batches. It is no younger
 * for it. Takes a slot lock. -EAGAIN: it is locked, or not in the pool; -EIO.
 */
int recompress_read(struct device *device, struct recompressor *r, uint64_t page, void *buf);

/* MAY_REFILL: look for memory as a write does; for a caller that nobody is served beside. */
void recompress_place(struct device *device, struct recompressor *r, bool may_refill);

#endif
