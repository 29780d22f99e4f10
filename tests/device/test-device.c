/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what each call of the device does: sizes, part pages, pages of one word, raw pages,
 * trim and zero, extents, invalid requests, counters, options.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/device/fixture.h"

static struct rng rng;

static void test_never_written(void **state)
{
	struct device *device = device_of_size(10 * PAGE);

	assert_int_equal(device_size(device), 10 * PAGE);
	assert_zeros(device, 0, PAGE);
	assert_zeros(device, 3 * PAGE + 17, 2 * PAGE);
	assert_zeros(device, 10 * PAGE - 1, 1);
	assert_int_equal(stats_of(device).pages_pool, 0);
	assert_int_equal(stats_of(device).pool, 0);
	device_end(device);
}

/* The last byte can be written and read, and the one after it cannot. */
static void test_odd_sizes(void **state)
{
	static const uint64_t sizes[] = {1,	   2,	     511,	   PAGE - 1,
					 PAGE + 1, 3 * PAGE, 5 * PAGE + 7, MIB - 1};
	uint8_t byte = 0x5a, found;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct device *device = device_of_size(sizes[i]);

		assert_int_equal(device_size(device), sizes[i]);
		assert_int_equal(device_write(device, &byte, sizes[i] - 1, 1), 0);
		assert_int_equal(device_write(device, &byte, sizes[i], 1), -EINVAL);
		assert_int_equal(device_read(device, &found, sizes[i] - 1, 1), 0);
		assert_int_equal(found, byte);
		assert_int_equal(device_read(device, &found, sizes[i], 1), -EINVAL);
		device_end(device);
	}
}

static void test_whole_pages(void **state)
{
	struct device *device = device_of_size(64 * PAGE);
	uint8_t content[64 * PAGE], found[64 * PAGE];

	for (size_t page = 0; page < 64; page++)
		content_fill(&rng, page % CONTENT_KINDS, content + page * PAGE, PAGE);
	assert_int_equal(device_write(device, content, 0, sizeof(content)), 0);
	assert_int_equal(device_read(device, found, 0, sizeof(found)), 0);
	assert_memory_equal(found, content, sizeof(content));
	for (size_t page = 0; page < 64; page++)
		assert_page(device, page, content + page * PAGE);
	device_end(device);
}

/* Every part of a page, begun and ended at or beside what might be special. */
static void test_part_pages(void **state)
{
	static const size_t at[] = {0, 1, 7, 8, 9, 511, 512, 2047, 4088, 4095, 4096};
	struct device *device = device_of_size(PAGE);
	uint8_t want[PAGE], part[PAGE];

	content_fill(&rng, CONTENT_TEXT, want, PAGE);
	write_page(device, 0, want);
	for (size_t from = 0; from < sizeof(at) / sizeof(at[0]); from++) {
		for (size_t to = from + 1; to < sizeof(at) / sizeof(at[0]); to++) {
			size_t count = at[to] - at[from];

			content_fill(&rng, CONTENT_POINTERS, part, count);
			assert_int_equal(device_write(device, part, at[from], count), 0);
			memcpy(want + at[from], part, count);
			assert_page(device, 0, want);
			memset(part, 0, count);
			assert_int_equal(device_read(device, part, at[from], count), 0);
			assert_memory_equal(part, want + at[from], count);
		}
	}
	device_end(device);
}

static void test_part_of_hole_and_of_same(void **state)
{
	struct device *device = device_of_size(2 * PAGE);
	uint8_t want[PAGE];

	memset(want, 0, PAGE);
	want[100] = 0xee;
	assert_int_equal(device_write(device, want + 100, 100, 1), 0);
	assert_page(device, 0, want);

	content_fill(&rng, CONTENT_SAME, want, PAGE);
	write_page(device, 1, want);
	want[4095] ^= 1;
	assert_int_equal(device_write(device, want + 4095, PAGE + 4095, 1), 0);
	assert_page(device, 1, want);
	want[4095] ^= 1;
	assert_int_equal(device_write(device, want + 4095, PAGE + 4095, 1), 0);
	assert_page(device, 1, want);
	assert_int_equal(stats_of(device).pages_same, 1);
	device_end(device);
}

