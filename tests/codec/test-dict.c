/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: dictionaries: trained or refused; pages there and back with each generation and at
 * every level; payloads whose dictionary is missing, another, or broken; the filter that tries both.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "codec/dict.h"
#include "common/util.h"
#include "tests/codec/guard.h"
#include "tests/lib/content.h"

#define PAGE	CODEC_PAGE_SIZE
#define SAMPLES 300

static struct rng rng;
static struct dict_table table;
static struct dict *dicts[DICT_GENERATIONS];
static uint8_t samples[DICT_PAGES_MAX + 10][PAGE];

static void fill_samples(size_t count, enum content_kind kind)
{
	for (size_t i = 0; i < count; i++)
		content_fill(&rng, kind, samples[i], PAGE);
}

static int train(size_t count, int level, struct dict **ret_dict)
{
	uint8_t bytes[DICT_SIZE_MAX];
	size_t len = 0;
	int r = dict_train(samples, count, level, bytes, sizeof(bytes), &len);

	if (r < 0)
		return r;
	assert_in_range(len, 1, DICT_SIZE_MAX);
	return dict_new(bytes, len, ret_dict);
}

static struct codec_stream *stream_make(const char *name, int level, enum codec_filter filter)
{
	struct codec_method method;
	struct codec_stream *stream;

	assert_int_equal(codec_method_init(&method, name, &level), 0);
	method.filter = filter;
	assert_int_equal(codec_stream_new(&method, &stream), 0);
	codec_stream_set_dicts(stream, &table);
	return stream;
}

static size_t compress(struct codec_stream *stream, const void *page, void *payload,
		       uint8_t *ret_encoding)
{
	const void *at;
	size_t len = codec_compress(stream, page, &at, ret_encoding);

	memcpy(payload, at, len);
	return len;
}

/* Each page of the kinds there and back; returns the sum of the payloads. */
static size_t round_trips(struct codec_stream *stream, struct codec_stream *reader,
			  unsigned int generation)
{
	uint8_t page[PAGE], payload[PAGE], back[PAGE], encoding;
	size_t len, sum = 0;

	for (unsigned int kind = 0; kind < CONTENT_KINDS; kind++) {
		content_fill(&rng, kind, page, PAGE);
		len = compress(stream, page, payload, &encoding);
		if (kind != CONTENT_RANDOM)
			assert_int_equal(codec_encoding_generation(encoding), generation);
		assert_true(codec_encodings() >> encoding & 1);
		assert_int_equal(codec_decompress(reader, encoding, payload, len, back), 0);
		assert_memory_equal(back, page, PAGE);
		sum += len;
	}
	return sum;
}

static void test_every_generation(void **state)
{
	struct codec_stream *reader = stream_make("lz4", 1, CODEC_FILTER_AUTO);
	struct codec_stream *stream = stream_make("zstd", 3, CODEC_FILTER_AUTO);

	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++) {
		size_t memory = codec_stream_memory(stream);

		assert_int_equal(codec_stream_use_dict(stream, generation), generation);
		assert_true(generation > 1 || codec_stream_memory(stream) > memory);
		round_trips(stream, reader, generation);
	}
	assert_int_equal(codec_stream_use_dict(stream, 0), 0);
	round_trips(stream, reader, 0);
	codec_stream_free(stream);
	codec_stream_free(reader);
}

static void test_every_level(void **state)
{
	int min, max, unasked;

	codec_levels(CODEC_ZSTD, &min, &max, &unasked);
	for (int level = max; level >= -10; level--) {
		struct codec_stream *stream = stream_make("zstd", level, CODEC_FILTER_TRY);

		assert_int_equal(codec_stream_use_dict(stream, 1), 1);
		round_trips(stream, stream, 1);
		codec_stream_free(stream);
	}
}

/* Pages like those that it was trained from become shorter, by more than a little. */
static void test_it_pays(void **state)
{
	struct codec_stream *stream = stream_make("zstd", 3, CODEC_FILTER_NONE);
	uint8_t page[PAGE], payload[PAGE], encoding;
	size_t with = 0, without = 0;

	for (unsigned int i = 0; i < 50; i++) {
		content_fill(&rng, CONTENT_TEXT, page, PAGE);
		assert_int_equal(codec_stream_use_dict(stream, 0), 0);
		without += compress(stream, page, payload, &encoding);
		assert_int_equal(codec_stream_use_dict(stream, 1), 1);
		with += compress(stream, page, payload, &encoding);
	}
	assert_true(with + with / 10 < without);
	codec_stream_free(stream);
}

