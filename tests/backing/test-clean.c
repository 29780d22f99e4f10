/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: cleaning: segments that are flushed early, mostly dead, or full, come free again. */
#include "tests/backing/made.h"

/* However little is written at a time, the next goes behind it. */
static void test_flushed_often(void **state)
{
	struct backing_stats stats;
	struct made m;

	make(&m, state, 2 * MIB);
	for (uint32_t page = 0; page < 600; page += 10)
		store(&m.table, page, 10);
	stats = stats_of(&m.table);
	/* Up to 4 KiB a time are lost, and the end of a segment. */
	assert_true((stats.segments - stats.free) * stats.segment_size <=
		    stats.live + 60 * UINT64_C(4096) + 64 * KIB);
	check_all(&m.table, 0, 600);
	/* Cleaning finds what is behind such an end. */
	for (uint32_t page = 0; page < 600; page++)
		if (page % 10 != 9)
			table_drop(&m.table, page);
	for (int i = 0; i < 30; i++)
		if (backing_clean(m.table.backing) < 0)
			break;
	assert_int_equal(backing_flush(m.table.backing), 0);
	stats = stats_of(&m.table);
	assert_true(stats.cleaned >= 3);
	assert_true((stats.segments - stats.free) * stats.segment_size <=
		    2 * stats.live + 128 * KIB);
	for (uint32_t page = 9; page < 600; page += 10)
		assert_int_equal(table_read(&m.table, page, 1, false), 0);
	end(&m);
}

/* A full store with holes all over is cleaned until there is room again. */
static void test_clean(void **state)
{
	struct backing_stats stats;
	struct made m;
	uint32_t n;
	int r;

	make(&m, state, 2 * MIB);
	n = fill(&m.table);
	for (uint32_t page = 0; page < n; page++)
		if (page % 4 != 0)
			table_drop(&m.table, page);
	assert_true(stats_of(&m.table).free < 8);
	assert_true(backing_wants_cleaning(m.table.backing));
	do {
		r = backing_clean(m.table.backing);
		assert_true(r == 0 || r == -EAGAIN);
	} while (r == 0);
	assert_int_equal(backing_flush(m.table.backing), 0);
	stats = stats_of(&m.table);
	assert_true(stats.moved > 0);
	assert_int_equal(stats.moved, m.table.moved);
	/* A quarter is live: half as much again is what segments that are half dead take beside it.
	 */
	assert_true(stats.free > stats.segments / 3);
	check_all(&m.table, 0, n);
	table_validate(&m.table);
	store(&m.table, n, 50);
	check_all(&m.table, 0, n + 50);
	end(&m);
}

/* Even when no segment is left but those that are kept for cleaning, and little is dead. */
static void test_clean_full(void **state)
{
	struct made m;
	uint32_t n, more;

	make(&m, state, 2 * MIB);
	n = fill(&m.table);
	for (uint32_t page = 0; page < n; page += 5)
		table_drop(&m.table, page);
	for (more = 0; more < n / 10; more++) {
		int r;

		table_write(&m.table, n + more);
		while ((r = table_evict(&m.table, n + more)) == -ENOSPC)
			assert_int_equal(backing_clean(m.table.backing), 0);
		assert_int_equal(r, 0);
	}
	assert_int_equal(backing_flush(m.table.backing), 0);
	check_all(&m.table, 0, n + more);
	end(&m);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flushed_often),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_clean_full),
	};

	return RUN_BY_BOTH(tests);
}
