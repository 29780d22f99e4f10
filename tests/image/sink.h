/* SPDX-License-Identifier: BSD-3-Clause */
/* An image in memory: written to its end, read from its beginning. */
#ifndef ZCRAM_TESTS_SINK_H
#define ZCRAM_TESTS_SINK_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "image/format.h"

struct sink {
	uint8_t *bytes;
	size_t size, room;
	size_t limit;  /* -ENOSPC beyond it; 0: none */
	size_t at;     /* of the reader */
	size_t piece;  /* bytes that are given at a time at most; 0: any */
	size_t failed; /* -EIO from there on; 0: never */
};

static inline int sink_write(void *opaque, const void *data, size_t n)
{
	struct sink *sink = opaque;

	if (sink->limit && n > sink->limit - sink->size)
		return -ENOSPC;
	if (n > sink->room - sink->size) {
		sink->room = 2 * (sink->size + n);
		sink->bytes = realloc(sink->bytes, sink->room);
		if (!sink->bytes)
			abort();
	}
	memcpy(sink->bytes + sink->size, data, n);
	sink->size += n;
	return 0;
}

static inline ssize_t sink_read(void *opaque, void *data, size_t n)
{
	struct sink *sink = opaque;

	n = min_u64(n, sink->size - sink->at);
	if (sink->piece)
		n = min_u64(n, sink->piece);
	if (sink->failed && sink->at + n > sink->failed)
		return -EIO;
	memcpy(data, sink->bytes + sink->at, n);
	sink->at += n;
	return (ssize_t)n;
}

static inline void sink_free(struct sink *sink)
{
	free(sink->bytes);
	*sink = (struct sink){0};
}

/*
 * Make the checksums of header and blocks, as far as there are whole ones, those of what stands there:
 * what is wrong beyond them is for the reader to find.
 */
static inline void sink_seal(struct sink *sink)
{
	struct image_header header;
	struct image_block block;

	if (sink->size < sizeof(header))
		return;
	memcpy(&header, sink->bytes, sizeof(header));
	header.checksum = image_header_checksum(&header);
	memcpy(sink->bytes, &header, sizeof(header));
	for (size_t at = sizeof(header); sink->size - at >= sizeof(block);
	     at += sizeof(block) + block.length) {
		void *copy;

		memcpy(&block, sink->bytes + at, sizeof(block));
		if (block.length > sink->size - at - sizeof(block))
			return;
		/* Aligned, as a block is. */
		copy = malloc(sizeof(block) + block.length);
		if (!copy)
			abort();
		memcpy(copy, sink->bytes + at, sizeof(block) + block.length);
		block.checksum = image_block_checksum(&header, copy);
		free(copy);
		memcpy(sink->bytes + at, &block, sizeof(block));
	}
}

#endif
