/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the byte shuffle against a plain model, at any alignment and between guard pages;
 * the predictor on pages whose answer is clear.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "codec/filter.h"
#include "common/util.h"
#include "tests/codec/guard.h"
#include "tests/lib/content.h"

#define WORDS (CODEC_PAGE_SIZE / FILTER_WORD_SIZE)

static struct rng rng;

static void model_shuffle(const uint8_t *page, uint8_t *ret_shuffled)
{
	for (size_t word = 0; word < WORDS; word++)
		for (size_t byte = 0; byte < FILTER_WORD_SIZE; byte++)
			ret_shuffled[byte * WORDS + word] = page[word * FILTER_WORD_SIZE + byte];
}

/* Each number of a page's bytes, so that no two places look alike. */
static void fill_positions(uint8_t *page, unsigned int shift)
{
	for (size_t i = 0; i < CODEC_PAGE_SIZE; i++)
		page[i] = (uint8_t)(i >> shift);
}

static void assert_shuffles(const uint8_t *page, uint8_t *shuffled, uint8_t *back)
{
	uint8_t expected[CODEC_PAGE_SIZE];

	model_shuffle(page, expected);
	filter_shuffle(page, shuffled);
	assert_memory_equal(shuffled, expected, CODEC_PAGE_SIZE);
	filter_unshuffle(shuffled, back);
	assert_memory_equal(back, page, CODEC_PAGE_SIZE);
}

static void test_shuffle_is_the_model(void **state)
{
	uint8_t page[CODEC_PAGE_SIZE], shuffled[CODEC_PAGE_SIZE], back[CODEC_PAGE_SIZE];

	for (unsigned int shift = 0; shift <= 8; shift += 4) {
		fill_positions(page, shift);
		assert_shuffles(page, shuffled, back);
	}
	for (unsigned int i = 0; i < 100; i++) {
		rng_bytes(&rng, page, sizeof(page));
		assert_shuffles(page, shuffled, back);
	}
}

static void test_shuffle_at_any_alignment(void **state)
{
	struct guard from, to, back;

	guard_init(&from, 2 * CODEC_PAGE_SIZE);
	guard_init(&to, 2 * CODEC_PAGE_SIZE);
	guard_init(&back, 2 * CODEC_PAGE_SIZE);
	for (size_t skew = 0; skew <= 32; skew++) {
		rng_bytes(&rng, from.start, 2 * CODEC_PAGE_SIZE);
		assert_shuffles(from.start + skew, to.start + 32 - skew, back.start + skew);
		assert_shuffles(from.end - CODEC_PAGE_SIZE - skew, to.end - CODEC_PAGE_SIZE,
				back.end - CODEC_PAGE_SIZE - skew);
	}
	guard_fini(&from);
	guard_fini(&to);
	guard_fini(&back);
}

static void assert_predicts(const uint8_t *page, bool expected)
{
	assert_int_equal(filter_predict(CODEC_LZ4, page), expected);
	assert_int_equal(filter_predict(CODEC_ZSTD, page), expected);
}

static void test_predict_numbers(void **state)
{
	uint8_t page[CODEC_PAGE_SIZE];

	/* Sixteen random bits in each word, below 48 that stay. */
	for (size_t at = 0; at < sizeof(page); at += FILTER_WORD_SIZE) {
		uint64_t word = 0x00007f1234560000u | rng_below(&rng, 1 << 16);

		memcpy(page + at, &word, sizeof(word));
	}
	assert_predicts(page, true);
}

static void test_predict_what_has_no_columns(void **state)
{
	static const enum content_kind kinds[] = {CONTENT_ZERO, CONTENT_TEXT, CONTENT_RANDOM};
	uint8_t page[CODEC_PAGE_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		content_fill(&rng, kinds[i], page, sizeof(page));
		assert_predicts(page, false);
	}
}

static void test_predict_stays_inside(void **state)
{
	struct guard guard;

	guard_init(&guard, CODEC_PAGE_SIZE);
	content_fill(&rng, CONTENT_POINTERS, guard.start, CODEC_PAGE_SIZE);
	filter_predict(CODEC_LZ4, guard.start);
	filter_predict(CODEC_ZSTD, guard.start);
	guard_fini(&guard);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shuffle_is_the_model),
		cmocka_unit_test(test_shuffle_at_any_alignment),
		cmocka_unit_test(test_predict_numbers),
		cmocka_unit_test(test_predict_what_has_no_columns),
		cmocka_unit_test(test_predict_stays_inside),
	};

	rng = rng_make(test_seed(1));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
