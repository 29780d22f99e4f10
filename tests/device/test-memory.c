/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the device's memory: the limit and what still works at it, the reserve, and that
 * compaction, asked for or by itself, gives back what trims have freed.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/device/fixture.h"

#define TIME_TO_HANG 60 /* seconds, after which a wait for the background threads is given up */

static uint64_t seed;

/* Page NUMBER's content as it was written in TURN: the same for the same numbers. */
static void make(uint64_t number, uint64_t turn, enum content_kind kind, uint8_t *page)
{
	struct rng rng = rng_make(seed ^ rng_mix(number << 8 | turn));

	content_fill(&rng, kind, page, PAGE);
}

static enum content_kind shrinking(uint64_t number)
{
	static const enum content_kind kinds[] = {CONTENT_TEXT, CONTENT_POINTERS, CONTENT_INTEGERS};

	return kinds[number % 3];
}

static void assert_made(struct device *device, uint64_t number, uint64_t turn,
			enum content_kind kind)
{
	uint8_t page[PAGE];

	make(number, turn, kind, page);
	assert_page(device, number, page);
}

/* Write one page after the other until there is no room; how many went in. */
static uint64_t fill(struct device *device, enum content_kind kind)
{
	uint8_t page[PAGE];
	int err = 0;

	for (uint64_t number = 0; number < device_size(device) / PAGE; number++) {
		make(number, 0, kind, page);
		err = device_write(device, page, number * PAGE, PAGE);
		if (err != 0) {
			assert_int_equal(err, -ENOSPC);
			return number;
		}
	}
	fail_msg("the limit was never met");
	return 0;
}

static struct device *limited(uint64_t size, uint64_t limit, bool start)
{
	struct device_options options = options_make(size);
	struct device *device;

	options.mem_limit = limit > device_min_limit() ? limit : device_min_limit();
	options.auto_compact = start;
	device = device_make(&options);
	if (start)
		assert_int_equal(device_start(device), 0);
	return device;
}

/* At the limit: a write fails and changes nothing; all else goes on. */
static void at_limit(enum content_kind kind, bool start)
{
	struct device *device = limited(64 * MIB, 4 * MIB, start);
	uint64_t limit = stats_of(device).mem_limit;
	uint64_t full = fill(device, kind);
	uint8_t page[PAGE];

	assert_int_equal(stats_of(device).failed_writes, 1);
	assert_in_range(stats_of(device).pool, limit / 2, limit);
	assert_in_range(stats_of(device).pool_max, stats_of(device).pool, limit);
	assert_zeros(device, full * PAGE, PAGE);
	for (uint64_t number = 0; number < full; number++)
		assert_made(device, number, 0, kind);

	/* Pages without an object still can be written. */
	make(full, 1, CONTENT_SAME, page);
	write_page(device, full, page);
	assert_page(device, full, page);
	make(full, 1, CONTENT_ZERO, page);
	write_page(device, full, page);
	assert_int_equal(device_zero(device, full * PAGE, PAGE), 0);
	assert_valid(device);

	/* The room comes back: at once but for the ends of zspages, and after compaction all of it.
	 */
	assert_int_equal(device_trim(device, 0, full * PAGE), 0);
	assert_int_equal(stats_of(device).payload, 0);
	assert_in_range(fill(device, kind), full * 3 / 4, full * 11 / 10);
	assert_int_equal(stats_of(device).failed_writes, 2);
	assert_int_equal(device_trim(device, 0, device_size(device)), 0);
	assert_int_equal(device_compact(device), 0);
	assert_int_equal(stats_of(device).pool, 0);
	assert_in_range(fill(device, kind), full * 99 / 100, full * 11 / 10);
	device_stop(device);
	device_end(device);
}

static void test_limit_raw(void **state)
{
	at_limit(CONTENT_RANDOM, false);
	at_limit(CONTENT_RANDOM, true);
}

static void test_limit_small(void **state)
{
	at_limit(CONTENT_TEXT, false);
	at_limit(CONTENT_POINTERS, false);
}

/* For every page trimmed there is room for one, to the page. */
static void test_limit_one_for_one(void **state)
{
	struct device *device = limited(64 * MIB, 4 * MIB, false);
	uint64_t full = fill(device, CONTENT_RANDOM);
	uint8_t page[PAGE];

	for (uint64_t number = 0; number < full; number += 7) {
		assert_int_equal(device_trim(device, number * PAGE, PAGE), 0);
		make(full + number, 0, CONTENT_RANDOM, page);
		write_page(device, full + number, page);
		assert_int_equal(device_write(device, page, number * PAGE, PAGE), -ENOSPC);
		assert_zeros(device, number * PAGE, PAGE);
	}
	device_end(device);
}

/* Of a write that meets the limit the first pages are new and the others old. */
static void test_limit_in_the_middle(void **state)
{
	static uint8_t new[64 * PAGE], found[64 * PAGE];
	struct device *device = limited(64 * MIB, 4 * MIB, false);
	uint64_t full = fill(device, CONTENT_RANDOM);
	uint64_t offset = (full + 64) * PAGE;
	size_t stored = 0;

	assert_int_equal(device_trim(device, 0, 10 * PAGE), 0);
	for (uint64_t i = 0; i < 64; i++)
		make(full + 64 + i, 0, CONTENT_RANDOM, new + i *PAGE);
	assert_int_equal(device_write(device, new, offset, sizeof(new)), -ENOSPC);
	assert_int_equal(device_read(device, found, offset, sizeof(found)), 0);
	while (memcmp(found + stored * PAGE, new + stored *PAGE, PAGE) == 0)
		stored++;
	assert_int_equal(stored, 10);
	assert_zeros(device, offset + 10 * PAGE, 4 * PAGE);
	assert_zeros(device, offset + 60 * PAGE, 4 * PAGE);
	device_end(device);
}

