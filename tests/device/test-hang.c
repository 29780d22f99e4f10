/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a backing store that neither answers nor fails: writers at the limit are refused all the same,
 * reads of what is in memory go on, and whoever waits for the store can be stopped; what was on its way is
 * settled when it answers again.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/writeback-types.h"
#include "tests/backing/export.h"
#include "tests/device/fixture.h"

#define SIZE	   (64 * MIB)
#define LIMIT	   (4 * MIB)
#define FOREVER_MS 3600000
#define HOLD_MS	   10
#define GIVE_UP	   100 /* seconds, after which a wait is one without end */
#define STORED	   100 /* pages that are in the store from the start */

static struct export export;
static char path[] = "/tmp/zcram-hang-XXXXXX";
static uint64_t seed;

static void start_export(void)
{
	const char *const args[] = {"file", path, NULL};

	export_start(&export, args);
}

static void make(uint64_t number, uint8_t *page)
{
	struct rng rng = rng_make(seed ^ rng_mix(number));

	rng_bytes(&rng, page, PAGE);
}

static int put(struct device *device, uint64_t number)
{
	uint8_t page[PAGE];

	make(number, page);
	return device_write(device, page, number * PAGE, PAGE);
}

static void assert_put(struct device *device, uint64_t first, uint64_t count)
{
	uint8_t page[PAGE];

	for (uint64_t number = first; number < first + count; number++) {
		make(number, page);
		assert_page(device, number, page);
	}
}

static int write_back(struct device *device, uint64_t first, uint64_t last)
{
	const struct device_writeback order = {.ranges_count = 1, .ranges = {{first, last}}};
	struct device_written_back done;

	return device_writeback(device, &order, &done);
}

/* Some pages are in the store, which waits for ever and does not answer any more. */
static struct device *begin(unsigned int at)
{
	struct device_options options = options_make(SIZE);
	const struct backing_options backing = {
		.where = export.uri,
		.name = "test",
		.segment_size = 64 * KIB,
		.patience = FOREVER_MS,
	};
	char why[BACKING_WHY] = "";
	struct device *device;

	options.mem_limit = LIMIT;
	options.writeback.at = at;
	device = device_make(&options);
	start_export();
	if (device_open_backing(device, &backing, why) < 0)
		fail_msg("%s", why);
	device->limit.hold_ms = HOLD_MS;
	assert_int_equal(device_start(device), 0);
	for (uint64_t number = 0; number < STORED; number++)
		assert_int_equal(put(device, number), 0);
	assert_int_equal(write_back(device, 0, STORED - 1), 0);
	alarm(GIVE_UP);
	export_signal(&export, SIGSTOP);
	return device;
}

/* It answers again, after which all is as it should be. */
static void end(struct device *device, uint64_t pages)
{
	export_signal(&export, SIGKILL);
	start_export();
	assert_int_equal(device_start(device), 0);
	assert_put(device, 0, pages);
	assert_int_equal(write_back(device, 0, pages - 1), 0);
	assert_true(stats_of(device).pages_backing >= pages - 1);
	assert_put(device, 0, pages);
	device_stop(device);
	device_end(device);
	export_signal(&export, SIGKILL);
	alarm(0);
}

/* Write until one is refused; how many were not. */
static uint64_t fill(struct device *device, uint64_t first)
{
	uint64_t n = 0;
	int r;

	while ((r = put(device, first + n)) == 0)
		n++;
	assert_int_equal(r, -ENOSPC);
	return n;
}

static void await_writer(struct device *device)
{
	while (!__atomic_load_n(&device_writeback_of(device)->taken, __ATOMIC_SEQ_CST))
		sched_yield();
}

static void test_refused(void **state)
{
	struct device_settings settings;
	struct device *device = begin(0);
	uint64_t n = fill(device, STORED);

	assert_true(n >= LIMIT / PAGE * 3 / 4);
	for (int i = 0; i < 10; i++)
		assert_int_equal(put(device, STORED + n), -ENOSPC);
	assert_put(device, STORED, n);
	/* Settings are not held up either. */
	device_get_settings(device, &settings);
	settings.mem_limit = 2 * LIMIT;
	assert_int_equal(device_set(device, &settings), 0);
	n += fill(device, STORED + n);
	assert_true(n >= LIMIT / PAGE * 3 / 2);
	device_stop(device);
	end(device, STORED + n);
}

/* All the threads that may wait, each with the lock or for it. */
static void test_stopped(void **state)
{
	struct device *device = begin(25);
	uint64_t n = fill(device, STORED);

	await_writer(device);
	device_cancel(device);
	device_stop_background(device);
	assert_put(device, STORED, n);
	device_stop(device);
	end(device, STORED + n);
}

static void *order(void *opaque)
{
	struct device *device = opaque;

	return (void *)(intptr_t)write_back(device, STORED, SIZE / PAGE - 1);
}

static void test_canceled(void **state)
{
	struct device *device = begin(0);
	pthread_t thread;
	void *r;

	for (uint64_t number = STORED; number < 2 * STORED; number++)
		assert_int_equal(put(device, number), 0);
	assert_int_equal(pthread_create(&thread, NULL, order, device), 0);
	await_writer(device);
	device_cancel(device);
	assert_int_equal(pthread_join(thread, &r), 0);
	assert_int_equal((intptr_t)r, -ECANCELED);
	assert_put(device, STORED, STORED);
	assert_int_equal(put(device, STORED + 7), 0);
	device_stop(device);
	end(device, 2 * STORED);
}

/* The device ends with requests on their way to a store that does not take them. */
static void test_freed(void **state)
{
	struct device *device = begin(0);

	fill(device, STORED);
	device_stop(device);
	device_free(device);
	export_signal(&export, SIGKILL);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_canceled),
		cmocka_unit_test(test_freed),
	};
	int fd = mkstemp(path), r;

	if (fd < 0 || ftruncate(fd, 32 * MIB) < 0)
		return EXIT_FAILURE;
	close(fd);
	seed = test_seed(0);
	export_init(&export);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	export_fini(&export);
	unlink(path);
	return r;
}