static void test_across_pages(void **state)
{
	struct device *device = device_of_size(8 * PAGE);
	uint8_t want[8 * PAGE], part[4 * PAGE];

	memset(want, 0, sizeof(want));
	for (int i = 0; i < 200; i++) {
		uint64_t offset = rng_below(&rng, sizeof(want));
		size_t count = rng_between(&rng, 1, sizeof(part));

		if (count > sizeof(want) - offset)
			count = sizeof(want) - offset;
		content_fill(&rng, content_pick(&rng), part, count);
		assert_int_equal(device_write(device, part, offset, count), 0);
		memcpy(want + offset, part, count);
	}
	for (uint64_t page = 0; page < 8; page++)
		assert_page(device, page, want + page * PAGE);
	device_end(device);
}

/* Any word, with all its bits in use; and a page of almost one word is none. */
static void test_same_word(void **state)
{
	struct device *device = device_of_size(1000 * PAGE);
	uint8_t content[PAGE];
	struct rng again;

	again = rng;
	for (uint64_t page = 0; page < 1000; page++) {
		content_fill(&rng, CONTENT_SAME, content, PAGE);
		write_page(device, page, content);
	}
	assert_int_equal(stats_of(device).pages_same, 1000);
	assert_int_equal(stats_of(device).pages_pool, 0);
	assert_int_equal(stats_of(device).payload, 0);
	assert_int_equal(stats_of(device).pool, 0);
	for (uint64_t page = 0; page < 1000; page++) {
		content_fill(&again, CONTENT_SAME, content, PAGE);
		assert_page(device, page, content);
	}
	for (size_t at = 0; at < PAGE; at += 455) {
		content_fill(&rng, CONTENT_SAME, content, PAGE);
		content[at] ^= 0x10;
		write_page(device, 0, content);
		assert_page(device, 0, content);
		assert_int_equal(stats_of(device).pages_pool, 1);
	}
	device_end(device);
}

/* More distinct words than any table of them may hold, twice over: the content is right. */
static void test_many_words(void **state)
{
	enum { PAGES = 80000 };
	struct device *device = device_of_size((uint64_t)PAGES * PAGE);
	uint8_t content[PAGE];

	for (uint64_t turn = 0; turn < 2; turn++) {
		for (uint64_t page = 0; page < PAGES; page++) {
			codec_fill_word(content, rng_mix(turn * PAGES + page + 1));
			write_page(device, page, content);
		}
		assert_int_equal(stats_of(device).pages_same + stats_of(device).pages_pool, PAGES);
		for (uint64_t page = 0; page < PAGES; page++) {
			codec_fill_word(content, rng_mix(turn * PAGES + page + 1));
			assert_page(device, page, content);
		}
		assert_valid(device);
	}
	codec_fill_word(content, UINT64_C(0x0102030405060708));
	for (uint64_t page = 0; page < PAGES; page++)
		write_page(device, page, content);
	assert_page(device, PAGES / 2, content);
	assert_int_equal(device_trim(device, 0, (uint64_t)PAGES * PAGE), 0);
	assert_int_equal(stats_of(device).pages_same, 0);
	assert_int_equal(stats_of(device).pages_pool, 0);

	/* Nobody has a word any more, so there is a place for new ones. */
	for (uint64_t page = 0; page < 1000; page++) {
		codec_fill_word(content, rng_mix(3 * PAGES + page));
		write_page(device, page, content);
	}
	assert_int_equal(stats_of(device).pages_same, 1000);
	device_end(device);
}

