/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: backing stores that are full, that fail, and that say other than was written. */
#include <fcntl.h>

#include "tests/device/backed.h"

/* What does not fit stays in the pool, and is written when there is room again. */
static void test_full(void **state)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct world *w = world_of(&options, MIB);
	struct device_writeback order = {0};
	struct device_written_back done;
	uint64_t backed;

	fill(w, 0, PAGES, CONTENT_RANDOM);
	assert_int_equal(device_writeback(w->device, &order, &done), -ENOSPC);
	backed = stats_of(w->device).pages_backing;
	assert_int_equal(done.pages, backed);
	assert_true(backed > 100 && backed < 256);
	assert_int_equal(stats_of(w->device).pages_pool, PAGES - backed);
	check_content(w);
	for (int i = 0; i < 20; i++) {
		for (uint64_t page = (uint64_t)i; page < PAGES; page += 3)
			put(w, page, CONTENT_RANDOM);
		assert_int_equal(device_writeback(w->device, &order, &done), -ENOSPC);
		assert_true(done.pages > 30);
		assert_valid(w->device);
		check_content(w);
	}
	assert_true(stats_of(w->device).backing_moved > 0);
	world_end(w);
}

/* Each error is of the pages that could not be read, and of no other. */
static void test_read_fails(void **state)
{
	struct world *w = world_make();
	uint8_t found[8 * PAGE];
	struct device_stats s;

	fill(w, 0, 100, CONTENT_TEXT);
	write_back(w, (struct device_writeback){.ranges_count = 1, .ranges = {{0, 49}}});
	store_relaxed(&read_error, EIO);
	assert_int_equal(device_read(w->device, found, 10 * PAGE, PAGE), -EIO);
	assert_int_equal(device_read(w->device, found, 10 * PAGE + 3, 5), -EIO);
	assert_int_equal(device_read(w->device, found, 46 * PAGE, 8 * PAGE), -EIO);
	assert_int_equal(device_write(w->device, found, 10 * PAGE + 3, 5), -EIO);
	assert_page(w->device, 60, w->bytes[60]);
	put(w, 11, CONTENT_TEXT);
	drop(w, 12);
	assert_page(w->device, 11, w->bytes[11]);
	store_relaxed(&read_error, 0);
	s = stats_of(w->device);
	assert_int_equal(s.failed_reads, 3);
	assert_int_equal(s.failed_writes, 1);
	assert_true(s.backing_read_errors >= 4);
	assert_int_equal(s.pages_backing, 48);
	world_end(w);
}

/* A write that fails ends writeback, until it is ordered anew, and nothing else. */
static void test_write_fails(void **state)
{
	struct device_writeback order = {0};
	struct device_written_back done;
	struct world *w = world_make();
	struct backing_stats s;

	fill(w, 0, 300, CONTENT_RANDOM);
	store_relaxed(&write_error, ENOSPC);
	assert_true(device_writeback(w->device, &order, &done) < 0);
	store_relaxed(&write_error, 0);
	assert_int_equal(done.pages, 0);
	assert_int_equal(stats_of(w->device).pages_pool, 300);
	assert_true(stats_of(w->device).backing_write_errors > 0);
	assert_true(device_get_backing(w->device, &s));
	assert_int_equal(s.state, BACKING_FAILED);
	assert_int_equal(s.error, -ENOSPC);
	assert_valid(w->device);
	check_content(w);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 300);
	assert_true(device_get_backing(w->device, &s));
	assert_int_equal(s.state, BACKING_READY);
	world_end(w);
}

/* Some bytes of the store are others than were written: those pages cannot be read, and no other. */
static void test_broken(void **state)
{
	struct world *w = world_make();
	struct backing_object object;
	uint8_t byte, found[PAGE];
	int fd;

	fill(w, 0, 100, CONTENT_TEXT);
	write_type(w, DEVICE_WRITEBACK_ALL);
	object = slot_object(word_of(w, 20), 20);
	fd = open(w->path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	/* In units of 8 bytes; a record has 12 before the payload. */
	object.location = (object.location & ((UINT64_C(1) << 40) - 1)) * 8 + 12 + object.len / 2;
	assert_int_equal(__real_pread64(fd, &byte, 1, (off_t)object.location), 1);
	byte ^= 0x10;
	assert_int_equal(__real_pwrite64(fd, &byte, 1, (off_t)object.location), 1);
	close(fd);
	assert_int_equal(device_read(w->device, found, 20 * PAGE, PAGE), -EIO);
	for (uint64_t page = 0; page < 100; page++)
		if (page != 20)
			assert_page(w->device, page, w->bytes[page]);
	assert_int_equal(stats_of(w->device).backing_read_errors, 1);
	put(w, 20, CONTENT_TEXT);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_full, backed_setup),
		cmocka_unit_test_setup(test_read_fails, backed_setup),
		cmocka_unit_test_setup(test_write_fails, backed_setup),
		cmocka_unit_test_setup(test_broken, backed_setup),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
