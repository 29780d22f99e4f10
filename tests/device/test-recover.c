/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what was in a store is there again: pages of all kinds, counters, memory.
 */
#include "tests/device/world.h"

static void test_nothing(void **state)
{
	struct world *w = *state;
	struct device_recovery first = recovery_of(w->device), second;

	assert_false(first.recovered);
	assert_int_equal(first.generation, 0);
	recover(w);
	second = recovery_of(w->device);
	assert_true(second.recovered);
	assert_int_equal(second.generation, 1);
	assert_int_equal(second.pages, 0);
	assert_memory_equal(first.uuid, second.uuid, sizeof(first.uuid));
	assert_content(w);
}

static void assert_gauges_equal(const struct device_stats *a, const struct device_stats *b)
{
	assert_int_equal(a->pages_same, b->pages_same);
	assert_int_equal(a->pages_pool, b->pages_pool);
	assert_int_equal(a->pages_raw, b->pages_raw);
	assert_int_equal(a->pages_filter, b->pages_filter);
	assert_int_equal(a->payload, b->payload);
	assert_int_equal(b->pages_damaged, 0);
	/* What had memory has it still. */
	assert_int_equal(a->pool + a->reserve, b->pool + b->reserve);
}

static void test_round_trips(void **state)
{
	struct world *w = *state;

	for (unsigned int round = 1; round <= 6; round++) {
		struct device_stats before, after;
		struct device_recovery recovery;

		churn(w, 3000);
		if (round % 2)
			assert_int_equal(device_compact(w->device), 0);
		before = stats_of(w->device);
		recover(w);
		after = stats_of(w->device);
		recovery = recovery_of(w->device);
		assert_gauges_equal(&before, &after);
		assert_int_equal(recovery.generation, round);
		assert_int_equal(recovery.pages, before.pages_pool);
		assert_int_equal(recovery.cells_freed, 0);
		assert_int_equal(recovery.damaged, 0);
		assert_content(w);
	}
}

static void test_twice(void **state)
{
	struct world *w = *state;
	struct device_stats first, second;

	churn(w, 5000);
	recover(w);
	first = stats_of(w->device);
	recover(w);
	second = stats_of(w->device);
	assert_gauges_equal(&first, &second);
	assert_int_equal(first.pool, second.pool);
	assert_content(w);
}

static void test_with_threads(void **state)
{
	struct world *w = *state;

	for (unsigned int round = 0; round < 4; round++) {
		struct device_options options = store_options(&w->store, SIZE);

		options.reserve = MIB;
		options.auto_compact = true;
		device_free(w->device);
		w->device = device_make(&options);
		assert_int_equal(device_start(w->device), 0);
		churn(w, 3000);
		device_stop(w->device);
	}
	recover(w);
	assert_content(w);
}

static void test_emptied(void **state)
{
	struct world *w = *state;
	struct device_stats stats;

	churn(w, 3000);
	assert_int_equal(device_trim(w->device, 0, SIZE), 0);
	memset(w->bytes, 0, SIZE);
	assert_int_equal(device_compact(w->device), 0);
	recover(w);
	stats = stats_of(w->device);
	assert_int_equal(stats.pages_pool + stats.pages_same + stats.pool, 0);
	assert_content(w);
}

/* Lock bits, as threads leave them that are killed. */
static void test_locked(void **state)
{
	struct world *w = *state;

	churn(w, 3000);
	for (uint64_t page = 0; page < PAGES; page++)
		*slot_of(w, page) |= SLOT_LOCK;
	recover(w);
	assert_int_equal(recovery_of(w->device).damaged, 0);
	assert_content(w);
	churn(w, 3000);
	assert_content(w);
}

/* A top that is not true: all the same everything in memory is found. */
static void test_top(void **state)
{
	struct world *w = *state;
	struct zs_store store = store_pool(w->store.memory);

	churn(w, 3000);
	*store.top ^= UINT64_C(1) << 7;
	recover(w);
	assert_int_equal(recovery_of(w->device).damaged, 0);
	assert_content(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(test_nothing),	  WORLD(test_round_trips), WORLD(test_twice),
		WORLD(test_with_threads), WORLD(test_emptied),	   WORLD(test_locked),
		WORLD(test_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