static void test_raw(void **state)
{
	struct device *device = device_of_size(4 * PAGE);
	uint8_t content[PAGE];

	content_fill(&rng, CONTENT_RANDOM, content, PAGE);
	write_page(device, 2, content);
	assert_page(device, 2, content);
	assert_int_equal(stats_of(device).pages_raw, 1);
	assert_int_equal(stats_of(device).payload, PAGE);
	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	write_page(device, 2, content);
	assert_int_equal(stats_of(device).pages_raw, 0);
	assert_in_range(stats_of(device).payload, 1, PAGE - 1);
	device_end(device);
}

static void test_trim(void **state)
{
	struct device *device = device_of_size(6 * PAGE + 100);
	uint8_t content[PAGE];

	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	for (uint64_t page = 0; page < 6; page++)
		write_page(device, page, content);
	assert_int_equal(device_write(device, content, 6 * PAGE, 100), 0);

	/* Page 1 is in it in part, 2 and 3 are whole, of 4 there is a part again. */
	assert_int_equal(device_trim(device, PAGE + 1, 3 * PAGE), 0);
	assert_page(device, 1, content);
	assert_zeros(device, 2 * PAGE, 2 * PAGE);
	assert_page(device, 4, content);
	assert_int_equal(stats_of(device).pages_pool, 5);
	assert_int_equal(stats_of(device).notify_free, 2);

	/* Nothing in it is a whole page. */
	assert_int_equal(device_trim(device, 4 * PAGE + 1, PAGE - 1), 0);
	assert_int_equal(device_trim(device, 4 * PAGE, PAGE - 1), 0);
	assert_page(device, 4, content);

	/* The last page is whole where the device ends, but not without its beginning. */
	assert_int_equal(device_trim(device, 6 * PAGE + 1, 99), 0);
	assert_int_equal(device_trim(device, 6 * PAGE, 99), 0);
	assert_int_equal(stats_of(device).notify_free, 2);
	assert_int_equal(device_trim(device, 6 * PAGE, 100), 0);
	assert_zeros(device, 6 * PAGE, 100);
	assert_int_equal(stats_of(device).pages_pool, 4);
	assert_int_equal(stats_of(device).notify_free, 3);

	assert_int_equal(device_trim(device, 0, 6 * PAGE + 100), 0);
	assert_int_equal(stats_of(device).pages_pool, 0);
	assert_int_equal(stats_of(device).payload, 0);
	assert_int_equal(stats_of(device).notify_free, 7);
	device_end(device);
}

static void test_zero(void **state)
{
	struct device *device = device_of_size(4 * PAGE + 9);
	uint8_t content[PAGE], want[PAGE];

	content_fill(&rng, CONTENT_POINTERS, content, PAGE);
	memset(content, 0x33, 8);
	for (uint64_t page = 0; page < 4; page++)
		write_page(device, page, content);
	assert_int_equal(device_zero(device, 1000, 2 * PAGE), 0);
	memcpy(want, content, PAGE);
	memset(want + 1000, 0, PAGE - 1000);
	assert_page(device, 0, want);
	assert_zeros(device, PAGE, PAGE);
	memcpy(want, content, PAGE);
	memset(want, 0, 1000);
	assert_page(device, 2, want);
	assert_page(device, 3, content);
	assert_int_equal(stats_of(device).pages_pool, 3);
	assert_int_equal(stats_of(device).notify_free, 1);

	/* What becomes all zeros bit by bit takes no object in the end. */
	assert_int_equal(device_zero(device, 2 * PAGE + 1000, PAGE - 1000), 0);
	assert_zeros(device, 2 * PAGE, PAGE);
	assert_int_equal(stats_of(device).pages_pool, 2);
	device_end(device);
}