/* A page that is stored already: the new content needs its place before the old one gives up its.
 */
static void test_limit_overwrite(void **state)
{
	struct device *device = limited(64 * MIB, 4 * MIB, false);
	uint64_t full = fill(device, CONTENT_RANDOM);
	uint8_t page[PAGE];

	for (uint64_t number = 0; number < full; number += 50) {
		make(number, 1, CONTENT_RANDOM, page);
		assert_int_equal(device_write(device, page, number * PAGE, PAGE), -ENOSPC);
		assert_made(device, number, 0, CONTENT_RANDOM);
	}
	device_end(device);
}

/* A part of it: no room leaves the whole page as it was. */
static void test_limit_part_page(void **state)
{
	struct device *device = limited(64 * MIB, 4 * MIB, false);
	uint64_t full = fill(device, CONTENT_RANDOM);

	for (uint64_t number = 0; number < full; number += 50) {
		assert_int_equal(device_write(device, "new", number * PAGE + 100, 3), -ENOSPC);
		assert_made(device, number, 0, CONTENT_RANDOM);
		assert_int_equal(device_zero(device, number * PAGE + 1, PAGE / 16), -ENOSPC);
		assert_made(device, number, 0, CONTENT_RANDOM);
	}
	device_end(device);
}

static bool trimmed(uint64_t number)
{
	return rng_mix(number ^ seed) % 4 != 0;
}

/* Fill with what shrinks, then trim three of four pages anywhere. */
static void thin_out(struct device *device)
{
	uint64_t pages = device_size(device) / PAGE;
	uint8_t page[PAGE];

	for (uint64_t number = 0; number < pages; number++) {
		make(number, 0, shrinking(number), page);
		write_page(device, number, page);
	}
	for (uint64_t number = 0; number < pages; number++)
		if (trimmed(number))
			assert_int_equal(device_trim(device, number * PAGE, PAGE), 0);
}

static void assert_thinned_out(struct device *device)
{
	for (uint64_t number = 0; number < device_size(device) / PAGE; number++) {
		if (trimmed(number))
			assert_zeros(device, number * PAGE, PAGE);
		else
			assert_made(device, number, 0, shrinking(number));
	}
}

static void test_compact(void **state)
{
	struct device *device = device_of_size(64 * MIB);
	/* Of zbud's pages many come free at once, and the texts are alone in theirs. Percent of the payload. */
	bool zbud = test_allocator() == ZS_ZBUD;
	uint64_t least = zbud ? 150 : 200, most = zbud ? 130 : 110;
	struct device_stats before, after;

	thin_out(device);
	before = stats_of(device);
	assert_true(before.pool > before.payload / 100 * least);
	assert_int_equal(device_compact(device), 0);
	after = stats_of(device);
	assert_int_equal(after.payload, before.payload);
	assert_int_equal(after.pages_pool, before.pages_pool);
	assert_true(after.objects_compacted > 0);
	assert_true(after.pages_compacted > 0);
	assert_true(after.objects_migrated > 0);
	assert_true(after.extents_migrated > 0);
	assert_int_equal(after.pool_max, before.pool_max);
	if (after.pool > after.payload / 100 * most)
		fail_msg("%" PRIu64 " of payload in a pool of %" PRIu64, after.payload, after.pool);
	assert_valid(device);
	assert_thinned_out(device);

	assert_int_equal(device_trim(device, 0, device_size(device)), 0);
	assert_int_equal(device_compact(device), 0);
	assert_int_equal(stats_of(device).pool, 0);
	device_end(device);
}

/* With its threads the device does so unasked. */
static void test_auto_compact(void **state)
{
	struct device_options options = options_make(64 * MIB);
	struct device *device;
	struct device_stats stats;

	options.auto_compact = true;
	device = device_make(&options);
	assert_int_equal(device_start(device), 0);
	thin_out(device);
	alarm(TIME_TO_HANG);
	do {
		sched_yield();
		stats = stats_of(device);
	} while (stats.pool > stats.payload + stats.payload / 2);
	alarm(0);
	assert_thinned_out(device);
	assert_valid(device);
	device_stop(device);
	device_end(device);
}

static void test_reserve(void **state)
{
	struct device_options options = options_make(64 * MIB);
	struct device *device;

	options.reserve = 4 * MIB;
	device = device_make(&options);
	assert_int_equal(stats_of(device).reserve_target, 4 * MIB);
	assert_int_equal(stats_of(device).reserve, 0);
	assert_int_equal(device_start(device), 0);
	assert_in_range(stats_of(device).reserve, 4 * MIB, 64 * MIB);
	assert_int_equal(stats_of(device).pool, 0);
	thin_out(device);
	alarm(TIME_TO_HANG);
	while (stats_of(device).reserve < 4 * MIB)
		sched_yield();
	alarm(0);
	assert_thinned_out(device);
	device_stop(device);
	device_end(device);
}

/* The threads may be stopped and started again; without them the device goes on. */
static void test_start_stop(void **state)
{
	struct device *device = device_of_size(4 * MIB);

	thin_out(device);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(device_start(device), 0);
		assert_thinned_out(device);
		device_stop(device);
		thin_out(device);
	}
	assert_int_equal(device_compact(device), 0);
	assert_true(stats_of(device).pages_compacted > 0);
	assert_thinned_out(device);
	device_end(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_raw),
		cmocka_unit_test(test_limit_small),
		cmocka_unit_test(test_limit_one_for_one),
		cmocka_unit_test(test_limit_in_the_middle),
		cmocka_unit_test(test_limit_overwrite),
		cmocka_unit_test(test_limit_part_page),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_auto_compact),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_start_stop),
	};

	seed = test_seed(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
