/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/coder.h"
#include "codec/dict.h"
#include "codec/filter.h"
#include "common/util.h"

#define ENCODING_FILTER	    0x04
#define ENCODING_DICT_SHIFT 3

/*
 * One allocation: this, then the contexts of the libraries, and for those who try a second payload.
 * Another when it compresses with a dictionary.
 */
struct codec_stream {
	struct codec_method method;
	size_t memory, dict_memory;
	void *encoder; /* the method's codec's */
	struct ZSTD_DCtx_s *zstd_decoder;
	struct dict_table *dicts;	  /* NULL: none */
	uint32_t *users;		  /* of the dictionary in use; NULL: none is */
	void *dict_place;		  /* memory of dict_encoder */
	struct ZSTD_CCtx_s *dict_encoder; /* NULL: compresses without */
	unsigned int generation;	  /* of dict_encoder's dictionary, or 0 */
	uint8_t *other;			  /* a payload, with CODEC_FILTER_TRY */
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
	       level_is_valid(method->id, method->level) && method->filter >= CODEC_FILTER_NONE &&
	       method->filter <= CODEC_FILTER_TRY && method->max_payload < CODEC_PAGE_SIZE;
}

static size_t encoder_memory(const struct codec_method *method)
{
	return method->id == CODEC_LZ4 ? lz4_coder_memory() : zstd_encoder_memory(method->level);
}

