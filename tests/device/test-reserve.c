/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a reserve of single pages: all of it serves writes when the kernel gives no memory,
 * and what it was used for is put right once there is memory again. What is stored is served without it.
 */
#include <errno.h>
#include <semaphore.h>
#include <unistd.h>

#include "allocator/worker.h"
#include "device/device-types.h"
#include "tests/device/fault.h"
#include "tests/device/store.h"

#define RESERVE	     64 /* pages */
#define HOLES	     60 /* what is spare beyond the reserve is not worth giving back */
#define RAW	     (2 * HOLES)
#define PAGES	     16384
#define TIME_TO_HANG 60 /* seconds, after which a wait for the background threads is given up */

static uint64_t seed;

/* A page that shrinks to about LEN bytes: all pages of one LEN to the same number of them. */
static void make(uint64_t number, size_t len, uint8_t *page)
{
	struct rng rng = rng_make(seed ^ rng_mix(len));
	uint64_t stamp = rng_mix(seed + number);

	memset(page, 0x77, PAGE);
	rng_bytes(&rng, page, len);
	memcpy(page, &stamp, sizeof(stamp));
}

static void wait_for_reserve(struct device *device)
{
	alarm(TIME_TO_HANG);
	while (stats_of(device).reserve < RESERVE * PAGE)
		usleep(1000);
	alarm(0);
}

/* A device whose writes never ask the kernel for memory; they wait until the keeper has had some. */
static struct device *modest(uint64_t reserve)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct device *device;

	options.reserve = reserve * PAGE;
	device = device_make(&options);
	device->pool->patience = TIME_TO_HANG * 1000;
	assert_int_equal(device_prefault(device), 0);
	assert_int_equal(device_start(device), 0);
	return device;
}

/* From now on there is no memory, so nobody need wait long for it. */
static void no_memory(struct device *device)
{
	fault_arm(FAULT_ONWARDS, 1);
	device->pool->patience = 100;
}

/* From now on there is no memory; the reserve, and single pages between pages in use. */
static struct device *fragmented(void)
{
	struct device *device;
	uint8_t page[PAGE];

	device = modest(RESERVE);
	for (uint64_t k = 0; k < RAW; k++) {
		make(k, PAGE, page);
		write_page(device, k, page);
	}
	wait_for_reserve(device);
	no_memory(device);
	for (uint64_t k = 0; k < RAW; k += 2)
		assert_int_equal(device_trim(device, k * PAGE, PAGE), 0);
	return device;
}

/*
 * At worst a part of a page is lost by each of the few classes that there are. With zbud it is what is beside
 * two objects in a page, or one.
 */
static uint64_t most_for(struct device *device, uint64_t pages)
{
	size_t cell = zs_cell_bytes(device->pool, slot_len(slot_peek(&device->slots[RAW])));

	if (device->allocator == ZS_ZBUD)
		return (RAW / 2 + (2 * cell <= PAGE ? pages / 2 : pages) + 8) * PAGE;
	return stats_of(device).payload * 103 / 100 + 8 * PAGE;
}

static void use_up(size_t len)
{
	struct device *device = fragmented();
	struct device_stats before = stats_of(device), after;
	uint64_t refills = 0, n = 0;
	uint8_t page[PAGE];
	int err = 0;

	assert_in_range(before.reserve, (RESERVE + HOLES) * PAGE, (RESERVE + HOLES + 1) * PAGE);
	for (; err == 0 && RAW + n < PAGES; n++) {
		make(RAW + n, len, page);
		refills = stats_of(device).refills;
		err = device_write(device, page, (RAW + n) * PAGE, PAGE);
	}
	assert_int_equal(err, -ENOMEM);
	n--;
	after = stats_of(device);
	assert_int_equal(after.reserve, 0);
	/* None was in want before the one that failed. */
	assert_int_equal(refills, before.refills);
	assert_true(n >= before.reserve / PAGE);
	assert_valid(device);

	fault_disarm();
	wait_for_reserve(device);
	assert_int_equal(device_compact(device), 0);
	assert_false(lower_pending(device->pool));
	after = stats_of(device);
	assert_in_range(after.pool, after.payload, most_for(device, n));
	for (uint64_t k = 1; k < RAW + n; k += k < RAW ? 2 : 1) {
		make(k, k < RAW ? PAGE : len, page);
		assert_page(device, k, page);
	}
	device_stop(device);
	device_end(device);
}

