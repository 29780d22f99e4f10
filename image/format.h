/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * format: the parts of an image, as docs/image.md describes them. Inside image/, and for tests.
 *
 * Numbers are as they are in memory; on a machine of another byte order the magic is another.
 */
#ifndef ZCRAM_IMAGE_FORMAT_H
#define ZCRAM_IMAGE_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#include "image/image.h"

/* "zcramimg" in bytes on a little-endian machine. */
#define IMAGE_MAGIC UINT64_C(0x676d696d6172637a)

struct image_header {
	uint64_t magic;
	uint32_t version;
	uint32_t page_size;
	uint64_t size;
	uint8_t uuid[16];
	uint32_t encodings;
	uint32_t zero;
	uint64_t id; /* random, so that no block of another image is taken for one of this */
	uint64_t checksum;
};

enum image_block_kind { IMAGE_BLOCK_RECORDS = 1, IMAGE_BLOCK_END = 2 };

/* What stands before the LENGTH bytes of a block. */
struct image_block {
	uint64_t checksum; /* of all that follows, and of the image's header: its seed */
	uint64_t number;   /* 0, 1, 2, ... */
	uint32_t kind;
	uint32_t length;
};

/* Of records; one is never in two blocks. */
#define IMAGE_BLOCK_MAX ((size_t)256 << 10)

/* Then LENGTH bytes: a payload, or a struct image_run. */
struct image_record_header {
	uint32_t page;
	uint16_t length;
	uint8_t kind;
	uint8_t encoding; /* of an object; else 0 */
};

struct image_run {
	uint64_t word; /* 0 where the pages are damaged */
	uint64_t count;
};

_Static_assert(sizeof(struct image_header) == 64, "layout");
_Static_assert(sizeof(struct image_block) == 24, "layout");
_Static_assert(sizeof(struct image_record_header) == 8, "layout");
_Static_assert(sizeof(struct image_run) == 16, "layout");
_Static_assert(sizeof(struct image_counts) == 32, "layout");

/* XXH3, 64 bits; its result is the same in every version of the library from 0.8.0 on. */
static inline uint64_t image_header_checksum(const struct image_header *header)
{
	return XXH3_64bits(header, offsetof(struct image_header, checksum));
}

/* Of a block and its content, which stands right behind it. */
static inline uint64_t image_block_checksum(const struct image_header *header,
					    const struct image_block *block)
{
	size_t from = offsetof(struct image_block, number);

	return XXH3_64bits_withSeed((const uint8_t *)block + from,
				    sizeof(*block) - from + block->length, header->checksum);
}

#endif