static void test_invalid(void **state)
{
	uint64_t size = 3 * PAGE + 5;
	struct device *device = device_of_size(size);
	uint8_t content[PAGE], found[PAGE];
	struct device_stats stats;

	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	write_page(device, 2, content);
	assert_int_equal(device_read(device, found, size, 1), -EINVAL);
	assert_int_equal(device_read(device, found, size - 1, 2), -EINVAL);
	assert_int_equal(device_read(device, found, UINT64_MAX, 2), -EINVAL);
	assert_int_equal(device_write(device, found, size - PAGE + 1, PAGE), -EINVAL);
	assert_int_equal(device_write(device, found, UINT64_MAX - PAGE + 1, PAGE), -EINVAL);
	assert_int_equal(device_trim(device, 0, size + 1), -EINVAL);
	assert_int_equal(device_trim(device, 2 * PAGE, UINT64_MAX), -EINVAL);
	assert_int_equal(device_zero(device, size + PAGE, PAGE), -EINVAL);
	assert_int_equal(device_zero(device, 1, UINT64_MAX), -EINVAL);
	stats = stats_of(device);
	assert_int_equal(stats.invalid_io, 9);
	assert_int_equal(stats.reads, 0);
	assert_int_equal(stats.writes, 1);
	assert_int_equal(stats.trims, 0);
	assert_int_equal(stats.zeroes, 0);
	assert_int_equal(stats.failed_reads, 0);
	assert_int_equal(stats.failed_writes, 0);
	assert_int_equal(stats.bytes_read, 0);
	assert_int_equal(stats.bytes_written, PAGE);
	assert_page(device, 2, content);
	device_end(device);
}

/* A known sequence, and every counter that it touches. */
static void test_counters(void **state)
{
	struct device *device = device_of_size(16 * PAGE);
	uint8_t content[4 * PAGE], found[4 * PAGE];
	struct device_stats stats;

	content_fill(&rng, CONTENT_RANDOM, content, PAGE);
	content_fill(&rng, CONTENT_SAME, content + PAGE, PAGE);
	content_fill(&rng, CONTENT_TEXT, content + 2 * PAGE, PAGE);
	content_fill(&rng, CONTENT_ZERO, content + 3 * PAGE, PAGE);
	assert_int_equal(device_write(device, content, 4 * PAGE, 4 * PAGE), 0);
	assert_int_equal(device_write(device, content, 8 * PAGE, 10), 0);
	assert_int_equal(device_write(device, content, 4 * PAGE, PAGE), 0);
	assert_int_equal(device_read(device, found, 4 * PAGE, 4 * PAGE), 0);
	assert_int_equal(device_read(device, found, 0, 1), 0);
	assert_int_equal(device_flush(device), 0);
	assert_int_equal(device_trim(device, 0, 5 * PAGE), 0);
	assert_int_equal(device_zero(device, 5 * PAGE, PAGE), 0);
	assert_int_equal(device_zero(device, 9 * PAGE, PAGE), 0);
	stats = stats_of(device);
	assert_int_equal(stats.writes, 3);
	assert_int_equal(stats.bytes_written, 5 * PAGE + 10);
	assert_int_equal(stats.reads, 2);
	assert_int_equal(stats.bytes_read, 4 * PAGE + 1);
	assert_int_equal(stats.flushes, 1);
	assert_int_equal(stats.trims, 1);
	assert_int_equal(stats.zeroes, 2);
	assert_int_equal(stats.notify_free, 2);
	assert_int_equal(stats.failed_reads + stats.failed_writes + stats.invalid_io, 0);
	assert_int_equal(stats.pages_same, 1);
	assert_int_equal(stats.pages_pool, 2);
	assert_int_equal(stats.pages_raw, 0);
	assert_in_range(stats.payload, 2, 2 * PAGE - 2);
	assert_in_range(stats.pool, stats.payload, stats.pool_max);
	assert_int_equal(stats.mem_limit, 0);
	assert_true(stats.metadata > 0);
	assert_true(stats.streams > 0);
	device_end(device);
}

struct extent {
	uint64_t offset, length;
	bool hole;
};

struct extents {
	struct extent found[8];
	size_t count, stop_after;
};

