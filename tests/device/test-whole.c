/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: writeback from a pool of zbud: its oldest pages leave whole, so that as many come free as were
 * asked for; what is old beside what is not leaves alone, and compaction has the rest of it; what is locked
 * stays, with its buddy, and nobody frees it.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/device-types.h"
#include "tests/device/fixture.h"

#define TIME_TO_HANG 60 /* seconds, after which a wait for another thread is given up */

#define PAGES	     400
#define LEAST	     5
#define LIMIT	     (PAGES / 2 * PAGE)

static uint64_t seed;
static char path[64];

/* A page that shrinks to about a quarter, so that any two share one. */
static void make(uint64_t number, uint8_t *page)
{
	struct rng rng = rng_make(seed ^ rng_mix(number));

	memset(page, 0x77, PAGE);
	rng_bytes(&rng, page, PAGE / 4);
}

static struct device *device_begin(uint64_t limit, unsigned int at)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct backing_options backing = {
		.where = path, .name = "test", .file_size = 8 * MIB, .segment_size = 64 * KIB};
	char why[BACKING_WHY] = "";
	uint8_t page[PAGE];
	struct device *d;
	int fd;

	options.allocator = ZS_ZBUD;
	options.mem_limit = limit;
	options.writeback.at = at;
	d = device_make(&options);
	strcpy(path, "/tmp/zcram-whole-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	if (device_open_backing(d, &backing, why) < 0)
		fail_msg("%s", why);
	for (uint64_t number = 0; number < PAGES; number++) {
		make(number, page);
		write_page(d, number, page);
	}
	return d;
}

static void device_finish(struct device *d)
{
	uint8_t page[PAGE];

	assert_valid(d);
	for (uint64_t number = 0; number < PAGES; number++) {
		make(number, page);
		assert_page(d, number, page);
	}
	device_end(d);
	unlink(path);
}

/* The other one in its page. */
static uint64_t buddy(struct device *d, uint64_t number)
{
	uint64_t other = zs_buddy(d->pool, slot_ref(d->slots[number]));

	assert_in_range(other, 0, PAGES - 1);
	assert_int_not_equal(other, number);
	return other;
}

static void set_age(struct device *d, uint64_t number, unsigned int age)
{
	d->slots[number] = slot_aged(d->slots[number], age);
}

static bool is_backed(struct device *d, uint64_t number)
{
	return slot_is_backed(slot_peek(&d->slots[number]));
}

static uint64_t pool_pages(struct device *d)
{
	return stats_of(d).pool / PAGE;
}

/* What becomes of a memory page, by the ages of its two. */
enum group { OLD, MIXED, COOL, YOUNG, GROUPS };

static const unsigned int ages[GROUPS][2] = {
	[OLD] = {AGE_MAX, 12},
	[MIXED] = {AGE_MAX, LEAST - 1},
	[COOL] = {LEAST, LEAST + 1},
	[YOUNG] = {1, 1},
};

struct grouped {
	struct device *device;
	enum group of[PAGES];
	unsigned int count[GROUPS];
};

/* All pages in their turn, the first of the two the older one or the younger. */
static struct grouped group_all(void)
{
	struct grouped g = {.device = device_begin(0, 0)};
	bool seen[PAGES] = {0};
	unsigned int n = 0;

	assert_int_equal(pool_pages(g.device), PAGES / 2);
	for (uint64_t number = 0; number < PAGES; number++) {
		uint64_t other = buddy(g.device, number);
		enum group group = n % GROUPS;

		if (seen[number])
			continue;
		seen[number] = seen[other] = true;
		g.of[number] = g.of[other] = group;
		g.count[group]++;
		set_age(g.device, number, ages[group][n / GROUPS % 2]);
		set_age(g.device, other, ages[group][1 - n / GROUPS % 2]);
		n++;
	}
	assert_int_equal(n, PAGES / 2);
	return g;
}

/* Objects of the group that are written back. */
static unsigned int backed_of(const struct grouped *g, enum group group)
{
	unsigned int n = 0;

	for (uint64_t number = 0; number < PAGES; number++)
		n += g->of[number] == group && is_backed(g->device, number);
	return n;
}

static void test_oldest_whole(void **state)
{
	struct grouped g = group_all();
	uint64_t pages = pool_pages(g.device);

	/* Wherever it begins. */
	for (unsigned int n = 1; n <= g.count[OLD]; n += 7, pages -= 7) {
		writeback_relieve(g.device, 7 * PAGE, LEAST, 0, NULL);
		if (n + 7 > g.count[OLD])
			break;
		assert_int_equal(pool_pages(g.device), pages - 7);
		assert_int_equal(backed_of(&g, OLD), 2 * (n + 6));
		assert_int_equal(backed_of(&g, COOL), 0);
	}
	assert_int_equal(backed_of(&g, OLD), 2 * g.count[OLD]);
	assert_true(backed_of(&g, COOL) > 0);
	assert_int_equal(backed_of(&g, COOL) % 2, 0);
	assert_int_equal(backed_of(&g, MIXED), 0);
	assert_int_equal(backed_of(&g, YOUNG), 0);
	device_finish(g.device);
}

