/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a device that writes back to an export of a real server, which goes and comes back: with
 * what it had, or with something else.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/os.h"
#include "tests/backing/export.h"
#include "tests/device/fixture.h"

#define PAGES 200

static struct rng rng;
static struct export export;
static char path[] = "/tmp/zcram-away-XXXXXX";
static uint8_t bytes[PAGES][PAGE];

static void start(void)
{
	const char *const args[] = {"file", path, NULL};

	export_start(&export, args);
}

static struct device *device_make_remote(void)
{
	struct device *d = device_of_size(PAGES * PAGE);
	const struct backing_options options = {
		.where = export.uri,
		.name = "test",
		.segment_size = 64 * KIB,
		.patience = 300,
	};
	char why[BACKING_WHY] = "";

	if (device_open_backing(d, &options, why) < 0)
		fail_msg("%s", why);
	for (uint64_t page = 0; page < PAGES; page++) {
		content_fill(&rng, CONTENT_TEXT, bytes[page], PAGE);
		write_page(d, page, bytes[page]);
	}
	return d;
}

static int write_back(struct device *d, uint64_t first, uint64_t last)
{
	const struct device_writeback order = {.ranges_count = 1, .ranges = {{first, last}}};
	struct device_written_back done;

	return device_writeback(d, &order, &done);
}

static void await_state(struct device *d, enum backing_state state)
{
	const uint32_t never = 0;
	struct backing_stats s;

	while (device_get_backing(d, &s) && s.state != state)
		os_wait(&never, 0, 5);
}

/* While it is gone its pages cannot be read, others can; nothing is lost. */
static void test_back(void **state)
{
	struct device *d;
	uint8_t found[PAGE];

	start();
	d = device_make_remote();
	assert_int_equal(write_back(d, 0, 99), 0);
	for (int i = 0; i < 3; i++) {
		export_signal(&export, SIGKILL);
		await_state(d, BACKING_GONE);
		assert_int_equal(device_read(d, found, 5 * PAGE, PAGE), -EIO);
		assert_page(d, 150, bytes[150]);
		assert_true(write_back(d, 100, 120) < 0);
		assert_valid(d);
		assert_page(d, 110, bytes[110]);
		content_fill(&rng, CONTENT_TEXT, bytes[7], PAGE);
		write_page(d, 7, bytes[7]);
		start();
		await_state(d, BACKING_READY);
		assert_page(d, 5, bytes[5]);
		assert_int_equal(write_back(d, 0, 99), 0);
	}
	assert_int_equal(write_back(d, 0, PAGES - 1), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(d, page, bytes[page]);
	device_end(d);
	export_signal(&export, SIGKILL);
}

/* Another content is not taken for the pages', nor written over. */
static void test_foreign(void **state)
{
	struct device *d;
	uint8_t found[PAGE];

	start();
	d = device_make_remote();
	assert_int_equal(write_back(d, 0, 99), 0);
	export_signal(&export, SIGKILL);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, 4 * MIB), 0);
	start();
	await_state(d, BACKING_FOREIGN);
	assert_int_equal(device_read(d, found, 5 * PAGE, PAGE), -EIO);
	assert_int_equal(write_back(d, 100, 199), -EIO);
	assert_page(d, 150, bytes[150]);
	content_fill(&rng, CONTENT_TEXT, bytes[5], PAGE);
	write_page(d, 5, bytes[5]);
	assert_page(d, 5, bytes[5]);
	device_end(d);
	export_signal(&export, SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_foreign),
	};
	int fd = mkstemp(path), r;

	if (fd < 0 || ftruncate(fd, 4 * MIB) < 0)
		return EXIT_FAILURE;
	close(fd);
	rng = rng_make(test_seed(0));
	export_init(&export);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	export_fini(&export);
	unlink(path);
	return r;
}
