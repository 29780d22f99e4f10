/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the picture of the arena: its sums are those of the statistics, whatever the number
 * of buckets; and it is drawn while others are at work.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "allocator/zs-types.h"
#include "device/device-types.h"
#include "tests/device/fixture.h"
#include "tests/lib/check.h"

#define SIZE (64 * MIB)

static struct rng rng;

static struct device *half_filled(void)
{
	struct device *device = device_of_size(SIZE);
	uint8_t page[PAGE];

	for (uint64_t k = 0; k < SIZE / PAGE; k++) {
		content_fill(&rng, content_pick(&rng), page, PAGE);
		write_page(device, k, page);
	}
	for (uint64_t k = 0; k < SIZE / PAGE; k++)
		if (rng_chance(&rng, 50))
			assert_int_equal(device_trim(device, k * PAGE, PAGE), 0);
	return device;
}

/* What zbud has for an object: its owner too, in whole chunks; for a raw page the page. */
static uint64_t zbud_bytes(struct device *device)
{
	uint64_t live = 0;

	for (uint64_t k = 0; k < device->pages; k++)
		if (slot_state(device->slots[k]) == SLOT_POOL)
			live += slot_len(device->slots[k]) == PAGE
					? PAGE
					: align_up(slot_len(device->slots[k]) + ZS_OWNER_SIZE,
						   ZBUD_CHUNK);
	return live;
}

/* Bytes in live cells, owners and rounding too. */
static uint64_t live_bytes(struct device *device)
{
	struct zs_pool *pool = device->pool;
	uint64_t live = 0;

	if (test_allocator() == ZS_ZBUD)
		return zbud_bytes(device);
	for (uint32_t i = 0; i < pool->nr_classes; i++)
		live += pool->classes[i].used * pool->classes[i].cell;
	return live;
}

/* Each bucket's share is rounded up, to a 255th of it. */
static void assert_sum(const uint8_t *shares, uint64_t n, uint64_t pages, uint64_t bytes)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n; i++)
		sum += shares[i] * (pages * (i + 1) / n - pages * i / n) * PAGE / 255;
	assert_in_range(sum + n, bytes, bytes + pages * PAGE / 255 + 2 * n);
}

static void check_map(struct device *device, unsigned int cells)
{
	uint64_t pages = (uint64_t)device->pool->arena.top_extent * ZS_EXTENT_PAGES;
	struct device_stats stats = stats_of(device);
	uint8_t *live = malloc(cells), *held = malloc(cells);
	int n = device_get_map(device, cells, live, held);

	assert_int_equal(n, cells < pages ? cells : pages);
	assert_sum(held, (uint64_t)n, pages, stats.pool + stats.reserve);
	assert_sum(live, (uint64_t)n, pages, live_bytes(device));
	for (int i = 0; i < n; i++)
		assert_true(live[i] <= held[i]);
	free(live);
	free(held);
}

static void check_maps(struct device *device)
{
	static const unsigned int cells[] = {1, 2, 3, 7, 64, 511, 1000, 4096, 1000000};

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		check_map(device, cells[i]);
}

static void test_sums(void **state)
{
	struct device *device = half_filled();

	check_maps(device);
	assert_int_equal(device_compact(device), 0);
	check_maps(device);
	assert_int_equal(device_trim(device, 0, SIZE), 0);
	check_maps(device);
	device_end(device);
}

/* Page by page: raw pages one behind the other, and every third taken away. */
static void test_places(void **state)
{
	struct device *device = device_of_size(SIZE);
	uint8_t page[PAGE], live[512], held[512];

	for (uint64_t k = 0; k < 300; k++) {
		content_fill(&rng, CONTENT_RANDOM, page, PAGE);
		write_page(device, k, page);
	}
	for (uint64_t k = 0; k < 300; k += 3)
		assert_int_equal(device_trim(device, k * PAGE, PAGE), 0);
	assert_int_equal(device_get_map(device, 512, live, held), 512);
	for (uint64_t k = 0; k < 512; k++) {
		assert_int_equal(live[k], k < 300 && k % 3 != 0 ? 255 : 0);
		assert_true(k >= 300 || held[k] == 255);
	}
	device_end(device);
}

static void test_none(void **state)
{
	struct device *device = device_of_size(SIZE);
	uint8_t live, held;

	assert_int_equal(device_get_map(device, 1, &live, &held), 0);
	assert_int_equal(device_get_map(device, 0, &live, &held), -EINVAL);
	device_end(device);
}

static bool stop;

static void *draw(void *device)
{
	uint8_t live[100], held[100];

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		CHECK(device_get_map(device, 100, live, held) >= 0, "no map");
	return NULL;
}

static void test_while_used(void **state)
{
	struct device *device = device_of_size(SIZE);
	pthread_t thread;
	uint8_t page[PAGE];

	assert_int_equal(pthread_create(&thread, NULL, draw, device), 0);
	for (uint64_t i = 0; i < 20000; i++) {
		content_fill(&rng, content_pick(&rng), page, PAGE);
		write_page(device, rng_below(&rng, SIZE / PAGE), page);
		if (i % 8 == 0)
			assert_int_equal(device_trim(device, rng_below(&rng, SIZE / 2), SIZE / 64),
					 0);
	}
	assert_int_equal(device_compact(device), 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check_map(device, 100);
	device_end(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_while_used),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