static int note_extent(void *opaque, uint64_t offset, uint64_t length, bool hole)
{
	struct extents *extents = opaque;

	assert_true(extents->count < 8);
	extents->found[extents->count++] = (struct extent){offset, length, hole};
	return extents->count == extents->stop_after ? 17 : 0;
}

static void assert_extents(struct device *device, uint64_t offset, uint64_t count,
			   const struct extent *want, size_t n)
{
	struct extents extents = {.count = 0};

	assert_int_equal(device_extents(device, offset, count, note_extent, &extents), 0);
	assert_int_equal(extents.count, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(extents.found[i].offset, want[i].offset);
		assert_int_equal(extents.found[i].length, want[i].length);
		assert_int_equal(extents.found[i].hole, want[i].hole);
	}
}

/* Data of one kind or another is alike; zeros are a hole, however they came. */
static void test_extents(void **state)
{
	uint64_t size = 10 * PAGE + 50;
	struct device *device = device_of_size(size);
	struct extents stopped = {.stop_after = 2};
	uint8_t content[PAGE];

	assert_extents(device, 0, size, (struct extent[]){{0, size, true}}, 1);
	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	write_page(device, 2, content);
	content_fill(&rng, CONTENT_SAME, content, PAGE);
	write_page(device, 3, content);
	content_fill(&rng, CONTENT_ZERO, content, PAGE);
	write_page(device, 4, content);
	assert_int_equal(device_write(device, "x", size - 1, 1), 0);
	assert_extents(device, 0, size,
		       (struct extent[]){{0, 2 * PAGE, true},
					 {2 * PAGE, 2 * PAGE, false},
					 {4 * PAGE, 6 * PAGE, true},
					 {10 * PAGE, 50, false}},
		       4);
	assert_extents(device, PAGE + 9, 2 * PAGE,
		       (struct extent[]){{PAGE + 9, PAGE - 9, true}, {2 * PAGE, PAGE + 9, false}},
		       2);
	assert_extents(device, 3 * PAGE + 1, 5, (struct extent[]){{3 * PAGE + 1, 5, false}}, 1);
	assert_int_equal(device_extents(device, 0, size, note_extent, &stopped), 17);
	assert_int_equal(stopped.count, 2);
	assert_int_equal(device_extents(device, size, 1, note_extent, &stopped), -EINVAL);
	device_end(device);
}

static void assert_refused(const struct device_options *options, int err)
{
	struct device *device = NULL;

	assert_int_equal(device_new(options, &device), err);
	assert_null(device);
}

static void test_options(void **state)
{
	struct device_options good = options_make(MIB), options;

	options = good;
	options.size = 0;
	assert_refused(&options, -EINVAL);
	options = good;
	options.size = device_max_size() + 1;
	assert_refused(&options, -E2BIG);
	options.size = UINT64_MAX;
	assert_refused(&options, -E2BIG);
	options = good;
	options.mem_limit = device_min_limit() - 1;
	assert_refused(&options, -EINVAL);
	options.mem_limit = 1;
	assert_refused(&options, -EINVAL);
	options = good;
	options.method.id = CODEC_ZSTD + 1;
	assert_refused(&options, -EINVAL);
	options = good;
	options.method.id = CODEC_ZSTD;
	options.method.level = 1000;
	assert_refused(&options, -EINVAL);

	options = good;
	options.mem_limit = device_min_limit();
	device_end(device_make(&options));
	options = good;
	options.streams = 1;
	device_end(device_make(&options));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_written),
		cmocka_unit_test(test_odd_sizes),
		cmocka_unit_test(test_whole_pages),
		cmocka_unit_test(test_part_pages),
		cmocka_unit_test(test_part_of_hole_and_of_same),
		cmocka_unit_test(test_across_pages),
		cmocka_unit_test(test_same_word),
		cmocka_unit_test(test_many_words),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_extents),
		cmocka_unit_test(test_options),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
