/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot: the 64-bit word that is the truth about one page of the device.
 *
 *	bit  0		lock: the object is pinned, its content is being read, replaced or moved
 *	bits 1-2	state, but that 0 in a word that says more is SLOT_POOL too: see *tried*
 *
 *	SLOT_EMPTY	all other bits are 0: a table that was never touched is an empty device
 *	SLOT_SAME	bit 3:      0: bits 4-63 are the word that fills the page
 *				    1: bits 4-63 are its name in the table of words (words.h)
 *	SLOT_POOL	bits 3-6:   age (age.h), 0 to 15
 *			bits 7-18:  length of the payload, less 1
 *			bits 19-23: encoding (codec.h)
 *			bits 24-63: zs_ref of its cell (zs.h)
 *	SLOT_BACKING	bit 3:      1, and nothing else: the page is damaged: recovery could not trust
 *				       what the slot said. It cannot be read before it is replaced
 *				    0: the object is in the backing store: it is *backed*
 *			bits 4-15:  length of the payload, less 1
 *			bits 16-20: encoding
 *			bits 21-63: location (backing.h), never 0
 *
 * What is backed has no age: it is old by being there.
 *
 * A page in the pool is *tried* when recompression is done with its content: bits 1-2 are then 0, for
 * which there is room since the rest of such a word never is. A write makes a new word, which is not
 * tried; reading and moving keep the mark.
 *
 * Who wants to do something to an object that takes longer than its lock may be held, to recompress it
 * such as, remembers the word, works on a copy, locks the slot again and compares: if
 * the word is the same, age and all, the object is what it was and nobody has touched it since. If it
 * is not, the object was freed, overwritten, moved or read, whatever came of that: what was made of it
 * is dropped. No other order of events has to be thought of. Ages alone are changed without the lock,
 * by an exchange that succeeds only if the word is unlocked and as it was.
 *
 * With a store (device.h) the table outlives the process; zs-types.h says what a kill leaves of the
 * order of stores. All that a word names is complete before the word is stored, by an exchange that
 * neither compiler nor CPU moves anything across, and is given back only after the word that no
 * longer names it. So a kill leaves the old word or the new one, perhaps with its lock bit, which
 * means nothing in a new process, and either names what is whole. The request is acknowledged after
 * the exchange.
 *
 * The word changes in one store, when the lock is released: whoever looks without the lock sees
 * the content from before or from after, never a mixture. So an EMPTY slot, or a SAME one with its
 * word in it, is read without locking.
 *
 * Rules, beside the lock order of zs.h: nobody holds two slot locks. Under one, nothing allocates,
 * logs, or makes a blocking system call; memory for the pool is committed (zs_refill) with it
 * released. Waiting spins a bounded number of times, then sleeps: the holder may be preempted.
 */
#ifndef ZCRAM_SLOT_H
#define ZCRAM_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "allocator/zs.h"
#include "backing/backing.h"
#include "codec/codec.h"
#include "common/parking.h"

typedef uint64_t slot_word;

enum slot_state { SLOT_EMPTY = 0, SLOT_SAME = 1, SLOT_POOL = 2, SLOT_BACKING = 3 };

#define SLOT_LOCK	    UINT64_C(1)
#define SLOT_STATE_SHIFT    1
#define SLOT_INTERNED	    (UINT64_C(1) << 3)
#define SLOT_WORD_SHIFT	    4
#define SLOT_DAMAGED_BIT    (UINT64_C(1) << 3)
#define SLOT_DAMAGED	    ((slot_word)SLOT_BACKING << SLOT_STATE_SHIFT | SLOT_DAMAGED_BIT)
#define SLOT_WORD_BITS	    60
#define SLOT_AGE_SHIFT	    3
#define SLOT_AGE_BITS	    4
#define SLOT_LEN_SHIFT	    7
#define SLOT_LEN_BITS	    12
#define SLOT_ENCODING_SHIFT 19
#define SLOT_REF_SHIFT	    24

/* Of a backed page. */
#define SLOT_BACKED_LEN_SHIFT	   4
#define SLOT_BACKED_ENCODING_SHIFT 16
#define SLOT_LOCATION_SHIFT	   21

_Static_assert(SLOT_AGE_SHIFT + SLOT_AGE_BITS == SLOT_LEN_SHIFT, "layout");
_Static_assert(SLOT_LEN_SHIFT + SLOT_LEN_BITS == SLOT_ENCODING_SHIFT, "layout");
_Static_assert(SLOT_ENCODING_SHIFT + CODEC_ENCODING_BITS == SLOT_REF_SHIFT, "layout");
_Static_assert(SLOT_REF_SHIFT + ZS_REF_BITS == 64, "layout");
_Static_assert(SLOT_BACKED_LEN_SHIFT + SLOT_LEN_BITS == SLOT_BACKED_ENCODING_SHIFT, "layout");
_Static_assert(SLOT_BACKED_ENCODING_SHIFT + CODEC_ENCODING_BITS == SLOT_LOCATION_SHIFT, "layout");
_Static_assert(SLOT_LOCATION_SHIFT + BACKING_LOCATION_BITS == 64, "layout");

#define SLOT_STATE_MASK ((slot_word)3 << SLOT_STATE_SHIFT)
#define SLOT_AGE_MAX	((1U << SLOT_AGE_BITS) - 1)
#define SLOT_AGE_MASK	((slot_word)SLOT_AGE_MAX << SLOT_AGE_SHIFT)

