/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of saving share: a device of any content, saved and restored, and what it must hold. */
#ifndef ZCRAM_TESTS_SAVING_H
#define ZCRAM_TESTS_SAVING_H

#include <errno.h>

#include "device/device-types.h"
#include "device/save.h"
#include "tests/device/store.h"
#include "tests/image/sink.h"

#define PAGES 3000 /* six leaves */
#define SIZE  (PAGES * (uint64_t)PAGE - 1234)

static inline size_t page_size(uint64_t page)
{
	return page == PAGES - 1 ? SIZE % PAGE : PAGE;
}

static inline struct image_counts save(struct device *device, struct sink *sink)
{
	struct image_counts counts;

	assert_int_equal(device_save(device, sink_write, sink, &counts), 0);
	return counts;
}

static inline int restore(struct device *device, bool force, struct sink *sink,
			  struct device_restored *ret)
{
	sink->at = 0;
	return device_restore(device, force, sink_read, sink, ret);
}

static inline void assert_sound(struct sink *sink)
{
	struct image_reader *reader;

	sink->at = 0;
	assert_int_equal(image_reader_new(sink_read, sink, &reader), 0);
	assert_int_equal(image_verify(reader), 0);
	image_reader_free(reader);
}

/* They hold as much of each kind. */
static inline void assert_alike(struct device *one, struct device *other)
{
	struct device_stats a = stats_of(one), b = stats_of(other);

	assert_int_equal(a.pages_pool, b.pages_pool);
	assert_int_equal(a.pages_same, b.pages_same);
	assert_int_equal(a.pages_raw, b.pages_raw);
	assert_int_equal(a.pages_filter, b.pages_filter);
	assert_int_equal(a.pages_damaged, b.pages_damaged);
	assert_int_equal(a.payload, b.payload);
}

/* An image of a device that is made of damaged pages FIRST to LAST alone. */
static inline struct sink image_of_damaged(uint64_t first, uint64_t last)
{
	const struct image_info info = {.size = SIZE, .encodings = codec_plain_encodings()};
	struct image_writer *writer;
	struct image_counts counts;
	struct sink sink = {0};

	assert_int_equal(image_writer_new(&info, sink_write, &sink, &writer), 0);
	for (uint64_t page = first; page <= last; page++)
		assert_int_equal(image_put_damaged(writer, page), 0);
	assert_int_equal(image_writer_end(writer, &counts), 0);
	image_writer_free(writer);
	return sink;
}

/* A model of a device: its bytes, and which pages cannot be read. */
struct reference {
	uint8_t *bytes;
	bool damaged[PAGES];
};

/*
 * Fill the device with runs of all kinds of content, by several methods, holes between, over some
 * damaged pages of which some stay.
 */
static inline void fill(struct device *device, struct rng *rng, struct reference *reference)
{
	struct sink sink = image_of_damaged(100, 140);
	struct device_restored restored;

	assert_int_equal(restore(device, false, &sink, &restored), 0);
	sink_free(&sink);
	memset(reference, 0, sizeof(*reference));
	reference->bytes = calloc(PAGES, PAGE);
	assert_non_null(reference->bytes);
	for (uint64_t page = 100; page <= 140; page++)
		reference->damaged[page] = true;
	for (uint64_t page = 0; page < PAGES; page += rng_below(rng, 4)) {
		uint8_t *content = reference->bytes + page * PAGE;
		struct device_settings settings;

		if (page % 97 == 0) {
			int level = page % 2 ? 1 : 3;

			device_get_settings(device, &settings);
			assert_int_equal(codec_method_init(&settings.method,
							   page % 3 ? "zstd" : "lz4", &level),
					 0);
			assert_int_equal(device_set(device, &settings), 0);
		}
		content_fill(rng, content_pick(rng), content, page_size(page));
		assert_int_equal(device_write(device, content, page * PAGE, page_size(page)), 0);
		reference->damaged[page] = false;
	}
	/* Two leaves are not in use any more but for zeros that were written. */
	memset(reference->bytes + 1024 * PAGE, 0, 1024 * PAGE);
	assert_int_equal(device_trim(device, 1024 * PAGE, 1024 * PAGE), 0);
	assert_int_equal(device_write(device, reference->bytes + 1024 * PAGE, 1100 * PAGE, PAGE),
			 0);
}

static inline void assert_holds(struct device *device, const struct reference *reference)
{
	uint8_t found[PAGE];

	for (uint64_t page = 0; page < PAGES; page++) {
		int r = device_read(device, found, page * PAGE, page_size(page));

		assert_int_equal(r, reference->damaged[page] ? -EIO : 0);
		if (r == 0)
			assert_memory_equal(found, reference->bytes + page * PAGE, page_size(page));
	}
}

static inline void assert_empty(struct device *device)
{
	struct device_stats stats = stats_of(device);

	assert_int_equal(stats.pages_pool, 0);
	assert_int_equal(stats.pages_same, 0);
	assert_int_equal(stats.pages_damaged, 0);
}

#endif