/* Of these lengths zspages have from 1 to 16 pages. */
static void test_all_is_used(void **state)
{
	for (size_t len = 100; len < 3900; len += 271)
		use_up(len);
}

/*
 * There are some hundred classes, and zspages of up to 16 pages: one for each would be many times the
 * reserve. Objects of all lengths fill it nevertheless, before the first write is refused.
 */
static void test_all_classes_share(void **state)
{
	const uint64_t reserve = 512;
	struct device *device = modest(reserve);
	struct rng rng = rng_make(seed);
	struct device_stats stats;
	uint8_t page[PAGE];
	size_t lens[PAGES];
	uint64_t n = 0;

	no_memory(device);
	do {
		lens[n] = rng_between(&rng, 64, 3600);
		make(n, lens[n], page);
	} while (device_write(device, page, n * PAGE, PAGE) == 0 && ++n < PAGES);
	stats = stats_of(device);
	/* It may not have had a CPU to find that out yet. */
	alarm(TIME_TO_HANG);
	while (!zs_is_starving(device->pool))
		usleep(1000);
	alarm(0);
	assert_true(fault_disarm());
	assert_true(n < PAGES);
	/*
	 * Cells are up to a half larger than what is in them, and not every cell is found: half of
	 * the reserve at least. With a zspage for each class it would be a quarter.
	 */
	assert_in_range(stats.payload, reserve * PAGE / 2, reserve * PAGE);
	assert_valid(device);
	for (uint64_t k = 0; k < n; k++) {
		make(k, lens[k], page);
		assert_page(device, k, page);
	}
	device_stop(device);
	device_end(device);
}

/* A write that waits is served as soon as the keeper has something. */
static sem_t may_write;

static void *write_one(void *opaque)
{
	static uint8_t page[PAGE];

	while (sem_wait(&may_write) < 0)
		;
	make(PAGES - 1, PAGE, page);
	return (void *)(intptr_t)device_write(opaque, page, (PAGES - 1) * PAGE, PAGE);
}

static void test_waits_for_keeper(void **state)
{
	struct device *device = modest(RESERVE);
	pthread_t thread;
	uint8_t page[PAGE];
	void *result;

	/* Before the faults: while they would have to pause for it, the keeper could find memory. */
	assert_int_equal(sem_init(&may_write, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_one, device), 0);
	no_memory(device);
	for (uint64_t k = 0;; k++) {
		make(k, PAGE, page);
		if (device_write(device, page, k * PAGE, PAGE) < 0)
			break;
	}
	device->pool->patience = TIME_TO_HANG * 1000;
	sem_post(&may_write);
	alarm(TIME_TO_HANG);
	while (__atomic_load_n(&device->pool->arena.returned_to.waiters, __ATOMIC_SEQ_CST) == 0)
		usleep(1000);
	fault_disarm();
	assert_int_equal(pthread_join(thread, &result), 0);
	alarm(0);
	assert_int_equal((intptr_t)result, 0);
	make(PAGES - 1, PAGE, page);
	assert_page(device, PAGES - 1, page);
	assert_valid(device);
	device_stop(device);
	device_end(device);
}

/* The mover does so unasked, as soon as the reserve is full. */
static void test_mover_lowers(void **state)
{
	struct device *device = fragmented();
	struct device_settings settings;
	uint8_t page[PAGE];

	for (uint64_t n = 0; n < RESERVE + HOLES; n++) {
		make(RAW + n, 2500, page);
		write_page(device, RAW + n, page);
	}
	assert_true(lower_pending(device->pool));
	fault_disarm();
	device_get_settings(device, &settings);
	settings.auto_compact = true;
	assert_int_equal(device_set(device, &settings), 0);
	alarm(TIME_TO_HANG);
	while (lower_pending(device->pool))
		usleep(1000);
	alarm(0);
	assert_valid(device);
	for (uint64_t n = 0; n < RESERVE + HOLES; n++) {
		make(RAW + n, 2500, page);
		assert_page(device, RAW + n, page);
	}
	device_stop(device);
	device_end(device);
}