static void test_lz4_takes_none(void **state)
{
	struct codec_stream *stream = stream_make("lz4", 1, CODEC_FILTER_TRY);

	assert_int_equal(codec_stream_use_dict(stream, 1), 0);
	round_trips(stream, stream, 0);
	codec_stream_free(stream);
}

static void test_missing(void **state)
{
	struct codec_stream *stream = stream_make("zstd", 1, CODEC_FILTER_NONE);
	uint8_t page[PAGE], payload[PAGE], encoding;
	size_t len;

	content_fill(&rng, CONTENT_TEXT, page, PAGE);
	assert_int_equal(codec_stream_use_dict(stream, 2), 2);
	len = compress(stream, page, payload, &encoding);
	dict_table_set(&table, 2, NULL);
	assert_int_equal(codec_decompress(stream, encoding, payload, len, page), -EIO);
	/* What has been taken is the stream's own; what is to be taken is not there. */
	assert_true(compress(stream, page, payload, &encoding) > 0);
	assert_int_equal(codec_stream_use_dict(stream, 2), 0);
	codec_stream_set_dicts(stream, NULL);
	assert_int_equal(codec_stream_use_dict(stream, 1), 0);
	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++)
		assert_int_equal(codec_decompress(stream, (uint8_t)(CODEC_ZSTD | generation << 3),
						  payload, len, page),
				 -EIO);
	dict_table_set(&table, 2, dicts[1]);
	codec_stream_free(stream);
}

/* The dictionary may go before who compresses with it. */
static void test_copy_is_kept(void **state)
{
	struct codec_stream *stream = stream_make("zstd", 6, CODEC_FILTER_TRY);
	struct dict_table own = {0};
	struct dict *dict;
	const void *bytes;
	size_t len;

	bytes = dict_bytes(dicts[0], &len);
	assert_int_equal(dict_new(bytes, len, &dict), 0);
	assert_true(dict_memory(dict) > len);
	dict_table_set(&own, 1, dict);
	codec_stream_set_dicts(stream, &own);
	assert_int_equal(codec_stream_use_dict(stream, 1), 1);
	dict_free(dict);
	codec_stream_set_dicts(stream, &table);
	round_trips(stream, stream, 1);
	codec_stream_free(stream);
}

/* lz4 has no dictionaries; nor is there a raw page with one, or a codec 3. */
static void test_wrong_encodings(void **state)
{
	struct codec_stream *stream = stream_make("zstd", 1, CODEC_FILTER_NONE);
	uint8_t page[PAGE] = {0}, payload[PAGE] = {0};

	for (unsigned int encoding = 0; encoding < 256; encoding++)
		if (encoding >= 32 || !(codec_encodings() >> encoding & 1))
			assert_int_equal(
				codec_decompress(stream, (uint8_t)encoding, payload, 100, page),
				-EIO);
	assert_false(codec_encodings() >> (CODEC_LZ4 | 1 << 3) & 1);
	codec_stream_free(stream);
}

static void test_not_trained(void **state)
{
	static const size_t few[] = {0, 1, 2, DICT_PAGES_MIN - 1};
	struct dict *dict;
	size_t len;

	fill_samples(DICT_PAGES_MAX, CONTENT_TEXT);
	for (size_t i = 0; i < ARRAY_SIZE(few); i++)
		assert_int_equal(train(few[i], 3, &dict), -ENODATA);
	assert_int_equal(train(SAMPLES, 100, &dict), -EINVAL);
	for (size_t capacity = 0; capacity < DICT_SIZE_MIN; capacity += 100)
		assert_int_equal(dict_train(samples, SAMPLES, 3, &dict, capacity, &len), -EINVAL);
	fill_samples(DICT_PAGES_MAX, CONTENT_RANDOM);
	for (size_t count = DICT_PAGES_MIN; count < DICT_PAGES_MAX; count += count)
		assert_int_equal(train(count, 3, &dict), -ENODATA);
}

/* Pages that say nothing: all alike, or of one word each. */
static void test_trained_on_little(void **state)
{
	static const enum content_kind kinds[] = {CONTENT_ZERO, CONTENT_SAME};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct dict *dict = NULL;
		int r;

		fill_samples(SAMPLES, kinds[i]);
		r = train(SAMPLES, 3, &dict);
		assert_true(r == 0 || r == -ENODATA);
		dict_free(dict);
	}
}

static void test_trained_on_more_than_needed(void **state)
{
	struct dict *dict;

	fill_samples(ARRAY_SIZE(samples), CONTENT_TEXT);
	assert_int_equal(train(ARRAY_SIZE(samples), 1, &dict), 0);
	dict_free(dict);
}