/* Is recompression done with the page in the pool? Neither length nor encoding leave all of it 0. */
static inline bool slot_tried(slot_word word)
{
	return (word & SLOT_STATE_MASK) == 0 && word >> SLOT_AGE_SHIFT != 0;
}

static inline enum slot_state slot_state(slot_word word)
{
	return slot_tried(word) ? SLOT_POOL : (enum slot_state)(word >> SLOT_STATE_SHIFT & 3);
}

/* Of a page in the pool: the word with the mark, and without. */
static inline slot_word slot_with_tried(slot_word word)
{
	return word & ~SLOT_STATE_MASK;
}

static inline slot_word slot_without_tried(slot_word word)
{
	return (word & ~SLOT_STATE_MASK) | (slot_word)SLOT_POOL << SLOT_STATE_SHIFT;
}

static inline slot_word slot_same(uint64_t value, bool interned)
{
	return (slot_word)SLOT_SAME << SLOT_STATE_SHIFT | (interned ? SLOT_INTERNED : 0) |
	       value << SLOT_WORD_SHIFT;
}

static inline slot_word slot_pool(zs_ref ref, size_t len, uint8_t encoding)
{
	return (slot_word)SLOT_POOL << SLOT_STATE_SHIFT | (len - 1) << SLOT_LEN_SHIFT |
	       (slot_word)encoding << SLOT_ENCODING_SHIFT | ref << SLOT_REF_SHIFT;
}

static inline slot_word slot_backed(const struct backing_object *object)
{
	return (slot_word)SLOT_BACKING << SLOT_STATE_SHIFT |
	       (slot_word)(object->len - 1) << SLOT_BACKED_LEN_SHIFT |
	       (slot_word)object->encoding << SLOT_BACKED_ENCODING_SHIFT |
	       object->location << SLOT_LOCATION_SHIFT;
}

static inline bool slot_is_backed(slot_word word)
{
	return slot_state(word) == SLOT_BACKING && !(word & SLOT_DAMAGED_BIT);
}

/* What the word of a backed PAGE names. */
static inline struct backing_object slot_object(slot_word word, uint64_t page)
{
	return (struct backing_object){
		.location = word >> SLOT_LOCATION_SHIFT,
		.owner = (uint32_t)page,
		.len = (uint16_t)((word >> SLOT_BACKED_LEN_SHIFT & ((1U << SLOT_LEN_BITS) - 1)) +
				  1),
		.encoding = word >> SLOT_BACKED_ENCODING_SHIFT & ((1U << CODEC_ENCODING_BITS) - 1),
	};
}

static inline bool slot_interned(slot_word word)
{
	return slot_state(word) == SLOT_SAME && (word & SLOT_INTERNED);
}

/* Of a SAME slot: its word, or the word's name. */
static inline uint64_t slot_value(slot_word word)
{
	return word >> SLOT_WORD_SHIFT;
}

static inline size_t slot_len(slot_word word)
{
	return (word >> SLOT_LEN_SHIFT & ((1U << SLOT_LEN_BITS) - 1)) + 1;
}

static inline uint8_t slot_encoding(slot_word word)
{
	return word >> SLOT_ENCODING_SHIFT & ((1U << CODEC_ENCODING_BITS) - 1);
}

static inline zs_ref slot_ref(slot_word word)
{
	return word >> SLOT_REF_SHIFT;
}

static inline unsigned int slot_age(slot_word word)
{
	return (unsigned int)((word & SLOT_AGE_MASK) >> SLOT_AGE_SHIFT);
}

static inline slot_word slot_aged(slot_word word, unsigned int age)
{
	return (word & ~SLOT_AGE_MASK) | (slot_word)age << SLOT_AGE_SHIFT;
}

/* The word of a page that has just been read. */
static inline slot_word slot_touched(slot_word word)
{
	return slot_state(word) == SLOT_POOL ? slot_aged(word, 0) : word;
}

static inline slot_word slot_moved(slot_word word, zs_ref to)
{
	return (word & ((UINT64_C(1) << SLOT_REF_SHIFT) - 1)) | to << SLOT_REF_SHIFT;
}

/* Look without locking; the lock bit is left out. */
static inline slot_word slot_peek(const slot_word *slot)
{
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE) & ~SLOT_LOCK;
}

/* True: it is locked now, and *ret_word is what it says. */
static inline bool slot_trylock(slot_word *slot, slot_word *ret_word)
{
	*ret_word = __atomic_fetch_or(slot, SLOT_LOCK, __ATOMIC_SEQ_CST);
	return !(*ret_word & SLOT_LOCK);
}

#define SLOT_SPINS 128

/* WAITS: the caller's counter of the times that it had to sleep. */
static inline slot_word slot_lock(slot_word *slot, struct parking *parking, uint64_t *waits)
{
	slot_word word;

	for (int i = 0; i < SLOT_SPINS; i++) {
		if (likely(slot_trylock(slot, &word)))
			return word;
		while (i < SLOT_SPINS && __atomic_load_n(slot, __ATOMIC_RELAXED) & SLOT_LOCK) {
			cpu_pause();
			i++;
		}
	}
	bump(waits, 1);
	for (;;) {
		uint32_t sequence = parking_enter(parking);

		if (slot_trylock(slot, &word)) {
			parking_leave(parking);
			return word;
		}
		parking_wait(parking, sequence);
	}
}

/* Release the lock, and have the slot say WORD from now on. */
static inline void slot_unlock(slot_word *slot, struct parking *parking, slot_word word)
{
	__atomic_exchange_n(slot, word, __ATOMIC_SEQ_CST);
	parking_notify(parking, true);
}

#endif
