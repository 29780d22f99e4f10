/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: libFuzzer: the input as a payload under every encoding, between guard pages; spread
 * over a page, there and back by each codec; and as a dictionary, good or not, that pages are
 * compressed with and that payloads made with another are read with.
 */
#include <errno.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/dict.h"
#include "tests/codec/guard.h"
#include "tests/lib/check.h"
#include "tests/lib/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guard source, target;
static struct codec_stream *streams[2];

/* A good dictionary, and a payload made with it. */
static struct dict_table good;
static uint8_t made[CODEC_PAGE_SIZE], made_encoding;
static size_t made_len;

static void make_dict(void)
{
	static uint8_t pages[DICT_PAGES_MIN][CODEC_PAGE_SIZE], bytes[DICT_SIZE_MAX];
	struct rng rng = rng_make(1);
	const void *payload;
	struct dict *dict;
	size_t len;

	for (size_t i = 0; i < DICT_PAGES_MIN; i++)
		content_fill(&rng, CONTENT_TEXT, pages[i], CODEC_PAGE_SIZE);
	CHECK(dict_train(pages, DICT_PAGES_MIN, 3, bytes, sizeof(bytes), &len) == 0, "train");
	CHECK(dict_new(bytes, len, &dict) == 0, "dictionary");
	dict_table_set(&good, 1, dict);
	codec_stream_set_dicts(streams[0], &good);
	codec_stream_set_dicts(streams[1], &good);
	CHECK(codec_stream_use_dict(streams[1], 1) == 1, "use");
	made_len = codec_compress(streams[1], pages[0], &payload, &made_encoding);
	memcpy(made, payload, made_len);
	CHECK(codec_stream_use_dict(streams[1], 0) == 0, "use none");
}

static void set_up(void)
{
	static const char *const names[2] = {"lz4", "zstd"};

	if (streams[0])
		return;
	guard_init(&source, CODEC_PAGE_SIZE);
	guard_init(&target, CODEC_PAGE_SIZE);
	for (size_t i = 0; i < 2; i++) {
		struct codec_method method;

		CHECK(codec_method_init(&method, names[i], NULL) == 0, "%s", names[i]);
		CHECK(codec_stream_new(&method, &streams[i]) == 0, "%s", names[i]);
	}
	make_dict();
}

static void decompress(const uint8_t *data, size_t size)
{
	uint8_t *payload = source.end - size;

	memcpy(payload, data, size);
	for (unsigned int encoding = 0; encoding < 1u << CODEC_ENCODING_BITS; encoding++) {
		int r = codec_decompress(streams[0], (uint8_t)encoding, payload, size,
					 target.start);

		CHECK(r == 0 || r == -EIO, "encoding %u: %d", encoding, r);
	}
}

static void round_trip(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at < CODEC_PAGE_SIZE; at++)
		source.start[at] = size ? data[at % size] : 0;
	for (size_t i = 0; i < 2; i++) {
		const void *payload;
		uint8_t encoding;
		size_t len = codec_compress(streams[i], source.start, &payload, &encoding);

		CHECK(codec_decompress(streams[!i], encoding, payload, len, target.start) == 0,
		      "encoding %u, %zu bytes", encoding, len);
		CHECK(memcmp(target.start, source.start, CODEC_PAGE_SIZE) == 0,
		      "encoding %u, %zu bytes", encoding, len);
	}
}

/* The input, as it is, and behind the number that a dictionary begins with. */
static void as_dict(const uint8_t *data, size_t size, bool with_magic)
{
	static const uint8_t magic[8] = {0x37, 0xa4, 0x30, 0xec, 1};
	uint8_t bytes[CODEC_PAGE_SIZE + sizeof(magic)];
	size_t front = with_magic ? sizeof(magic) : 0;
	struct dict_table table = {0};
	struct dict *dict;

	memcpy(bytes, magic, sizeof(magic));
	memcpy(bytes + front, data, size);
	if (dict_new(bytes, front + size, &dict) < 0)
		return;
	dict_table_set(&table, 1, dict);
	codec_stream_set_dicts(streams[0], &table);
	codec_stream_set_dicts(streams[1], &table);
	memcpy(source.end - made_len, made, made_len);
	codec_decompress(streams[0], made_encoding, source.end - made_len, made_len, target.start);
	if (codec_stream_use_dict(streams[1], 1) == 1)
		round_trip(data, size);
	CHECK(codec_stream_use_dict(streams[1], 0) == 0, "use none");
	codec_stream_set_dicts(streams[0], &good);
	codec_stream_set_dicts(streams[1], &good);
	dict_free(dict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > CODEC_PAGE_SIZE)
		return -1;
	set_up();
	decompress(data, size);
	round_trip(data, size);
	as_dict(data, size, false);
	as_dict(data, size, true);
	return 0;
}
