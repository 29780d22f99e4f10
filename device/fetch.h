/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fetch: the object of a backed page on its way to whoever wants the page's content.
 *
 * A disk is waited for without a slot's lock and without a stream, which others could work with. So it
 * takes two looks at the slot:
 *
 *	1. slot locked: the page is backed: pin its object, remember the word		PAGE_AWAY
 *	2. nothing held: read the object, many at once, and those that stand in a row in one piece
 *	3. slot locked again: the word is the same, so the payload is the page's, as it would be if it
 *	   stood in the pool; decompress it. Or the word is another: the page was written, dropped,
 *	   brought back or moved meanwhile: begin again with what it is now
 *
 * What is pinned stands where it is, so the same word means the same content (backing.h). Its
 * dictionary is there as long as a slot names it, and so in 3, under the lock, but not in 2. An error
 * of 2 counts only if the word is the same.
 */
#ifndef ZCRAM_DEVICE_FETCH_H
#define ZCRAM_DEVICE_FETCH_H

#include "device/slot.h"

struct device;

/* Of who reads or changes a page: the page is backed, and its object pinned: fetch_read() it. */
#define PAGE_AWAY 1

struct fetch {
	slot_word word; /* by which the object was pinned; 0: none is */
	/* Where to; the caller's, and its payload too, with room for a page. */
	struct backing_fetch *to;
};

/* Pin what WORD names, which a locked slot says, instead of what was pinned before. Does not block. */
void fetch_pin(struct device *device, struct fetch *fetch, uint64_t page, slot_word word);

/* Read COUNT objects that are pinned; each has its error. Blocks. No slot locked, no stream in hand. */
void fetch_read(struct device *device, struct backing_fetch *objects, unsigned int count);

/* Done with it, or given up: nothing is pinned any more. */
void fetch_end(struct device *device, struct fetch *fetch);

#endif
