/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: methods and their limits; what is compressed, by every level and at every payload
 * limit, comes back; what does not shrink is raw; pages of one word.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "common/util.h"
#include "tests/codec/guard.h"
#include "tests/lib/content.h"

#define ENCODING_FILTER 0x04

static struct rng rng;

static struct codec_method make_method(const char *name, int level, enum codec_filter filter)
{
	struct codec_method method;

	assert_int_equal(codec_method_init(&method, name, &level), 0);
	method.filter = filter;
	return method;
}

static struct codec_stream *make_stream(const struct codec_method *method)
{
	struct codec_stream *stream;

	assert_int_equal(codec_stream_new(method, &stream), 0);
	return stream;
}

static void test_method_names(void **state)
{
	struct codec_method method;

	assert_int_equal(codec_method_init(&method, "lz4", NULL), 0);
	assert_int_equal(method.id, CODEC_LZ4);
	assert_int_equal(method.level, 1);
	assert_int_equal(method.filter, CODEC_FILTER_AUTO);
	assert_int_equal(method.max_payload, CODEC_PAGE_SIZE - 1);
	assert_int_equal(codec_method_init(&method, "zstd", NULL), 0);
	assert_int_equal(method.id, CODEC_ZSTD);
	assert_int_equal(codec_method_init(&method, "raw", NULL), -ENOENT);
	assert_int_equal(codec_method_init(&method, "", NULL), -ENOENT);
	assert_int_equal(codec_method_init(&method, "zstd ", NULL), -ENOENT);
	assert_string_equal(codec_name(CODEC_RAW), "raw");
	assert_string_equal(codec_name(CODEC_LZ4), "lz4");
	assert_string_equal(codec_name(CODEC_ZSTD), "zstd");
}

static void test_method_levels(void **state)
{
	static const char *const names[] = {"lz4", "zstd"};
	static const enum codec_id ids[] = {CODEC_LZ4, CODEC_ZSTD};
	struct codec_method method;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		int min, max, unasked, below, above;

		codec_levels(ids[i], &min, &max, &unasked);
		below = min - 1;
		above = max + 1;
		assert_in_range(unasked, 1, max);
		assert_int_equal(codec_method_init(&method, names[i], &min), 0);
		assert_int_equal(method.level, min);
		assert_int_equal(codec_method_init(&method, names[i], &max), 0);
		assert_int_equal(codec_method_init(&method, names[i], &below), -ERANGE);
		assert_int_equal(codec_method_init(&method, names[i], &above), -ERANGE);
		assert_int_equal(codec_method_init(&method, names[i], NULL), 0);
		assert_int_equal(method.level, unasked);
	}
}

static void test_method_is_none(void **state)
{
	const struct codec_method good = make_method("zstd", 1, CODEC_FILTER_AUTO);
	struct codec_method bad[] = {good, good, good, good, good};
	struct codec_stream *stream;

	bad[0].id = CODEC_RAW;
	bad[1].id = 3;
	bad[2].level = INT_MAX;
	bad[3].filter = CODEC_FILTER_TRY + 1;
	bad[4].max_payload = CODEC_PAGE_SIZE;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(codec_stream_new(&bad[i], &stream), -EINVAL);
}

/* Compress PAGE, check what the interface says of the payload, and decompress it elsewhere. */
static size_t round_trip(struct codec_stream *stream, struct codec_stream *other,
			 const struct codec_method *method, const uint8_t *page)
{
	uint8_t back[CODEC_PAGE_SIZE], copy[CODEC_PAGE_SIZE];
	const void *payload;
	uint8_t encoding;
	size_t len = codec_compress(stream, page, &payload, &encoding);

	if (encoding == CODEC_RAW) {
		assert_ptr_equal(payload, page);
		assert_int_equal(len, CODEC_PAGE_SIZE);
	} else {
		assert_int_equal(encoding & ~ENCODING_FILTER, method->id);
		assert_in_range(len, 1, method->max_payload);
	}
	if (method->filter == CODEC_FILTER_NONE)
		assert_int_equal(encoding & ENCODING_FILTER, 0);
	memcpy(copy, payload, len);
	memset(back, 0x5a, sizeof(back));
	assert_int_equal(codec_decompress(other, encoding, copy, len, back), 0);
	assert_memory_equal(back, page, CODEC_PAGE_SIZE);
	return len;
}

/* A few pages of each kind, through one method; OTHER was made for another. */
static void round_trips(const struct codec_method *method, struct codec_stream *other)
{
	struct codec_stream *stream = make_stream(method);
	uint8_t page[CODEC_PAGE_SIZE];

	for (unsigned int kind = 0; kind < CONTENT_KINDS; kind++) {
		for (unsigned int i = 0; i < 4; i++) {
			size_t len;

			content_fill(&rng, kind, page, sizeof(page));
			len = round_trip(stream, other, method, page);
			if (kind == CONTENT_RANDOM)
				assert_int_equal(len, CODEC_PAGE_SIZE);
			else if (kind == CONTENT_ZERO && method->level > -100 &&
				 method->max_payload >= 100)
				assert_in_range(len, 1, 100);
		}
	}
	codec_stream_free(stream);
}

