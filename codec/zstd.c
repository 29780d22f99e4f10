/* SPDX-License-Identifier: BSD-3-Clause */
/* The static contexts and the magicless format are in this part of the library's interface. */
#define ZSTD_STATIC_LINKING_ONLY
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <zstd.h>

#include "codec/codec.h"
#include "codec/coder.h"
#include "common/util.h"

int zstd_coder_level_min(void)
{
	return ZSTD_minCLevel();
}

int zstd_coder_level_max(void)
{
	return ZSTD_maxCLevel();
}

/*
 * What the level means for a source of one page: small tables, a window of one page. A hash table
 * of more entries than the page has bytes makes no payload shorter.
 */
static ZSTD_compressionParameters page_params(int level)
{
	ZSTD_compressionParameters params = ZSTD_getCParams(level, CODEC_PAGE_SIZE, 0);

	if (params.hashLog > params.windowLog)
		params.hashLog = params.windowLog;
	return params;
}

size_t zstd_encoder_memory(int level)
{
	return ZSTD_estimateCCtxSize_usingCParams(page_params(level));
}

static bool set(ZSTD_CCtx *encoder, ZSTD_cParameter parameter, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(encoder, parameter, value));
}

/*
 * Nothing in a payload but what is needed: its length and the page's are known, and memory needs no
 * checksum.
 */
static bool set_format(ZSTD_CCtx *encoder)
{
	return set(encoder, ZSTD_c_format, ZSTD_f_zstd1_magicless) &&
	       set(encoder, ZSTD_c_contentSizeFlag, 0) && set(encoder, ZSTD_c_checksumFlag, 0) &&
	       set(encoder, ZSTD_c_dictIDFlag, 0);
}

/* The context in MEMORY, or NULL when it is too small for the level. */
ZSTD_CCtx *zstd_encoder_init(void *memory, int level)
{
	ZSTD_compressionParameters params = page_params(level);
	ZSTD_CCtx *encoder = ZSTD_initStaticCCtx(memory, zstd_encoder_memory(level));

	if (!encoder || !set_format(encoder) || !set(encoder, ZSTD_c_compressionLevel, level) ||
	    !set(encoder, ZSTD_c_windowLog, (int)params.windowLog) ||
	    !set(encoder, ZSTD_c_chainLog, (int)params.chainLog) ||
	    !set(encoder, ZSTD_c_hashLog, (int)params.hashLog) ||
	    !set(encoder, ZSTD_c_searchLog, (int)params.searchLog) ||
	    !set(encoder, ZSTD_c_minMatch, (int)params.minMatch) ||
	    !set(encoder, ZSTD_c_targetLength, (int)params.targetLength) ||
	    !set(encoder, ZSTD_c_strategy, (int)params.strategy))
		return NULL;
	return encoder;
}

#define DICT_LOG 15

/*
 * What the level means for a dictionary's tables, which are searched beside those of the page. Left
 * alone the library makes them for much larger dictionaries: 1 MiB at level 6.
 */
static ZSTD_compressionParameters dict_params(int level, size_t len)
{
	ZSTD_compressionParameters params = ZSTD_getCParams(level, CODEC_PAGE_SIZE, len);

	if (params.hashLog > DICT_LOG)
		params.hashLog = DICT_LOG;
	if (params.chainLog > DICT_LOG)
		params.chainLog = DICT_LOG;
	return params;
}

/* As the library cuts the dictionary's parameters down for a page that it is searched beside. */
static size_t beside_dict_memory(int level, size_t len)
{
	ZSTD_compressionParameters params = dict_params(level, len);

	params = ZSTD_adjustCParams(params, CODEC_PAGE_SIZE, 0);
	return align_up(ZSTD_estimateCCtxSize_usingCParams(params), CODER_ALIGN);
}

static size_t digested_memory(int level, size_t len)
{
	return ZSTD_estimateCDictSize_advanced(len, dict_params(level, len), ZSTD_dlm_byCopy);
}

size_t zstd_dict_encoder_memory(int level, size_t len)
{
	return beside_dict_memory(level, len) + digested_memory(level, len);
}

/* NULL: the bytes are no dictionary. */
ZSTD_CCtx *zstd_dict_encoder_init(void *memory, int level, const void *bytes, size_t len)
{
	size_t own = beside_dict_memory(level, len);
	ZSTD_CCtx *encoder = ZSTD_initStaticCCtx(memory, own);
	const ZSTD_CDict *dict =
		ZSTD_initStaticCDict((char *)memory + own, digested_memory(level, len), bytes, len,
				     ZSTD_dlm_byCopy, ZSTD_dct_fullDict, dict_params(level, len));

	if (!encoder || !dict || !set_format(encoder) ||
	    !set(encoder, ZSTD_c_windowLog, (int)page_params(level).windowLog) ||
	    ZSTD_isError(ZSTD_CCtx_refCDict(encoder, dict)))
		return NULL;
	return encoder;
}

size_t zstd_encoder_compress(ZSTD_CCtx *encoder, const void *page, void *payload, size_t capacity)
{
	size_t len = ZSTD_compress2(encoder, payload, capacity, page, CODEC_PAGE_SIZE);

	return ZSTD_isError(len) ? 0 : len;
}

size_t zstd_decoder_memory(void)
{
	return ZSTD_estimateDCtxSize();
}

ZSTD_DCtx *zstd_decoder_init(void *memory)
{
	ZSTD_DCtx *decoder = ZSTD_initStaticDCtx(memory, zstd_decoder_memory());

	if (!decoder ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(decoder, ZSTD_d_format, ZSTD_f_zstd1_magicless)))
		return NULL;
	return decoder;
}

/* What the encoder writes before the blocks: a zero, that is, nothing but the window follows. */
#define FRAME_HEADER_SIZE 2
#define BLOCK_HEADER_SIZE 3
#define BLOCK_RLE	  1

/*
 * Is the payload one frame, neither cut short nor followed by anything? The library finds most of
 * that out by itself, but where it looks for one more frame it reads four bytes for a magic number,
 * also where fewer are left (1.5.4).
 */
static bool is_one_frame(const uint8_t *payload, size_t len)
{
	size_t at = FRAME_HEADER_SIZE;
	bool last = false;

	if (len < FRAME_HEADER_SIZE || payload[0] != 0)
		return false;
	while (!last && at + BLOCK_HEADER_SIZE <= len) {
		uint32_t header = payload[at] | payload[at + 1] << 8 | payload[at + 2] << 16;
		uint32_t type = header >> 1 & 3, size = header >> 3;

		last = header & 1;
		at += BLOCK_HEADER_SIZE + (type == BLOCK_RLE ? 1 : size);
	}
	return last && at == len;
}

int zstd_decoder_decompress(ZSTD_DCtx *decoder, const ZSTD_DDict *dict, const void *payload,
			    size_t len, void *page)
{
	size_t got;

	if (!is_one_frame(payload, len))
		return -EIO;
	got = ZSTD_decompress_usingDDict(decoder, page, CODEC_PAGE_SIZE, payload, len, dict);
	return got == CODEC_PAGE_SIZE ? 0 : -EIO; /* an error is a larger number */
}
