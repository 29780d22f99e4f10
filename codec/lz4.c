/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <lz4.h>

#include "codec/codec.h"
#include "codec/coder.h"

size_t lz4_coder_memory(void)
{
	return sizeof(LZ4_stream_t);
}

/*
 * The library clears its 16 KiB table for each page. Its streaming calls would not have to, but
 * they take a slower search with half as many table entries and lose more time than they save.
 */
size_t lz4_coder_compress(void *memory, int level, const void *page, void *payload, size_t capacity)
{
	return (size_t)LZ4_compress_fast_extState(memory, page, payload, CODEC_PAGE_SIZE,
						  (int)capacity, level);
}

int lz4_coder_decompress(const void *payload, size_t len, void *page)
{
	int got = LZ4_decompress_safe(payload, page, (int)len, CODEC_PAGE_SIZE);

	return got == CODEC_PAGE_SIZE ? 0 : -EIO;
}
