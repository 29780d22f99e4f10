/* SPDX-License-Identifier: BSD-3-Clause */
/* What the unit tests of the device share: a device, and short ways to ask it things. */
#ifndef ZCRAM_TESTS_FIXTURE_H
#define ZCRAM_TESTS_FIXTURE_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"
#include "tests/lib/allocator.h"
#include "tests/lib/content.h"
#include "tests/lib/rng.h"

#define PAGE DEVICE_PAGE_SIZE
#define KIB  UINT64_C(1024)
#define MIB  (KIB * KIB)

static inline struct device_options options_make(uint64_t size)
{
	struct device_options options = {.size = size, .allocator = test_allocator()};

	assert_int_equal(codec_method_init(&options.method, "lz4", NULL), 0);
	return options;
}

static inline struct device *device_make(const struct device_options *options)
{
	struct device *device = NULL;

	assert_int_equal(device_new(options, &device), 0);
	assert_non_null(device);
	return device;
}

static inline struct device *device_of_size(uint64_t size)
{
	struct device_options options = options_make(size);

	return device_make(&options);
}

static inline struct device_stats stats_of(struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	return stats;
}

static inline void assert_valid(struct device *device)
{
	const char *why = "";

	if (device_validate(device, &why) != 0)
		fail_msg("not valid: %s", why);
}

/* Validate, then free: the end of every test. */
static inline void device_end(struct device *device)
{
	assert_valid(device);
	device_free(device);
}

static inline void write_page(struct device *device, uint64_t page, const void *content)
{
	assert_int_equal(device_write(device, content, page * PAGE, PAGE), 0);
}

static inline void assert_page(struct device *device, uint64_t page, const void *content)
{
	uint8_t found[PAGE];

	memset(found, 0xa5, sizeof(found));
	assert_int_equal(device_read(device, found, page * PAGE, PAGE), 0);
	assert_memory_equal(found, content, PAGE);
}

static inline void assert_zeros(struct device *device, uint64_t offset, size_t count)
{
	uint8_t found[4 * PAGE];

	assert_in_range(count, 1, sizeof(found));
	memset(found, 0xa5, sizeof(found));
	assert_int_equal(device_read(device, found, offset, count), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(found[i], 0);
}

#endif
