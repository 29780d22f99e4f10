/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training and digesting in memory of our own are in the static-only part of the library's
 * interface: ZDICT_trainFromBuffer_fastCover(), ZSTD_estimateDDictSize() and ZSTD_initStaticDDict(),
 * and in zstd.c those of the encoder's side.
 */
#define ZSTD_STATIC_LINKING_ONLY
#define ZDICT_STATIC_LINKING_ONLY
#include "codec/dict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "codec/codec.h"
#include "codec/coder.h"
#include "common/util.h"

struct dict {
	size_t memory, len;
	const ZSTD_DDict *digest;
	_Alignas(CODER_ALIGN) uint8_t place[]; /* the digest's, then the bytes */
};

int dict_new(const void *bytes, size_t len, struct dict **ret_dict)
{
	size_t digest = align_up(ZSTD_estimateDDictSize(len, ZSTD_dlm_byRef), CODER_ALIGN);
	size_t memory = sizeof(struct dict) + digest + align_up(len, CODER_ALIGN);
	struct dict *dict;

	if (len == 0 || len > DICT_SIZE_MAX)
		return -EINVAL;
	dict = aligned_alloc(CODER_ALIGN, memory);
	if (!dict)
		return -ENOMEM;
	memset(dict, 0, memory);
	dict->memory = memory;
	dict->len = len;
	memcpy(dict->place + digest, bytes, len);
	dict->digest = ZSTD_initStaticDDict(dict->place, digest, dict->place + digest, len,
					    ZSTD_dlm_byRef, ZSTD_dct_fullDict);
	if (!dict->digest) {
		free(dict);
		return -EINVAL;
	}
	*ret_dict = dict;
	return 0;
}

void dict_free(struct dict *dict)
{
	free(dict);
}

const void *dict_bytes(const struct dict *dict, size_t *ret_len)
{
	*ret_len = dict->len;
	return (const uint8_t *)dict + dict->memory - align_up(dict->len, CODER_ALIGN);
}

size_t dict_memory(const struct dict *dict)
{
	return dict->memory;
}

const ZSTD_DDict *dict_digest(const struct dict *dict)
{
	return dict->digest;
}

/* What higher levels would make of the same bytes is much the same, and takes seconds. */
#define TRAINING_LEVEL_MAX 9

/* Pages of a sample that it is not trained from, but judged by. */
#define HELD_BACK_ONE_IN 8
#define GAIN_ONE_IN	 64

/*
 * Segments of 256 bytes, chosen by how often their parts of 8 bytes stand in the samples (FastCover:
 * Liao, Petri, Moffat, Wirth, "Effective Construction of Relative Lempel-Ziv Dictionaries", WWW
 * 2016, with a table of 2^16 counters). Chosen on three processes' memory: within 1% of the best of
 * lengths from 64 to 1024, of larger tables, and of four times as many pages.
 */
static int train(const void *pages, size_t count, int level, void *bytes, size_t capacity,
		 size_t *ret_len)
{
	const ZDICT_fastCover_params_t params = {
		.k = 256,
		.d = 8,
		.f = 16,
		.splitPoint = 1.0,
		.accel = 1,
		.zParams = {.compressionLevel = level},
	};
	size_t sizes[DICT_PAGES_MAX];
	size_t len;

	for (size_t i = 0; i < count; i++)
		sizes[i] = CODEC_PAGE_SIZE;
	len = ZDICT_trainFromBuffer_fastCover(bytes, capacity, pages, sizes, (unsigned int)count,
					      params);
	if (ZDICT_isError(len))
		return ZSTD_getErrorCode(len) == ZSTD_error_memory_allocation ? -ENOMEM : -ENODATA;
	*ret_len = len;
	return 0;
}

static uint64_t payload_of(struct codec_stream *stream, const uint8_t *pages, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		const void *payload;
		uint8_t encoding;

		sum += codec_compress(stream, pages + i * CODEC_PAGE_SIZE, &payload, &encoding);
	}
	return sum;
}

/* Does it pay, on pages that it was not trained from? */
static int judge(struct codec_stream *stream, const void *pages, size_t count, const void *bytes,
		 size_t len)
{
	struct dict_table table = {0};
	uint64_t without, with;
	struct dict *dict;
	int r = dict_new(bytes, len, &dict);

	if (r < 0)
		return r == -EINVAL ? -ENODATA : r;
	without = payload_of(stream, pages, count);
	dict_table_set(&table, 1, dict);
	codec_stream_set_dicts(stream, &table);
	r = codec_stream_use_dict(stream, 1);
	if (r >= 0) {
		with = payload_of(stream, pages, count);
		r = with <= without - without / GAIN_ONE_IN ? 0 : -ENODATA;
	}
	codec_stream_use_dict(stream, 0); /* the table goes before the stream */
	dict_free(dict);
	return r;
}

int dict_train(const void *pages, size_t count, int level, void *bytes, size_t capacity,
	       size_t *ret_len)
{
	struct codec_method method;
	struct codec_stream *stream;
	size_t held_back;
	int r;

	if (codec_method_init(&method, codec_name(CODEC_ZSTD), &level) < 0 ||
	    capacity < DICT_SIZE_MIN)
		return -EINVAL;
	capacity = min_u64(capacity, DICT_SIZE_MAX);
	if (count < DICT_PAGES_MIN)
		return -ENODATA;
	if (method.level > TRAINING_LEVEL_MAX)
		method.level = TRAINING_LEVEL_MAX;
	count = min_u64(count, DICT_PAGES_MAX);
	held_back = count / HELD_BACK_ONE_IN;
	r = codec_stream_new(&method, &stream);
	if (r < 0)
		return r;
	r = train((const uint8_t *)pages + held_back * CODEC_PAGE_SIZE, count - held_back,
		  method.level, bytes, capacity, ret_len);
	if (r == 0)
		r = judge(stream, pages, held_back, bytes, *ret_len);
	codec_stream_free(stream);
	return r;
}
