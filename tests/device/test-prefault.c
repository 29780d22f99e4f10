/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: after a fork and device_prefault() the first writes meet no page fault; without it
 * they do.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/device/fixture.h"
#include "tests/lib/check.h"

#define SIZE	   (256 * MIB)
#define LEAF_PAGES (PAGE / 8) /* of the device, to a page of the slot table */
#define WRITES	   (SIZE / PAGE / LEAF_PAGES)

static struct device *new_device(void)
{
	struct device_options options = options_make(SIZE);

	options.reserve = 4 * MIB;
	return device_make(&options);
}

/* Page faults of this thread while it writes one page to every leaf of the table. */
static long faults_of(struct device *device)
{
	static uint8_t page[PAGE];
	struct rusage before, after;
	struct rng rng = rng_make(1);

	CHECK(getrusage(RUSAGE_THREAD, &before) == 0, "getrusage");
	for (uint64_t i = 0; i < WRITES; i++) {
		content_fill(&rng, content_pick(&rng), page, PAGE);
		CHECK(device_write(device, page, i * LEAF_PAGES * PAGE, PAGE) == 0, "write");
	}
	CHECK(getrusage(RUSAGE_THREAD, &after) == 0, "getrusage");
	return after.ru_minflt - before.ru_minflt + after.ru_majflt - before.ru_majflt;
}

/* In the child, where code and stack have been touched by the same work on another device. */
static int child(struct device *device, bool prefault)
{
	struct device *other = new_device();
	struct device_stats stats;
	long faults;

	CHECK(device_start(other) == 0, "start");
	faults_of(other);
	if (prefault)
		CHECK(device_prefault(device) == 0, "prefault");
	CHECK(device_start(device) == 0, "start");
	device_get_stats(device, &stats);
	CHECK(!prefault || stats.metadata >= SIZE / PAGE * 8, "the table is not counted");
	faults = faults_of(device);
	device_get_stats(device, &stats);
	CHECK(stats.refills == 0, "the reserve was not enough");
	if (prefault)
		CHECK(faults == 0, "%ld page faults", faults);
	else
		CHECK(faults >= (long)WRITES, "no more than %ld page faults", faults);
	return 0;
}

static void in_child(bool prefault)
{
	struct device *device = new_device();
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child(device, prefault));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	device_end(device);
}

static void test_no_faults(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* their own memory is touched as it is needed */
#endif
	in_child(true);
	in_child(false);
}

/* What was empty is found to be so as fast as before, and reads as before. */
static void test_content(void **state)
{
	struct device *device = new_device();
	uint8_t page[PAGE];
	struct rng rng = rng_make(2);

	content_fill(&rng, CONTENT_TEXT, page, PAGE);
	write_page(device, 5, page);
	assert_int_equal(device_prefault(device), 0);
	assert_page(device, 5, page);
	assert_zeros(device, SIZE / 2, PAGE);
	assert_int_equal(device_trim(device, 0, SIZE), 0);
	assert_int_equal(stats_of(device).notify_free, 1);
	write_page(device, SIZE / PAGE - 1, page);
	assert_page(device, SIZE / PAGE - 1, page);
	device_end(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_faults),
		cmocka_unit_test(test_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