/* Whatever it is, it is refused, or used without reading or writing elsewhere. */
static void try_dict(const uint8_t *bytes, size_t len, struct guard *source, struct guard *target)
{
	struct codec_stream *stream = stream_make("zstd", 3, CODEC_FILTER_NONE);
	uint8_t page[PAGE], payload[PAGE], encoding;
	struct dict_table own = {0};
	struct dict *dict;
	int r = dict_new(bytes, len, &dict);

	assert_true(r == 0 || r == -EINVAL);
	if (r == 0) {
		size_t size;

		/* Made with what it should be, read with what it is. */
		content_fill(&rng, CONTENT_TEXT, page, PAGE);
		assert_int_equal(codec_stream_use_dict(stream, 1), 1);
		size = compress(stream, page, payload, &encoding);
		dict_table_set(&own, 1, dict);
		codec_stream_set_dicts(stream, &own);
		memcpy(source->end - size, payload, size);
		r = codec_decompress(stream, encoding, source->end - size, size, target->start);
		assert_true(r == 0 || r == -EIO);
		if (codec_stream_use_dict(stream, 1) == 1)
			round_trips(stream, stream, 1);
		dict_free(dict);
	}
	codec_stream_free(stream);
}

static void test_broken(void **state)
{
	struct guard source, target;
	uint8_t bytes[DICT_SIZE_MAX];
	const void *good;
	size_t len;

	guard_init(&source, PAGE);
	guard_init(&target, PAGE);
	good = dict_bytes(dicts[0], &len);
	memcpy(bytes, good, len);
	assert_int_equal(dict_new(bytes, 0, &(struct dict *){NULL}), -EINVAL);
	assert_int_equal(dict_new(bytes, DICT_SIZE_MAX + 1, &(struct dict *){NULL}), -EINVAL);
	for (size_t cut = 1; cut < len; cut += 1 + cut / 4)
		try_dict(bytes, cut, &source, &target);
	/* The tables stand in front, in some hundred bytes. */
	for (size_t at = 0; at < 300; at++) {
		bytes[at] ^= (uint8_t)(1u << rng_below(&rng, 8));
		try_dict(bytes, len, &source, &target);
		bytes[at] = (uint8_t) ~((const uint8_t *)good)[at];
		try_dict(bytes, len, &source, &target);
		bytes[at] = ((const uint8_t *)good)[at];
	}
	rng_bytes(&rng, bytes + 8, len - 8);
	try_dict(bytes, len, &source, &target);
	rng_bytes(&rng, bytes, len);
	assert_int_equal(dict_new(bytes, len, &(struct dict *){NULL}), -EINVAL);
	guard_fini(&source);
	guard_fini(&target);
}

/* Never longer than either way alone. */
static void test_both_tried(void **state)
{
	static const char *const names[] = {"lz4", "zstd"};
	uint8_t page[PAGE], payload[PAGE], encoding;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct codec_stream *plain = stream_make(names[i], 1, CODEC_FILTER_NONE);
		struct codec_stream *predicted = stream_make(names[i], 1, CODEC_FILTER_AUTO);
		struct codec_stream *both = stream_make(names[i], 1, CODEC_FILTER_TRY);
		unsigned int shuffled = 0;

		for (unsigned int n = 0; n < 20 * CONTENT_KINDS; n++) {
			size_t len;

			content_fill(&rng, n % CONTENT_KINDS, page, PAGE);
			len = compress(both, page, payload, &encoding);
			shuffled += codec_encoding_filtered(encoding);
			assert_true(len <= compress(plain, page, payload, &encoding));
			assert_true(len <= compress(predicted, page, payload, &encoding));
		}
		assert_true(shuffled > 0);
		round_trips(both, plain, 0);
		codec_stream_free(plain);
		codec_stream_free(predicted);
		codec_stream_free(both);
	}
}

static int set_up(void **state)
{
	for (unsigned int i = 0; i < DICT_GENERATIONS; i++) {
		fill_samples(SAMPLES, CONTENT_TEXT);
		if (train(SAMPLES, 3, &dicts[i]) != 0)
			return -1;
		dict_table_set(&table, i + 1, dicts[i]);
	}
	return 0;
}

static int tear_down(void **state)
{
	for (unsigned int i = 0; i < DICT_GENERATIONS; i++)
		dict_free(dicts[i]);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_generation),
		cmocka_unit_test(test_every_level),
		cmocka_unit_test(test_it_pays),
		cmocka_unit_test(test_lz4_takes_none),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_copy_is_kept),
		cmocka_unit_test(test_wrong_encodings),
		cmocka_unit_test(test_not_trained),
		cmocka_unit_test(test_trained_on_little),
		cmocka_unit_test(test_trained_on_more_than_needed),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_both_tried),
	};

	rng = rng_make(test_seed(1));
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