static void test_every_zstd_level(void **state)
{
	struct codec_method lz4 = make_method("lz4", 1, CODEC_FILTER_AUTO);
	struct codec_stream *other = make_stream(&lz4);

	for (int level = -8; level <= 22; level++) {
		int min, max, unasked;
		struct codec_method method;

		codec_levels(CODEC_ZSTD, &min, &max, &unasked);
		method = make_method("zstd", level < -7 ? min : level, CODEC_FILTER_NONE);
		round_trips(&method, other);
		method.filter = CODEC_FILTER_AUTO;
		round_trips(&method, other);
	}
	codec_stream_free(other);
}

static void test_lz4_accelerations(void **state)
{
	static const int levels[] = {1, 2, 3, 8, 22, 64, 1000, 65537};
	struct codec_method zstd = make_method("zstd", 3, CODEC_FILTER_AUTO);
	struct codec_stream *other = make_stream(&zstd);

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		struct codec_method method = make_method("lz4", levels[i], CODEC_FILTER_NONE);

		round_trips(&method, other);
		method.filter = CODEC_FILTER_AUTO;
		round_trips(&method, other);
	}
	codec_stream_free(other);
}

static void test_every_payload_limit(void **state)
{
	static const size_t limits[] = {0, 1, 7, 32, 100, 500, 1000, 2048, 3000, 3500, 4094};
	static const char *const names[] = {"lz4", "zstd"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct codec_method method = make_method(names[i], 1, CODEC_FILTER_AUTO);
		struct codec_stream *other = make_stream(&method);

		for (size_t j = 0; j < ARRAY_SIZE(limits); j++) {
			method.max_payload = limits[j];
			round_trips(&method, other);
		}
		codec_stream_free(other);
	}
}

static void test_limit_is_exact(void **state)
{
	static const char *const names[] = {"lz4", "zstd"};
	uint8_t page[CODEC_PAGE_SIZE];

	content_fill(&rng, CONTENT_TEXT, page, sizeof(page));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct codec_method method = make_method(names[i], 1, CODEC_FILTER_NONE);
		struct codec_stream *stream = make_stream(&method);
		size_t len = round_trip(stream, stream, &method, page);

		codec_stream_free(stream);
		method.max_payload = len - 1;
		stream = make_stream(&method);
		assert_int_equal(round_trip(stream, stream, &method, page), CODEC_PAGE_SIZE);
		codec_stream_free(stream);
	}
}

/* The header of a zstd frame says no more than its window: no checksum, no size, no dictionary. */
static void test_zstd_payload_is_bare(void **state)
{
	struct codec_method method = make_method("zstd", 1, CODEC_FILTER_NONE);
	struct codec_stream *stream = make_stream(&method);
	uint8_t page[CODEC_PAGE_SIZE];
	const void *payload;
	uint8_t encoding;

	content_fill(&rng, CONTENT_TEXT, page, sizeof(page));
	codec_compress(stream, page, &payload, &encoding);
	assert_int_equal(encoding, CODEC_ZSTD);
	assert_int_equal(((const uint8_t *)payload)[0], 0);
	codec_stream_free(stream);
}

static size_t compressed_len(const char *name, enum codec_filter filter, const uint8_t *page,
			     uint8_t *ret_encoding)
{
	struct codec_method method = make_method(name, 1, filter);
	struct codec_stream *stream = make_stream(&method);
	const void *payload;
	size_t len = codec_compress(stream, page, &payload, ret_encoding);

	codec_stream_free(stream);
	return len;
}

static void test_filter_shortens_numbers(void **state)
{
	static const char *const names[] = {"lz4", "zstd"};
	uint8_t page[CODEC_PAGE_SIZE], encoding;

	for (size_t at = 0; at < sizeof(page); at += sizeof(uint64_t)) {
		uint64_t word = 0x00007f1234560000u | rng_below(&rng, 1 << 16);

		memcpy(page + at, &word, sizeof(word));
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t plain = compressed_len(names[i], CODEC_FILTER_NONE, page, &encoding);
		size_t filtered = compressed_len(names[i], CODEC_FILTER_AUTO, page, &encoding);

		assert_int_equal(encoding & ENCODING_FILTER, ENCODING_FILTER);
		assert_true(filtered < plain);
	}
}

/*
 * Words of 16, whose low halves are random: the predictor wants them shuffled, but they repeat
 * whole. When only the plain payload is within the limit, it is the one that is stored.
 */
static void test_plain_when_shuffled_does_not_fit(void **state)
{
	struct codec_method method = make_method("lz4", 1, CODEC_FILTER_AUTO);
	uint8_t page[CODEC_PAGE_SIZE], encoding;
	struct codec_stream *stream;
	uint64_t words[16];
	size_t plain, filtered;

	for (size_t i = 0; i < 16; i++)
		words[i] = 0x1234567800000000u | (uint32_t)rng_next(&rng);
	for (size_t at = 0; at < sizeof(page); at += sizeof(words[0]))
		memcpy(page + at, &words[rng_below(&rng, 16)], sizeof(words[0]));

	plain = compressed_len("lz4", CODEC_FILTER_NONE, page, &encoding);
	filtered = compressed_len("lz4", CODEC_FILTER_AUTO, page, &encoding);
	assert_int_equal(encoding & ENCODING_FILTER, ENCODING_FILTER);
	assert_true(plain < filtered);
	method.max_payload = plain;
	stream = make_stream(&method);
	assert_int_equal(round_trip(stream, stream, &method, page), plain);
	codec_stream_free(stream);
}

