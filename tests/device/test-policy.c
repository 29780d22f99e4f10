/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: writeback by itself: from which share of the limit on, which pages first, how old, how much
 * a day; when the kernel is short of memory; changed in use; and that it ends when it is told to.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/os.h"
#include "device/device-types.h"
#include "tests/device/fixture.h"

#define PAGES 1000
#define LIMIT (4 * MIB)

static struct rng rng;
static char path[64];
static uint8_t bytes[PAGES][PAGE];

/* A pool that random pages fill up to the limit. */
static struct device *device_begin(struct device_policy policy, uint64_t store)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct backing_options backing = {
		.where = path, .name = "test", .file_size = store, .segment_size = 64 * KIB};
	char why[BACKING_WHY] = "";
	struct device *d;
	int fd;

	options.mem_limit = LIMIT;
	options.writeback = policy;
	d = device_make(&options);
	strcpy(path, "/tmp/zcram-policy-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	if (device_open_backing(d, &backing, why) < 0)
		fail_msg("%s", why);
	return d;
}

static void fill(struct device *d, uint64_t first, uint64_t count, enum content_kind kind)
{
	for (uint64_t page = first; page < first + count; page++) {
		content_fill(&rng, kind, bytes[page], PAGE);
		write_page(d, page, bytes[page]);
	}
}

static void set_age(struct device *d, uint64_t first, uint64_t count, unsigned int age)
{
	for (uint64_t page = first; page < first + count; page++)
		d->slots[page] = slot_aged(d->slots[page], age);
}

static uint64_t backed(struct device *d, uint64_t first, uint64_t count)
{
	uint64_t n = 0;

	for (uint64_t page = first; page < first + count; page++)
		n += slot_is_backed(slot_peek(&d->slots[page]));
	return n;
}

static void device_finish(struct device *d)
{
	uint8_t zeros[PAGE] = {0};

	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(d, page,
			    slot_peek(&d->slots[page]) == 0 ? zeros : (const void *)bytes[page]);
	device_end(d);
	unlink(path);
}

static void set_policy(struct device *d, struct device_policy policy)
{
	struct device_settings settings;

	device_get_settings(d, &settings);
	settings.writeback = policy;
	assert_int_equal(device_set(d, &settings), 0);
}

static void test_at(void **state)
{
	struct device *d = device_begin((struct device_policy){.at = 80}, 8 * MIB);
	uint64_t pages = LIMIT / 100 * 80 / PAGE;

	fill(d, 0, pages - 1, CONTENT_RANDOM);
	assert_int_equal(policy_turn(d, false), 0);
	fill(d, pages - 1, 20, CONTENT_RANDOM);
	assert_true(policy_turn(d, false) > 0);
	assert_in_range(stats_of(d).payload, 1, LIMIT / 100 * 80 / 16 * 15);
	assert_true(stats_of(d).pages_pool > pages / 16 * 14);
	/* The rest is compaction's. */
	assert_int_equal(policy_turn(d, false), 0);
	device_finish(d);
}

static void test_never(void **state)
{
	struct device *d = device_begin((struct device_policy){0}, 8 * MIB);

	fill(d, 0, 950, CONTENT_RANDOM);
	assert_int_equal(policy_turn(d, false), 0);
	assert_int_equal(policy_turn(d, true), 0);
	set_policy(d, (struct device_policy){.at = 50});
	assert_true(policy_turn(d, false) > 0);
	device_finish(d);
}

