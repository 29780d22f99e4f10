/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/coder.h"
#include "codec/filter.h"
#include "common/util.h"

#define ENCODING_CODEC	0x03
#define ENCODING_FILTER 0x04

/* One allocation: this, then the contexts of the libraries. */
struct codec_stream {
	struct codec_method method;
	size_t memory;
	void *encoder; /* the method's codec's */
	struct ZSTD_DCtx_s *zstd_decoder;
	_Alignas(CODER_ALIGN) uint8_t payload[CODEC_PAGE_SIZE];
	uint8_t shuffled[CODEC_PAGE_SIZE];
	uint8_t page[CODEC_PAGE_SIZE];
	_Alignas(CODER_ALIGN) uint8_t contexts[];
};

const char *codec_name(enum codec_id id)
{
	switch (id) {
	case CODEC_LZ4:
		return "lz4";
	case CODEC_ZSTD:
		return "zstd";
	default:
		return "raw";
	}
}

void codec_levels(enum codec_id id, int *ret_min, int *ret_max, int *ret_default)
{
	*ret_min = *ret_max = *ret_default = 0;
	if (id == CODEC_LZ4) {
		*ret_min = LZ4_LEVEL_MIN;
		*ret_max = LZ4_LEVEL_MAX;
		*ret_default = LZ4_LEVEL_DEFAULT;
	} else if (id == CODEC_ZSTD) {
		*ret_min = zstd_coder_level_min();
		*ret_max = zstd_coder_level_max();
		*ret_default = ZSTD_LEVEL_DEFAULT;
	}
}

static bool level_is_valid(enum codec_id id, int level)
{
	int min, max, unasked;

	codec_levels(id, &min, &max, &unasked);
	return level >= min && level <= max;
}

int codec_method_init(struct codec_method *ret_method, const char *name, const int *level)
{
	static const enum codec_id ids[] = {CODEC_LZ4, CODEC_ZSTD};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		int min, max, unasked;

		if (strcmp(name, codec_name(ids[i])) != 0)
			continue;
		codec_levels(ids[i], &min, &max, &unasked);
		if (level && !level_is_valid(ids[i], *level))
			return -ERANGE;
		*ret_method = (struct codec_method){
			.id = ids[i],
			.level = level ? *level : unasked,
			.filter = CODEC_FILTER_AUTO,
			.max_payload = CODEC_PAGE_SIZE - 1,
		};
		return 0;
	}
	return -ENOENT;
}

static bool method_is_valid(const struct codec_method *method)
{
	return (method->id == CODEC_LZ4 || method->id == CODEC_ZSTD) &&
	       level_is_valid(method->id, method->level) &&
	       (method->filter == CODEC_FILTER_NONE || method->filter == CODEC_FILTER_AUTO) &&
	       method->max_payload < CODEC_PAGE_SIZE;
}

static size_t encoder_memory(const struct codec_method *method)
{
	return method->id == CODEC_LZ4 ? lz4_coder_memory() : zstd_encoder_memory(method->level);
}

int codec_stream_new(const struct codec_method *method, struct codec_stream **ret_stream)
{
	struct codec_stream *stream;
	size_t encoder_size, memory;
	void *encoder;

	if (!method_is_valid(method))
		return -EINVAL;
	encoder_size = align_up(encoder_memory(method), CODER_ALIGN);
	memory = sizeof(*stream) + encoder_size + align_up(zstd_decoder_memory(), CODER_ALIGN);
	stream = aligned_alloc(CODER_ALIGN, memory);
	if (!stream)
		return -ENOMEM;
	memset(stream, 0, memory); /* touch it all now, so that no request has to */

	stream->method = *method;
	stream->memory = memory;
	encoder = stream->contexts;
	stream->encoder =
		method->id == CODEC_LZ4 ? encoder : zstd_encoder_init(encoder, method->level);
	stream->zstd_decoder = zstd_decoder_init(stream->contexts + encoder_size);
	if (!stream->encoder || !stream->zstd_decoder) {
		free(stream);
		return -EINVAL;
	}
	*ret_stream = stream;
	return 0;
}

void codec_stream_free(struct codec_stream *stream)
{
	free(stream);
}

size_t codec_stream_memory(const struct codec_stream *stream)
{
	return stream->memory;
}

void *codec_stream_page(struct codec_stream *stream)
{
	return stream->page;
}

/* The payload's length, 0 when it is longer than max_payload. */
static size_t encode(struct codec_stream *stream, const void *page)
{
	const struct codec_method *method = &stream->method;

	if (method->id == CODEC_LZ4)
		return lz4_coder_compress(stream->encoder, method->level, page, stream->payload,
					  method->max_payload);
	return zstd_encoder_compress(stream->encoder, page, stream->payload, method->max_payload);
}

size_t codec_compress(struct codec_stream *stream, const void *page, const void **ret_payload,
		      uint8_t *ret_encoding)
{
	const struct codec_method *method = &stream->method;
	size_t len = 0;

	*ret_payload = stream->payload;
	if (method->filter == CODEC_FILTER_AUTO && filter_predict(method->id, page)) {
		filter_shuffle(page, stream->shuffled);
		*ret_encoding = (uint8_t)(method->id | ENCODING_FILTER);
		len = encode(stream, stream->shuffled);
	}
	if (len == 0) {
		*ret_encoding = (uint8_t)method->id;
		len = encode(stream, page);
	}
	if (len == 0) {
		*ret_encoding = CODEC_RAW;
		*ret_payload = page;
		len = CODEC_PAGE_SIZE;
	}
	return len;
}

static int decode(struct codec_stream *stream, enum codec_id id, const void *payload, size_t len,
		  void *page)
{
	if (id == CODEC_LZ4)
		return lz4_coder_decompress(payload, len, page);
	return zstd_decoder_decompress(stream->zstd_decoder, payload, len, page);
}

uint32_t codec_encodings(void)
{
	return UINT32_C(1) << CODEC_RAW | UINT32_C(1) << CODEC_LZ4 | UINT32_C(1) << CODEC_ZSTD |
	       UINT32_C(1) << (CODEC_LZ4 | ENCODING_FILTER) |
	       UINT32_C(1) << (CODEC_ZSTD | ENCODING_FILTER);
}

int codec_decompress(struct codec_stream *stream, uint8_t encoding, const void *payload, size_t len,
		     void *page)
{
	enum codec_id id = codec_encoding_id(encoding);
	int r;

	if (encoding == CODEC_RAW && len == CODEC_PAGE_SIZE) {
		memcpy(page, payload, CODEC_PAGE_SIZE);
		return 0;
	}
	if ((encoding & ~(ENCODING_CODEC | ENCODING_FILTER)) != 0 ||
	    (id != CODEC_LZ4 && id != CODEC_ZSTD) || len >= CODEC_PAGE_SIZE)
		return -EIO;
	if (!codec_encoding_filtered(encoding))
		return decode(stream, id, payload, len, page);
	r = decode(stream, id, payload, len, stream->shuffled);
	if (r == 0)
		filter_unshuffle(stream->shuffled, page);
	return r;
}