static void test_streams_own_page(void **state)
{
	struct codec_method method = make_method("zstd", 1, CODEC_FILTER_AUTO);
	struct codec_stream *stream = make_stream(&method);
	uint8_t page[CODEC_PAGE_SIZE];
	const void *payload;
	uint8_t encoding;
	size_t len;

	for (unsigned int kind = 0; kind < CONTENT_KINDS; kind++) {
		content_fill(&rng, kind, page, sizeof(page));
		memcpy(codec_stream_page(stream), page, sizeof(page));
		len = codec_compress(stream, codec_stream_page(stream), &payload, &encoding);
		assert_memory_equal(codec_stream_page(stream), page, sizeof(page));
		if (encoding == CODEC_RAW)
			continue;
		memset(codec_stream_page(stream), 0, CODEC_PAGE_SIZE);
		assert_int_equal(
			codec_decompress(stream, encoding, payload, len, codec_stream_page(stream)),
			0);
		assert_memory_equal(codec_stream_page(stream), page, sizeof(page));
	}
	codec_stream_free(stream);
}

static void test_stream_memory(void **state)
{
	struct codec_method lz4 = make_method("lz4", 1, CODEC_FILTER_AUTO);
	struct codec_method zstd = make_method("zstd", 19, CODEC_FILTER_AUTO);
	struct codec_stream *small = make_stream(&lz4), *large = make_stream(&zstd);

	assert_true(codec_stream_memory(small) > 3 * CODEC_PAGE_SIZE);
	assert_true(codec_stream_memory(small) < codec_stream_memory(large));
	codec_stream_free(small);
	codec_stream_free(large);
	codec_stream_free(NULL);
}

static void test_one_word_any_byte(void **state)
{
	struct guard guard;

	guard_init(&guard, CODEC_PAGE_SIZE);
	for (unsigned int byte = 0; byte < sizeof(uint64_t); byte++) {
		for (uint64_t value = 0; value < 256; value++) {
			uint64_t word = value << (8 * byte), got = ~word;

			codec_fill_word(guard.start, word);
			for (size_t at = 0; at < CODEC_PAGE_SIZE; at += sizeof(word))
				assert_memory_equal(guard.start + at, &word, sizeof(word));
			assert_true(codec_same_word(guard.start, &got));
			assert_true(got == word);
		}
	}
	guard_fini(&guard);
}

static void test_not_one_word(void **state)
{
	static const uint64_t words[] = {0, ~(uint64_t)0, 0x0123456789abcdef};
	struct guard guard;
	uint64_t got;

	guard_init(&guard, CODEC_PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		codec_fill_word(guard.start, words[i]);
		for (size_t at = 0; at < CODEC_PAGE_SIZE; at++) {
			guard.start[at] ^= (uint8_t)(1u << (at % 8));
			assert_false(codec_same_word(guard.start, &got));
			guard.start[at] ^= (uint8_t)(1u << (at % 8));
		}
		assert_true(codec_same_word(guard.start, &got));
	}
	guard_fini(&guard);
}

static void test_one_word_at_any_alignment(void **state)
{
	struct guard guard;

	guard_init(&guard, 2 * CODEC_PAGE_SIZE);
	for (size_t skew = 0; skew <= 64; skew++) {
		uint8_t *page = guard.end - CODEC_PAGE_SIZE - skew;
		uint64_t word = rng_next(&rng), got;

		memset(guard.start, 0x5a, 2 * CODEC_PAGE_SIZE);
		codec_fill_word(page, word);
		assert_true(codec_same_word(page, &got));
		assert_true(got == word);
		assert_int_equal(page[-1], 0x5a);
		if (skew > 0)
			assert_int_equal(page[CODEC_PAGE_SIZE], 0x5a);
	}
	guard_fini(&guard);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_method_names),
		cmocka_unit_test(test_method_levels),
		cmocka_unit_test(test_method_is_none),
		cmocka_unit_test(test_every_zstd_level),
		cmocka_unit_test(test_lz4_accelerations),
		cmocka_unit_test(test_every_payload_limit),
		cmocka_unit_test(test_limit_is_exact),
		cmocka_unit_test(test_zstd_payload_is_bare),
		cmocka_unit_test(test_filter_shortens_numbers),
		cmocka_unit_test(test_plain_when_shuffled_does_not_fit),
		cmocka_unit_test(test_streams_own_page),
		cmocka_unit_test(test_stream_memory),
		cmocka_unit_test(test_one_word_any_byte),
		cmocka_unit_test(test_not_one_word),
		cmocka_unit_test(test_one_word_at_any_alignment),
	};

	rng = rng_make(test_seed(1));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