/* When no page is left that is old as a whole. */
static void test_old_beside_young(void **state)
{
	struct grouped g = group_all();
	uint64_t left = g.count[MIXED] + g.count[YOUNG];

	writeback_relieve(g.device, (g.count[OLD] + g.count[COOL]) * (uint64_t)PAGE, LEAST, 0,
			  NULL);
	assert_int_equal(pool_pages(g.device), left);
	assert_int_equal(backed_of(&g, MIXED), 0);
	writeback_relieve(g.device, PAGES * PAGE, LEAST, 0, NULL);
	assert_int_equal(backed_of(&g, MIXED), g.count[MIXED]);
	assert_int_equal(backed_of(&g, YOUNG), 0);
	assert_int_equal(pool_pages(g.device), left);
	zs_make_room(g.device->pool);
	assert_int_equal(pool_pages(g.device), left - g.count[MIXED] / 2);
	device_finish(g.device);
}

/* Of no age at all, as where all was written just now: as many as were asked for, and no more. */
static void test_new(void **state)
{
	struct device *d = device_begin(0, 0);

	for (uint64_t left = PAGES / 2; left >= 30; left -= 30) {
		assert_int_equal(pool_pages(d), left);
		assert_true(writeback_relieve(d, 30 * PAGE, 0, 0, NULL) > 0);
	}
	assert_int_equal(pool_pages(d), PAGES / 2 % 30);
	writeback_relieve(d, PAGES * PAGE, 0, 0, NULL);
	assert_int_equal(pool_pages(d), 0);
	device_finish(d);
}

/* Whoever reads one of the two keeps both, and no compaction moves what is read. */
static void test_locked(void **state)
{
	struct device *d = device_begin(0, 0);
	uint64_t other = buddy(d, 100);
	slot_word word;

	for (uint64_t number = 0; number < PAGES; number++)
		set_age(d, number, AGE_MAX);
	assert_true(slot_trylock(&d->slots[100], &word));
	writeback_relieve(d, (PAGES / 2 - 1) * PAGE, 1, 0, NULL);
	assert_int_equal(pool_pages(d), 1);
	assert_false(is_backed(d, 100));
	assert_false(is_backed(d, other));
	zs_make_room(d->pool);
	assert_int_equal(slot_ref(load_relaxed(&d->slots[100])), slot_ref(word));
	/* Beside it there is nothing to be had but what is its own. */
	writeback_relieve(d, PAGE, 1, 0, NULL);
	assert_true(is_backed(d, other));
	assert_int_equal(pool_pages(d), 1);
	slot_unlock(&d->slots[100], slot_parking(d, 100), word);
	writeback_relieve(d, PAGE, 1, 0, NULL);
	assert_int_equal(pool_pages(d), 0);
	device_finish(d);
}

static void *trim(void *opaque)
{
	assert_int_equal(device_trim(opaque, 100 * PAGE, PAGE), 0);
	return NULL;
}

/* What a reader has mapped is there, whole, until he is done, whoever frees it, and what stands beside it. */
static void test_freed_under_reader(void **state)
{
	struct device *d = device_begin(0, 0);
	uint64_t other = buddy(d, 100), objects = zs_objects(d->pool);
	uint8_t before[PAGE], page[PAGE];
	const void *payload;
	pthread_t thread;
	slot_word word;

	assert_true(slot_trylock(&d->slots[100], &word));
	payload = zs_payload(d->pool, slot_ref(word), slot_len(word));
	memcpy(before, payload, slot_len(word));
	assert_int_equal(pthread_create(&thread, NULL, trim, d), 0);
	alarm(TIME_TO_HANG);
	while (stats_of(d).slot_waits == 0)
		sched_yield();
	alarm(0);
	assert_int_equal(device_trim(d, other * PAGE, PAGE), 0);
	zs_make_room(d->pool);
	for (uint64_t number = 0; number < PAGES; number++) {
		make(number, page);
		if (number != 100 && number != other)
			write_page(d, number, page);
	}
	assert_int_equal(zs_objects(d->pool), objects - 1);
	assert_memory_equal(payload, before, slot_len(word));
	slot_unlock(&d->slots[100], slot_parking(d, 100), word);
	pthread_join(thread, NULL);
	assert_int_equal(zs_objects(d->pool), objects - 2);
	make(100, page);
	write_page(d, 100, page);
	make(other, page);
	write_page(d, other, page);
	device_finish(d);
}

/* By the policy: so far below where it begins as with zspages, though there is half as much payload. */
static void test_policy(void **state)
{
	struct device *d = device_begin(LIMIT, 80);
	const uint64_t at = LIMIT / 100 * 80;

	assert_true(stats_of(d).pool > at && stats_of(d).payload < at / 2 * 3 / 2);
	assert_true(policy_turn(d, false) > 0);
	assert_in_range(stats_of(d).pool, at / 16 * 14, at / 16 * 15);
	assert_int_equal(policy_turn(d, false), 0);
	device_finish(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oldest_whole),
		cmocka_unit_test(test_old_beside_young),
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_freed_under_reader),
		cmocka_unit_test(test_policy),
	};

	seed = test_seed(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