/* Raw pages first, of the age that is asked for; then the oldest. */
static void test_order(void **state)
{
	struct device *d = device_begin((struct device_policy){.at = 10, .age = 900}, 8 * MIB);
	unsigned int least = age_of_seconds(900);

	fill(d, 0, 500, CONTENT_TEXT);
	fill(d, 500, 100, CONTENT_RANDOM);
	set_age(d, 0, 600, least - 1);
	assert_int_equal(policy_turn(d, false), 0);
	set_age(d, 550, 10, least);
	set_age(d, 100, 50, AGE_MAX);
	set_age(d, 200, 50, least + 2);
	set_age(d, 300, 50, least);
	writeback_relieve(d, 1, least, 0, NULL);
	assert_int_equal(backed(d, 0, PAGES), 1);
	assert_int_equal(backed(d, 550, 10), 1);
	writeback_relieve(d, 9 * PAGE, least, 0, NULL);
	assert_int_equal(backed(d, 0, PAGES), 10);
	assert_int_equal(backed(d, 550, 10), 10);
	writeback_relieve(d, 1, least, 0, NULL);
	assert_int_equal(backed(d, 0, 500), 1);
	assert_int_equal(backed(d, 100, 50), 1);
	writeback_relieve(d, 200 * PAGE, least, 0, NULL);
	assert_int_equal(backed(d, 100, 50), 50);
	assert_int_equal(backed(d, 200, 50), 50);
	assert_int_equal(backed(d, 300, 50), 50);
	assert_int_equal(backed(d, 0, PAGES), 160);
	assert_int_equal(writeback_relieve(d, PAGE, least, 0, NULL), 0);
	device_finish(d);
}

/* All of them in the end, wherever the last one stopped. */
static void test_round(void **state)
{
	struct device *d = device_begin((struct device_policy){.at = 10}, 8 * MIB);
	uint64_t turns = 0;

	fill(d, 0, 300, CONTENT_RANDOM);
	while (writeback_relieve(d, 64 * PAGE, 0, 0, NULL) > 0) {
		fill(d, 5, turns == 0, CONTENT_RANDOM);
		turns++;
	}
	assert_in_range(turns, 5, 6);
	assert_int_equal(stats_of(d).pages_pool, 0);
	device_finish(d);
}

static void test_pressed(void **state)
{
	struct device *d = device_begin((struct device_policy){.at = 100}, 8 * MIB);
	uint64_t payload;

	fill(d, 0, 320, CONTENT_RANDOM);
	payload = stats_of(d).payload;
	assert_int_equal(policy_turn(d, false), 0);
	assert_true(policy_turn(d, true) >= payload / 16);
	assert_true(stats_of(d).payload >= payload / 2);
	device_finish(d);
}

/* Of bytes a day. */
static void test_limit(void **state)
{
	struct device *d = device_begin((struct device_policy){.at = 10}, 8 * MIB);

	fill(d, 0, 900, CONTENT_RANDOM);
	assert_true(writeback_relieve(d, MIB, 0, 256 * KIB, NULL) > 0);
	assert_in_range(stats_of(d).backing_written, 192 * KIB, 512 * KIB);
	assert_int_equal(writeback_relieve(d, MIB, 0, 256 * KIB, NULL), 0);
	assert_true(writeback_relieve(d, MIB, 0, 4 * MIB, NULL) > 0);
	device_finish(d);
}

/* A full store is the end of it, and of nothing else. */
static void test_full(void **state)
{
	struct device *d = device_begin((struct device_policy){.at = 10}, MIB);

	fill(d, 0, 900, CONTENT_RANDOM);
	assert_true(policy_turn(d, false) > 0);
	assert_int_equal(policy_turn(d, false), 0);
	assert_true(stats_of(d).pages_pool > 600);
	device_finish(d);
}

/* By the thread, while requests go on; and it ends. */
static void test_thread(void **state)
{
	const uint32_t never = 0;
	struct device *d = device_begin((struct device_policy){.at = 20}, 8 * MIB);

	assert_int_equal(device_start(d), 0);
	fill(d, 0, 900, CONTENT_RANDOM);
	while (stats_of(d).written_back < 300)
		os_wait(&never, 0, 5);
	device_stop(d);
	assert_int_equal(device_start(d), 0);
	device_stop(d);
	device_finish(d);
}

static void test_bad(void **state)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct device *d;

	options.writeback.at = 101;
	assert_int_equal(device_new(&options, &d), -EINVAL);
	options.writeback = (struct device_policy){.at = 1, .age = device_idle_max() + 1};
	assert_int_equal(device_new(&options, &d), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at),	cmocka_unit_test(test_never),
		cmocka_unit_test(test_order),	cmocka_unit_test(test_round),
		cmocka_unit_test(test_pressed), cmocka_unit_test(test_limit),
		cmocka_unit_test(test_full),	cmocka_unit_test(test_thread),
		cmocka_unit_test(test_bad),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