int codec_stream_new(const struct codec_method *method, struct codec_stream **ret_stream)
{
	size_t encoder_size, decoder_size, memory;
	struct codec_stream *stream;
	void *encoder;

	if (!method_is_valid(method))
		return -EINVAL;
	encoder_size = align_up(encoder_memory(method), CODER_ALIGN);
	decoder_size = align_up(zstd_decoder_memory(), CODER_ALIGN);
	memory = sizeof(*stream) + encoder_size + decoder_size;
	if (method->filter == CODEC_FILTER_TRY)
		memory += CODEC_PAGE_SIZE;
	stream = aligned_alloc(CODER_ALIGN, memory);
	if (!stream)
		return -ENOMEM;
	memset(stream, 0, memory); /* touch it all now, so that no request has to */

	stream->method = *method;
	stream->memory = memory;
	stream->other = stream->contexts + encoder_size + decoder_size;
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

/* No longer a user of the one before, but of USERS; NULL: of none. */
static void count_user(struct codec_stream *stream, uint32_t *users)
{
	if (users)
		__atomic_fetch_add(users, 1, __ATOMIC_SEQ_CST);
	if (stream->users)
		__atomic_fetch_sub(stream->users, 1, __ATOMIC_SEQ_CST);
	stream->users = users;
}

void codec_stream_free(struct codec_stream *stream)
{
	if (!stream)
		return;
	count_user(stream, NULL);
	free(stream->dict_place);
	free(stream);
}

size_t codec_stream_memory(const struct codec_stream *stream)
{
	return stream->memory + stream->dict_memory;
}

void codec_stream_set_dicts(struct codec_stream *stream, struct dict_table *table)
{
	stream->dicts = table;
}

static const struct dict *find_dict(const struct codec_stream *stream, unsigned int generation)
{
	return stream->dicts && generation > 0 ? dict_table_get(stream->dicts, generation) : NULL;
}

int codec_stream_use_dict(struct codec_stream *stream, unsigned int generation)
{
	const struct dict *dict = find_dict(stream, generation);
	struct ZSTD_CCtx_s *encoder = NULL;
	size_t memory = 0, len;
	void *place = NULL;

	if (dict && stream->method.id == CODEC_ZSTD) {
		const void *bytes = dict_bytes(dict, &len);

		memory = align_up(zstd_dict_encoder_memory(stream->method.level, len), CODER_ALIGN);
		place = aligned_alloc(CODER_ALIGN, memory);
		if (!place)
			return -ENOMEM;
		memset(place, 0, memory);
		encoder = zstd_dict_encoder_init(place, stream->method.level, bytes, len);
	}
	count_user(stream, encoder ? &stream->dicts->users[generation - 1] : NULL);
	free(stream->dict_place);
	stream->dict_place = place;
	stream->dict_memory = memory;
	stream->dict_encoder = encoder;
	stream->generation = encoder ? generation : 0;
	return (int)stream->generation;
}

void *codec_stream_page(struct codec_stream *stream)
{
	return stream->page;
}

/* The payload's length, 0 when it is longer than CAPACITY. */
static size_t encode(struct codec_stream *stream, const void *page, void *payload, size_t capacity)
{
	const struct codec_method *method = &stream->method;

	if (method->id == CODEC_LZ4)
		return lz4_coder_compress(stream->encoder, method->level, page, payload, capacity);
	return zstd_encoder_compress(stream->dict_encoder ? stream->dict_encoder : stream->encoder,
				     page, payload, capacity);
}

/* Shuffled if PREDICTED, and plain if that does not fit. 0: neither does. */
static size_t encode_one(struct codec_stream *stream, const void *page, bool predicted,
			 bool *ret_shuffled)
{
	size_t len = 0;

	*ret_shuffled = predicted;
	if (predicted) {
		filter_shuffle(page, stream->shuffled);
		len = encode(stream, stream->shuffled, stream->payload, stream->method.max_payload);
	}
	if (len == 0) {
		*ret_shuffled = false;
		len = encode(stream, page, stream->payload, stream->method.max_payload);
	}
	return len;
}

/* Both ways; the second has only as much room as would make it the shorter one. */
static size_t encode_both(struct codec_stream *stream, const void *page, bool *ret_shuffled,
			  const void **ret_payload)
{
	size_t len, shuffled;

	len = encode(stream, page, stream->payload, stream->method.max_payload);
	filter_shuffle(page, stream->shuffled);
	shuffled = encode(stream, stream->shuffled, stream->other,
			  len > 0 ? len - 1 : stream->method.max_payload);
	*ret_shuffled = shuffled > 0;
	if (shuffled > 0)
		*ret_payload = stream->other;
	return shuffled > 0 ? shuffled : len;
}

size_t codec_compress(struct codec_stream *stream, const void *page, const void **ret_payload,
		      uint8_t *ret_encoding)
{
	const struct codec_method *method = &stream->method;
	bool shuffled;
	size_t len;

	*ret_payload = stream->payload;
	if (method->filter == CODEC_FILTER_TRY)
		len = encode_both(stream, page, &shuffled, ret_payload);
	else
		len = encode_one(stream, page,
				 method->filter == CODEC_FILTER_AUTO &&
					 filter_predict(method->id, page),
				 &shuffled);
	if (len == 0) {
		*ret_encoding = CODEC_RAW;
		*ret_payload = page;
		return CODEC_PAGE_SIZE;
	}
	*ret_encoding = (uint8_t)(method->id | (shuffled ? ENCODING_FILTER : 0) |
				  stream->generation << ENCODING_DICT_SHIFT);
	return len;
}

#define ENCODINGS_OF(id) (UINT32_C(1) << (id) | UINT32_C(1) << ((id) | ENCODING_FILTER))

uint32_t codec_plain_encodings(void)
{
	return UINT32_C(1) << CODEC_RAW | ENCODINGS_OF(CODEC_LZ4) | ENCODINGS_OF(CODEC_ZSTD);
}

uint32_t codec_encodings(void)
{
	/* zstd's with each generation too: ENCODING_DICT_SHIFT makes them eight bits apart. */
	return UINT32_C(1) << CODEC_RAW | ENCODINGS_OF(CODEC_LZ4) |
	       ENCODINGS_OF(CODEC_ZSTD) * UINT32_C(0x01010101);
}

static int decode(struct codec_stream *stream, uint8_t encoding, const void *payload, size_t len,
		  void *page)
{
	unsigned int generation = codec_encoding_generation(encoding);
	const struct dict *dict = find_dict(stream, generation);

	if (generation > 0 && !dict)
		return -EIO;
	if (codec_encoding_id(encoding) == CODEC_LZ4)
		return lz4_coder_decompress(payload, len, page);
	return zstd_decoder_decompress(stream->zstd_decoder, dict ? dict_digest(dict) : NULL,
				       payload, len, page);
}

int codec_decompress(struct codec_stream *stream, uint8_t encoding, const void *payload, size_t len,
		     void *page)
{
	int r;

	if (encoding == CODEC_RAW && len == CODEC_PAGE_SIZE) {
		memcpy(page, payload, CODEC_PAGE_SIZE);
		return 0;
	}
	if (encoding >> CODEC_ENCODING_BITS != 0 || !(codec_encodings() >> encoding & 1) ||
	    encoding == CODEC_RAW || len >= CODEC_PAGE_SIZE)
		return -EIO;
	if (!codec_encoding_filtered(encoding))
		return decode(stream, encoding, payload, len, page);
	r = decode(stream, encoding, payload, len, stream->shuffled);
	if (r == 0)
		filter_unshuffle(stream->shuffled, page);
	return r;
}
