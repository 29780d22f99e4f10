/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of objects in a backing store share: one in a file, by either engine, and a table of slots. */
#ifndef ZCRAM_TESTS_BACKING_MADE_H
#define ZCRAM_TESTS_BACKING_MADE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/backing/fixture.h"

#define PAGES 4096U

struct made {
	char path[256];
	struct table table;
	struct backing_options options;
};

/* A store of SIZE bytes in a new file, by the engine under test. */
static inline void make(struct made *m, void **state, uint64_t size)
{
	file_make(m->path, size);
	table_init(&m->table, PAGES);
	m->options = table_options(&m->table, m->path);
	m->options.engine = *(const enum backing_engine *)*state;
	table_open(&m->table, &m->options);
}

static inline void end(struct made *m)
{
	if (m->table.backing)
		table_close(&m->table);
	table_fini(&m->table);
	unlink(m->path);
}

/* New versions of pages, into the store. */
static inline void store(struct table *t, uint32_t first, uint32_t count)
{
	for (uint32_t page = first; page < first + count; page++) {
		table_write(t, page);
		assert_int_equal(table_evict(t, page), 0);
	}
	assert_int_equal(backing_flush(t->backing), 0);
	for (uint32_t page = first; page < first + count; page++)
		assert_int_equal(table_state(t, page), PAGE_STORED);
}

static inline void check_all(struct table *t, uint32_t first, uint32_t count)
{
	for (uint32_t page = first; page < first + count; page += TABLE_READ_MAX) {
		uint32_t n = (uint32_t)min_u64(TABLE_READ_MAX, first + count - page);

		assert_int_equal(table_read(t, page, n, false), 0);
	}
}

/* Fill it until it is full; returns how many pages went in. */
static inline uint32_t fill(struct table *t)
{
	uint32_t page;
	int r = 0;

	for (page = 0; page < t->pages && r == 0; page++) {
		table_write(t, page);
		r = table_evict(t, page);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(table_state(t, page - 1), PAGE_POOL);
	assert_int_equal(backing_flush(t->backing), 0);
	return page - 1;
}

/* Run an array of tests, of which each begins with make(), by either engine. How many failed. */
#define RUN_BY_BOTH(tests) run_by_both(tests, ARRAY_SIZE(tests))

static inline int run_by_both(struct CMUnitTest *tests, size_t count)
{
	static enum backing_engine engines[] = {BACKING_AUTO, BACKING_THREADS};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		for (size_t j = 0; j < count; j++)
			tests[j].initial_state = &engines[i];
		failed += _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
	}
	return failed;
}

#endif
