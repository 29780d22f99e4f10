/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * writeback: objects from the pool to the backing store (backing.h), as they are stored.
 *
 * Pages are chosen by their slots' words alone. Of each the payload is copied out, under the slot's lock,
 * which is only tried, and appended. Later, when its segment has been written, the slot is made to name
 * the object there, and the cell is freed, if the page still is what was copied:
 *
 *	in the pool, of the same length, encoding and *bytes*, and no younger than it was.
 *
 * The bytes are compared under the lock, with those that were written: they take as long as copying
 * them did. So no order of events has to be thought of, as it has where only a word is remembered, and
 * a segment may be on its way for seconds:
 *
 *	freed, overwritten		other bytes, or none: what was written is dead
 *	overwritten by the same		younger, or it makes no difference
 *	moved, by compaction		the same bytes: it makes no difference where they stood
 *	recompressed			other bytes
 *	read				younger, if it had an age: it is left alone. That is the second
 *					chance of age.h
 *	read while it leaves		a reader has the slot locked and reads the cell, or comes after
 *					the slot has changed, and fetches (fetch.h)
 *	read while it is cleaned	the reader has the old place pinned; the slot changes under him,
 *					he reads again
 *	brought back while cleaned	the slot names no backed object, or another: the copy is dead
 *	killed				before the slot changes: the object is in the pool, and the segment
 *					is free for the next process. After: the slot names what has been
 *					written; the cell has an owner that does not name it, a hole
 *
 * A page that is read comes back to the pool when it is read a second time while few others were: most
 * of what a swap device is asked for is freed soon after, and would come back for nothing.
 *
 * A hunt looks for memory, and of a page of zbud there is none to be had before both objects have left. So a
 * page of zbud is chosen as a whole, by the age of the younger of its two, and both are appended one after the
 * other. Where one is touched on the way the other leaves all the same: compaction has what is left of the page.
 * What is chosen by hand is what was asked for, and nothing beside it.
 *
 * Cleaning is done when there is no room, and not before: meanwhile more of a segment dies by itself.
 *
 * Locks: the writer lock makes its holder the writer of backing.h. It is one of the outermost: of the
 * device's locks the place lock and a slot's may be taken under it. It is held for some pages at a time,
 * and while a disk is waited for; so whoever waits for it, or holds it and waits, can be stopped: what is on
 * its way then is the next writer's to settle.
 */
#ifndef ZCRAM_DEVICE_WRITEBACK_H
#define ZCRAM_DEVICE_WRITEBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "device/slot.h"

struct device;
struct writeback;
struct counters;
struct device_stats;

/* The store, for those who read. Constant as long as the device. */
struct backing *writeback_backing(const struct writeback *writeback);

/* Note that a backed page was read. Was it lately, too? Any thread. */
bool writeback_is_read_again(struct writeback *writeback, uint64_t page);

/* WORD, of a backed page, is not what its slot says any more. */
void writeback_free(struct device *device, uint64_t page, slot_word word);

/*
 * Have BYTES of cells, or of zbud's pages, come free by writing pages that have reached age LEAST: such as are
 * stored raw first, then the oldest; but no more than LIMIT bytes within 24 hours, all that was written by hand counted in,
 * 0: no limit. Returns how many came free meanwhile: 0: nothing more can be had so, or there is no backing
 * store. Blocks as the disk does; ends at once, and not for device_cancel(), when STOP (atomic; NULL: never)
 * is not 0 (writeback_wake()). Any thread, with no lock and no stream.
 */
uint64_t writeback_relieve(struct device *device, uint64_t bytes, unsigned int least,
			   uint64_t limit, const uint32_t *stop);

/* Could anything be written, if not more than LIMIT bytes are within 24 hours? Looks through the store; STOP as
 * above. */
bool writeback_is_possible(struct device *device, uint64_t limit, const uint32_t *stop);

/* Somebody who waits as the writer, or to be it, is to stop: his `stop` was set. Any thread; NULL: nobody. */
void writeback_wake(struct writeback *writeback);

/* Of the writer. NULL: there is no backing store. */
const struct counters *writeback_counters(const struct writeback *writeback);
void writeback_get_stats(struct writeback *writeback, struct device_stats *stats);

/*
 * Take the writer lock, and wait until nothing is on its way; give it back. While it is held slots
 * name what is in the backing store, and nothing else is live there. NULL: nothing.
 */
void writeback_quiesce(struct writeback *writeback);
void writeback_resume(struct writeback *writeback);

/* Is the store sound? LIVE: bytes of it that slots name. Between the two. -EUCLEAN. */
int writeback_validate(struct writeback *writeback, uint64_t live, const char **ret_error);

/* Nobody may be at work. NULL: nothing. */
void writeback_close(struct writeback *writeback);

#endif
