/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the limit share: pages that shrink to so many bytes, and waits with an end. */
#ifndef ZCRAM_TESTS_LIMITED_H
#define ZCRAM_TESTS_LIMITED_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "device/device-types.h"
#include "tests/device/fixture.h"

#define LIMIT	     (4 * MIB)
#define SMALL	     1000 /* bytes that a page shrinks to, about */
#define FOREVER_MS   360000
#define TIME_TO_HANG 60 /* seconds, after which a wait for another thread is given up */

static uint64_t seed;

/* Until CONDITION, which only another thread can make true. */
#define AWAIT(condition)               \
	do {                           \
		alarm(TIME_TO_HANG);   \
		while (!(condition))   \
			sched_yield(); \
		alarm(0);              \
	} while (0)

/* A page that shrinks to about LEN bytes. */
static inline void make(uint64_t number, size_t len, uint8_t *page)
{
	struct rng rng = rng_make(seed ^ rng_mix(number << 16 | len));

	memset(page, 0x77, PAGE);
	rng_bytes(&rng, page, len);
}

static inline int put(struct device *device, uint64_t number, size_t len)
{
	uint8_t page[PAGE];

	make(number, len, page);
	return device_write(device, page, number * PAGE, PAGE);
}

static inline void assert_put(struct device *device, uint64_t first, uint64_t count, size_t len)
{
	uint8_t page[PAGE];

	for (uint64_t number = first; number < first + count; number++) {
		make(number, len, page);
		assert_page(device, number, page);
	}
}

/* Pages of LEN bytes from FIRST on, until one is refused. How many there are. */
static inline uint64_t fill(struct device *device, uint64_t first, size_t len)
{
	uint64_t n = 0;
	int r;

	while ((r = put(device, first + n, len)) == 0)
		n++;
	assert_int_equal(r, -ENOSPC);
	return n;
}

static inline void set_limit(struct device *device, uint64_t limit)
{
	struct device_settings settings;

	device_get_settings(device, &settings);
	settings.mem_limit = limit;
	assert_int_equal(device_set(device, &settings), 0);
}

#endif