/* What is stored is served, though the reserve cannot be filled; the keeper asks again. */
static void test_starts_unfilled(void **state)
{
	struct plain_store store = store_make(PAGES * PAGE);
	struct device_options options = store_options(&store, PAGES * PAGE);
	struct device *device = device_make(&options);
	uint8_t page[PAGE];

	for (uint64_t k = 0; k < RAW; k++) {
		make(k, PAGE, page);
		write_page(device, k, page);
	}
	device_free(device);

	options.reserve = RESERVE * PAGE;
	device = device_make(&options);
	device->pool->patience = 100;
	/* One that may look for memory has looked in vain. */
	fault_arm(FAULT_COMMIT, 1);
	assert_int_equal(device_start(device), -ENOMEM);
	assert_true(fault_disarm());
	assert_int_equal(device_prefault(device), 0);
	fault_arm(FAULT_COMMIT, 1);
	assert_int_equal(device_start(device), 0);
	assert_true(stats_of(device).reserve < RESERVE * PAGE);
	for (uint64_t k = 0; k < RAW; k++) {
		make(k, PAGE, page);
		assert_page(device, k, page);
	}
	assert_true(fault_disarm());
	wait_for_reserve(device);
	make(RAW, PAGE, page);
	write_page(device, RAW, page);
	assert_page(device, RAW, page);
	device_stop(device);
	device_end(device);
	store_end(&store);
}

/* Nobody needs one that has nothing stored: it is said that there is no memory. */
static void test_empty_starts_not(void **state)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct device *device;

	options.reserve = RESERVE * PAGE;
	device = device_make(&options);
	assert_int_equal(device_prefault(device), 0);
	fault_arm(FAULT_COMMIT, 1);
	assert_int_equal(device_start(device), -ENOMEM);
	assert_true(fault_disarm());
	assert_int_equal(device_start(device), 0);
	assert_int_equal(stats_of(device).reserve, RESERVE * PAGE);
	device_stop(device);
	device_end(device);
}

/* A zspage whose first pages get no memory does not lose that of the others. */
static void test_failure_keeps_spare(void **state)
{
	struct zs_arena arena;
	uint32_t index, first;

	assert_int_equal(arena_init(&arena, MIB, 0, NULL, false), 0);
	while (arena.spare < 8)
		assert_int_equal(arena_commit_spare(&arena, 8), 0);
	assert_int_equal(arena_take(&arena, 0, 8, ARENA_SPARE, &index), 0);
	arena_shrink(&arena, arena.zspages[index].first + 2, 3);
	arena_put(&arena, index, 8);
	assert_int_equal(arena.spare, 5);

	assert_int_equal(arena_take(&arena, 0, 8, ARENA_ANY, &index), 0);
	first = arena.zspages[index].first;
	assert_int_equal(arena.zspages[index].committed, 2);
	*(char *)arena_page(&arena, first + 5) = 1;
	fault_arm(FAULT_ONWARDS, 1);
	assert_int_equal(arena_grow(&arena, first, 8, 2, 8), -ENOMEM);
	assert_true(fault_disarm());
	assert_int_equal(arena.charged, 0);
	assert_int_equal(*(char *)arena_page(&arena, first + 5), 1);
	arena_put(&arena, index, 8);
	assert_int_equal(arena.spare, 5);

	assert_int_equal(arena_take(&arena, 0, 8, ARENA_ANY, &index), 0);
	assert_int_equal(arena_grow(&arena, first, 8, 2, 3), 3);
	assert_int_equal(arena_grow(&arena, first, 8, 3, 6), 8);
	assert_int_equal(arena.pool, 8);
	arena_put(&arena, index, 8);
	arena_destroy(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_is_used),	 cmocka_unit_test(test_all_classes_share),
		cmocka_unit_test(test_waits_for_keeper), cmocka_unit_test(test_starts_unfilled),
		cmocka_unit_test(test_empty_starts_not), cmocka_unit_test(test_failure_keeps_spare),
	};

	/* In zbud nothing has fallen back, as it has no classes. */
	const struct CMUnitTest zspages[] = {
		cmocka_unit_test(test_mover_lowers),
	};
	int failed = 0;

	seed = test_seed(0);
	if (test_allocator() == ZS_ZSPAGE)
		failed = cmocka_run_group_tests(zspages, NULL, NULL);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
