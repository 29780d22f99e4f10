/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * age: for how long each page of the pool has not been touched, roughly.
 *
 * Four bits of the slot's word, in steps of time that double. Reading or writing a page makes it of
 * age 0: the word that the request stores when it releases the slot says so, which costs nothing. A
 * hand goes over the table once a tick, of AGE_TICK seconds of the monotonic clock, and raises ages: one
 * of age a when the number of ticks comes by a multiple of 2^a. So a page that has reached age a has
 * not been touched for 2^(a-1) - 1 ticks at least, and goes on to the next before 2^(a+1):
 *
 *	age  at least .. at most	age  at least .. at most
 *	 0	  0 s ..   16 s		 8     34 min .. 2.3 h
 *	 1	  0 s ..   48 s		 9     68 min .. 4.5 h
 *	 2	 16 s ..  112 s		10     2.3 h  .. 9.1 h
 *	 3	 48 s ..    4 min	11     4.5 h  .. 18 h
 *	 4	112 s ..    8 min	12     9.1 h  .. 36 h
 *	 5	4 min ..   17 min	13      18 h  .. 73 h
 *	 6	8 min ..   34 min	14      36 h  .. 146 h
 *	 7     17 min ..   68 min	15      73 h and more, or marked: *idle*
 *
 * A page of the last age is idle. device_idle() marks pages so by hand, as zram's "idle" does; they are
 * until they are touched.
 *
 * It is what an LRU list is elsewhere, for half a byte a page instead of 16. Victims come oldest age
 * first, of equal ages in the order of the table. Their second chance: a page that is touched after it
 * was chosen is of age 0, its word is not the one that was chosen (slot.h), and it is left alone until
 * it has grown old all over again.
 *
 * Whoever works on a copy of an object compares the slot's word, and age_rises() too, which is another
 * number whenever ages may have been raised since age_remember(): without it a page could be written
 * twice, come to stand where it stood, as long as it was, and be marked idle again, all between two
 * looks; and its word would be the same for other content. A page whose age is not 0 and which nobody
 * has raised has not been touched. The number changes before the first of many ages is raised, so it
 * is not to be had in between: the rest of them would not show in it.
 *
 * Ages in a store are those of the last process; they do no harm, whatever they say.
 *
 * Locks: the age lock is one of the outermost, beside the settings lock. Under it no other is taken;
 * the slots are changed without theirs. The hand never waits for a slot, and does not look at leaves
 * that were never in use. It holds the lock for AGE_STEP leaves at a time. Statistics take no lock.
 */
#ifndef ZCRAM_DEVICE_AGE_H
#define ZCRAM_DEVICE_AGE_H

#include <pthread.h>

#include "device/slot.h"

struct device;

#define AGE_TICK 16  /* seconds */
#define AGE_STEP 256 /* leaves, in one step: at most about a millisecond */
#define AGE_MAX	 SLOT_AGE_MAX

struct ages {
	pthread_mutex_t lock;
	/* Age lock. */
	uint64_t tick;		       /* the hand's, of the last pass that was finished */
	uint64_t leaf;		       /* where the hand stands */
	uint64_t goal;		       /* the tick that this pass brings ages to */
	uint8_t raised[AGE_MAX + 1];   /* of each age, what this pass makes of it */
	bool stale;		       /* counted is not what there is: somebody has marked pages */
	uint64_t counted[AGE_MAX + 1]; /* by this pass, so far */
	/* Atomic. */
	uint64_t
		pages[AGE_MAX + 1]; /* in the pool, by age, as the last look at all of them found */
	uint64_t rises;
};

void ages_init(struct ages *ages);
void ages_fini(struct ages *ages);

/* Seconds that a page of this age has not been touched, at least. */
uint64_t age_seconds(unsigned int age);

/* The least age of pages that have not been touched for so long, surely: more than AGE_MAX: none is. */
unsigned int age_of_seconds(uint64_t seconds);

/*
 * One step of the hand, when the clock's tick is TICK: over AGE_STEP leaves, or none, when all of the
 * table was gone over in this tick. True: there is more to do. One thread. Does not block for long.
 */
bool age_step(struct device *device, uint64_t tick);

/* The tick of the monotonic clock. */
uint64_t age_tick(void);

/*
 * The number by which to find out whether ages were raised, for words that are looked at from now on.
 * RAISES: the caller is about to raise some of age 0 himself, and all numbers of before are over.
 * Waits for the age lock: until nobody is raising any.
 */
uint64_t age_remember(struct ages *ages, bool raises);

/* A number that is another after any age may have been raised: see above. */
static inline uint64_t age_rises(const struct ages *ages)
{
	return __atomic_load_n(&ages->rises, __ATOMIC_SEQ_CST);
}

#endif
