/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: payloads that are cut short, changed, random or wrongly described give -EIO or some
 * page, between guard pages on both sides of the source and of the destination.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "common/util.h"
#include "tests/codec/guard.h"
#include "tests/lib/content.h"

#define ENCODINGS (1u << CODEC_ENCODING_BITS)

static struct rng rng;
static struct codec_stream *stream;
static struct guard source, target;

struct sample {
	uint8_t payload[CODEC_PAGE_SIZE];
	size_t len;
	uint8_t encoding;
};

static void make_sample(const char *name, enum codec_filter filter, enum content_kind kind,
			struct sample *ret_sample)
{
	struct codec_method method;
	struct codec_stream *maker;
	uint8_t page[CODEC_PAGE_SIZE];
	const void *payload;

	assert_int_equal(codec_method_init(&method, name, NULL), 0);
	method.filter = filter;
	assert_int_equal(codec_stream_new(&method, &maker), 0);
	content_fill(&rng, kind, page, sizeof(page));
	ret_sample->len = codec_compress(maker, page, &payload, &ret_sample->encoding);
	memcpy(ret_sample->payload, payload, ret_sample->len);
	codec_stream_free(maker);
}

/* Decompress with source and target flush against either of their guards. */
static int decompress(uint8_t encoding, const uint8_t *payload, size_t len)
{
	int at_start, at_end;

	memcpy(source.start, payload, len);
	at_start = codec_decompress(stream, encoding, source.start, len, target.start);
	memcpy(source.end - len, payload, len);
	at_end = codec_decompress(stream, encoding, source.end - len, len,
				  target.end - CODEC_PAGE_SIZE);
	assert_int_equal(at_start, at_end);
	assert_true(at_start == 0 || at_start == -EIO);
	return at_start;
}

static void for_each_sample(void (*fn)(const struct sample *sample))
{
	static const char *const names[] = {"lz4", "zstd"};
	static const enum content_kind kinds[] = {CONTENT_TEXT, CONTENT_POINTERS, CONTENT_INTEGERS,
						  CONTENT_ZERO};
	struct sample sample;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(kinds); j++) {
			make_sample(names[i], CODEC_FILTER_NONE, kinds[j], &sample);
			assert_int_equal(decompress(sample.encoding, sample.payload, sample.len),
					 0);
			fn(&sample);
			make_sample(names[i], CODEC_FILTER_AUTO, kinds[j], &sample);
			fn(&sample);
		}
	}
}

static void cut_short(const struct sample *sample)
{
	for (size_t len = 0; len < sample->len; len++)
		assert_int_equal(decompress(sample->encoding, sample->payload, len), -EIO);
}

static void change_each_byte(const struct sample *sample)
{
	struct sample changed = *sample;

	for (size_t at = 0; at < sample->len; at++) {
		changed.payload[at] = (uint8_t)~sample->payload[at];
		decompress(changed.encoding, changed.payload, changed.len);
		changed.payload[at] = sample->payload[at] ^ (uint8_t)(1u << rng_below(&rng, 8));
		decompress(changed.encoding, changed.payload, changed.len);
		changed.payload[at] = sample->payload[at];
	}
}

static void change_many_bytes(const struct sample *sample)
{
	for (unsigned int i = 0; i < 200; i++) {
		struct sample changed = *sample;

		for (unsigned int j = 0; j < 1 + i % 8; j++)
			changed.payload[rng_below(&rng, changed.len)] = (uint8_t)rng_next(&rng);
		decompress(changed.encoding, changed.payload, changed.len);
	}
}

static void append(const struct sample *sample)
{
	struct sample longer = *sample;

	rng_bytes(&rng, longer.payload + longer.len, CODEC_PAGE_SIZE - longer.len);
	for (size_t len = sample->len + 1; len <= CODEC_PAGE_SIZE; len += 1 + len / 16)
		decompress(longer.encoding, longer.payload, len);
	assert_int_equal(decompress(longer.encoding, longer.payload, CODEC_PAGE_SIZE), -EIO);
}

/* Every other encoding, with all the bits that a byte has room for. */
static void describe_wrongly(const struct sample *sample)
{
	for (unsigned int encoding = 0; encoding <= UINT8_MAX; encoding++) {
		unsigned int codec = encoding & 3, rest = encoding & ~7u;
		int r = decompress((uint8_t)encoding, sample->payload, sample->len);

		if (rest != 0 || codec == CODEC_RAW || codec == 3)
			assert_int_equal(r, -EIO);
	}
}

static void test_cut_short(void **state)
{
	for_each_sample(cut_short);
}

static void test_changed(void **state)
{
	for_each_sample(change_each_byte);
	for_each_sample(change_many_bytes);
}

static void test_longer(void **state)
{
	for_each_sample(append);
}

static void test_wrong_encoding(void **state)
{
	for_each_sample(describe_wrongly);
}

static void test_random(void **state)
{
	uint8_t payload[CODEC_PAGE_SIZE];

	for (unsigned int i = 0; i < 20000; i++) {
		size_t len = rng_below(&rng, rng_chance(&rng, 50) ? 64 : CODEC_PAGE_SIZE + 1);

		rng_bytes(&rng, payload, len);
		decompress((uint8_t)rng_below(&rng, ENCODINGS), payload, len);
	}
}

static void test_raw_is_one_page(void **state)
{
	uint8_t page[CODEC_PAGE_SIZE];

	rng_bytes(&rng, page, sizeof(page));
	assert_int_equal(decompress(CODEC_RAW, page, sizeof(page)), 0);
	assert_memory_equal(target.start, page, sizeof(page));
	for (size_t len = 0; len < sizeof(page); len++)
		assert_int_equal(decompress(CODEC_RAW, page, len), -EIO);
}

/* The other way round: whatever the page, compressing it reads nothing beside it. */
static void test_compress_stays_inside(void **state)
{
	static const char *const names[] = {"lz4", "zstd"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct codec_method method;
		struct codec_stream *maker;
		const void *payload;
		uint8_t encoding;

		assert_int_equal(codec_method_init(&method, names[i], NULL), 0);
		assert_int_equal(codec_stream_new(&method, &maker), 0);
		for (unsigned int kind = 0; kind < CONTENT_KINDS; kind++) {
			content_fill(&rng, kind, source.start, CODEC_PAGE_SIZE);
			codec_compress(maker, source.start, &payload, &encoding);
			memmove(source.end - CODEC_PAGE_SIZE, source.start, CODEC_PAGE_SIZE);
			codec_compress(maker, source.end - CODEC_PAGE_SIZE, &payload, &encoding);
		}
		codec_stream_free(maker);
	}
}

static int set_up(void **state)
{
	struct codec_method method;

	if (codec_method_init(&method, "lz4", NULL) != 0 || codec_stream_new(&method, &stream) != 0)
		return -1;
	guard_init(&source, CODEC_PAGE_SIZE);
	guard_init(&target, CODEC_PAGE_SIZE);
	return 0;
}

static int tear_down(void **state)
{
	codec_stream_free(stream);
	guard_fini(&source);
	guard_fini(&target);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_longer),
		cmocka_unit_test(test_wrong_encoding),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_raw_is_one_page),
		cmocka_unit_test(test_compress_stays_inside),
	};

	rng = rng_make(test_seed(1));
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
