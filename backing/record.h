/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record: what stands before each object in the backing store, and its location.
 *
 * The checksum covers the payload and all that a slot says of the object, with a key that is
 * another in each store and at each new beginning: what was written for another page, at another
 * place, in an earlier use of the segment, or by somebody else, is not taken for the object.
 * Numbers are in the byte order of the host, whose pool the objects belong to.
 */
#ifndef ZCRAM_BACKING_RECORD_H
#define ZCRAM_BACKING_RECORD_H

#include <xxhash.h>

#include "backing/backing.h"
#include "common/util.h"

#define RECORD_UNIT	   UINT64_C(8) /* records begin at multiples of it */
#define RECORD_OFFSET_BITS 40	       /* 8 TiB of store */
#define RECORD_USE_MASK	   7U

_Static_assert(RECORD_OFFSET_BITS + 3 == BACKING_LOCATION_BITS, "layout");

/*
 * info:	bits 0-11	length of the payload, less 1
 *		bits 12-16	encoding
 *		bits 17-19	use of the segment
 *		bit  31		1: there is a record; behind the last one stands 0
 */
struct record {
	uint32_t owner;
	uint32_t info;
	uint32_t checksum;
};

#define RECORD_ENCODING_SHIFT 12
#define RECORD_USE_SHIFT      17
#define RECORD_PRESENT	      (UINT32_C(1) << 31)

static inline backing_location location_make(uint64_t offset, unsigned int use)
{
	return offset / RECORD_UNIT | (uint64_t)use << RECORD_OFFSET_BITS;
}

/* Bytes from the start of the store. */
static inline uint64_t location_offset(backing_location location)
{
	return (location & ((UINT64_C(1) << RECORD_OFFSET_BITS) - 1)) * RECORD_UNIT;
}

static inline unsigned int location_use(backing_location location)
{
	return (unsigned int)(location >> RECORD_OFFSET_BITS) & RECORD_USE_MASK;
}

static inline uint32_t record_size(size_t len)
{
	return (uint32_t)align_up(sizeof(struct record) + len, RECORD_UNIT);
}

static inline uint32_t record_info(const struct backing_object *o)
{
	return (uint32_t)(o->len - 1) | (uint32_t)o->encoding << RECORD_ENCODING_SHIFT |
	       location_use(o->location) << RECORD_USE_SHIFT | RECORD_PRESENT;
}

static inline uint32_t record_checksum(uint64_t key, const struct backing_object *o,
				       const void *payload)
{
	uint64_t said[2] = {o->location, (uint64_t)o->owner << 32 | record_info(o)};

	return (uint32_t)XXH3_64bits_withSeed(payload, o->len,
					      XXH3_64bits_withSeed(said, sizeof(said), key));
}

#endif
