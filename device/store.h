/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store: memory that outlives the process, and how it is cut up.
 *
 *	header		one page: what this is, and a few words that change
 *	leaves		a bit for each page of the slot table that was ever used
 *	slots		the table
 *	words		the words of same-filled pages that do not fit into a slot
 *	dicts		dictionaries, by generation (dicts.h)
 *	tags		of the arena's pages (zs-types.h)
 *	arena		2 MiB aligned
 *
 * Each begins with a page, at an offset that follows from the size of the device; nothing is a
 * pointer. What is not here is derived: see recover.c.
 */
#ifndef ZCRAM_DEVICE_STORE_H
#define ZCRAM_DEVICE_STORE_H

#include "device/device-types.h"

/* "zcram" and a store, in bytes on a little-endian machine: another byte order is another magic. */
#define STORE_MAGIC UINT64_C(0x65726f74736d6372)

/* Where the parts are, in bytes. */
struct store_layout {
	uint64_t device_size, leaves, slots, words, dicts, tags, arena, size;
	uint64_t arena_bytes;
};

struct store_header {
	/* In every version alike. The magic is written first, complete last of all. */
	uint64_t magic;
	uint32_t version;  /* DEVICE_STORE_LAYOUT */
	uint32_t complete; /* 1; 0: a process was killed while it made the store */
	/* Constant, in the checksum. */
	uint32_t page_size;
	uint32_t allocator; /* enum zs_kind */
	struct store_layout layout;
	uint64_t classes; /* zs_layout() of the allocator */
	uint8_t uuid[16];
	uint64_t checksum; /* FNV-1a of the above but complete */
	/* Change, each by one store. */
	uint32_t generation;
	uint32_t encodings; /* those that a slot may name: a mask, store_encodings() */
	uint64_t top;	    /* struct zs_store */
	uint32_t backed;    /* 1: slots may name objects in the backing store with this UUID */
	uint8_t backing_uuid[16];
	uint64_t backing_where; /* FNV-1a of the place where that was found last; 0: not known */
};

/* That slots may be backed (slot.h), which older servers do not know: no encoding has this number. */
#define STORE_BACKED (UINT32_C(1) << 7)

static inline uint32_t store_encodings(void)
{
	return codec_encodings() | STORE_BACKED;
}

/* A dictionary. Written while it is not live, and constant while it is. */
struct store_dict {
	uint32_t state; /* of the two below; changes by one store */
	uint32_t len;
	uint64_t sequence; /* the newest has the highest */
	uint64_t checksum; /* FNV-1a of len as 64 bits, sequence, and the bytes */
	uint8_t bytes[DICT_SIZE_MAX];
};

#define STORE_DICT_NONE 0
#define STORE_DICT_LIVE 1

_Static_assert(sizeof(struct store_header) <= DEVICE_PAGE_SIZE, "the header is a page");

/*
 * Make a store for a device of SIZE bytes in a pool of the kind, whatever was in it. Blocks. -EINVAL: it is not shared
 * memory.
 */
int store_format(void *store, uint64_t size, enum zs_kind allocator);

/* The parts of a complete store. */
uint64_t *store_leaves(struct store_header *header);
slot_word *store_slots(struct store_header *header);
uint64_t *store_words(struct store_header *header);
struct store_dict *store_dicts(struct store_header *header); /* DICT_GENERATIONS of them */
struct zs_store store_pool(struct store_header *header);

/* Build all that is derived, and count: see recover.c. Before any request. Blocks. -ENOMEM. */
int device_recover(struct device *device);

#endif
