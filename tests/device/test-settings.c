/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: settings that change in use: what is refused, all or nothing, what is stored stays
 * readable, the limit lowered and raised, and many threads that never notice.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/device/fixture.h"
#include "tests/lib/check.h"

#define THREADS	     4
#define OWN_PAGES    96 /* of each thread */
#define ROUNDS	     24 /* in which each thread writes all its pages, and reads them all */
#define TIME_TO_HANG 60 /* seconds, after which a wait for the background threads is given up */

static uint64_t seed;

static struct codec_method method_of(const char *name, int level, enum codec_filter filter)
{
	struct codec_method method;

	CHECK(codec_method_init(&method, name, &level) == 0, "%s(level=%d)", name, level);
	method.filter = filter;
	return method;
}

static struct device_settings settings_of(struct device *device)
{
	struct device_settings settings;

	device_get_settings(device, &settings);
	return settings;
}

static void set_method(struct device *device, struct codec_method method)
{
	struct device_settings settings = settings_of(device);

	settings.method = method;
	assert_int_equal(device_set(device, &settings), 0);
}

static void set_limit(struct device *device, uint64_t limit)
{
	struct device_settings settings = settings_of(device);

	settings.mem_limit = limit;
	assert_int_equal(device_set(device, &settings), 0);
	assert_int_equal(stats_of(device).mem_limit, limit);
}

static void make(uint64_t number, uint64_t turn, enum content_kind kind, uint8_t *page)
{
	struct rng rng = rng_make(seed ^ rng_mix(number << 16 | turn));

	content_fill(&rng, kind, page, PAGE);
}

static void assert_method(const struct codec_method *found, const struct codec_method *want)
{
	assert_int_equal(found->id, want->id);
	assert_int_equal(found->level, want->level);
	assert_int_equal(found->filter, want->filter);
	assert_int_equal(found->max_payload, want->max_payload);
}

/* One that is better shuffled, whatever the codec: addresses that are some hundred bytes apart. */
static void make_addresses(uint64_t number, uint8_t *page)
{
	struct rng rng = rng_make(seed ^ rng_mix(number));
	uint64_t word = UINT64_C(0x7f1200000000) + (number << 20);

	for (size_t at = 0; at < PAGE; at += sizeof(word)) {
		word += rng_between(&rng, 1, 255) << 4;
		memcpy(page + at, &word, sizeof(word));
	}
}

static void test_get(void **state)
{
	struct device_options options = options_make(16 * MIB);
	struct device_settings settings;
	struct device *device;

	options.mem_limit = 4 * MIB;
	options.auto_compact = true;
	options.method = method_of("zstd", 3, CODEC_FILTER_NONE);
	device = device_make(&options);
	settings = settings_of(device);
	assert_int_equal(settings.mem_limit, 4 * MIB);
	assert_true(settings.auto_compact);
	assert_method(&settings.method, &options.method);

	settings.mem_limit = 0;
	settings.auto_compact = false;
	settings.method = method_of("lz4", 7, CODEC_FILTER_AUTO);
	assert_int_equal(device_set(device, &settings), 0);
	settings = settings_of(device);
	assert_int_equal(settings.mem_limit, 0);
	assert_false(settings.auto_compact);
	assert_int_equal(settings.method.id, CODEC_LZ4);
	assert_int_equal(settings.method.level, 7);
	assert_int_equal(settings.method.filter, CODEC_FILTER_AUTO);
	assert_int_equal(stats_of(device).mem_limit, 0);
	device_end(device);
}

/* One bad setting, and none of the others is taken. */
static void test_refused(void **state)
{
	struct device *device = device_of_size(16 * MIB);
	struct device_settings before = settings_of(device), settings, after;
	uint64_t streams = stats_of(device).streams;

	settings = before;
	settings.auto_compact = !before.auto_compact;
	settings.method = method_of("zstd", 19, CODEC_FILTER_AUTO);
	settings.mem_limit = device_min_limit() - 1;
	assert_int_equal(device_set(device, &settings), -EINVAL);
	settings.mem_limit = device_min_limit();
	settings.method.level = 1000;
	assert_int_equal(device_set(device, &settings), -EINVAL);
	settings.method.id = CODEC_RAW;
	assert_int_equal(device_set(device, &settings), -EINVAL);
	after = settings_of(device);
	assert_method(&after.method, &before.method);
	assert_int_equal(after.mem_limit, before.mem_limit);
	assert_true(after.auto_compact == before.auto_compact);
	assert_int_equal(stats_of(device).mem_limit, 0);
	assert_int_equal(stats_of(device).streams, streams);
	device_end(device);
}

/* Each method is in force for what is written next, and what others have written stays. */
static void test_methods(void **state)
{
	const struct codec_method methods[] = {
		method_of("lz4", 1, CODEC_FILTER_NONE),	  method_of("zstd", 1, CODEC_FILTER_AUTO),
		method_of("zstd", 19, CODEC_FILTER_NONE), method_of("lz4", 4, CODEC_FILTER_AUTO),
		method_of("zstd", -7, CODEC_FILTER_AUTO), method_of("lz4", 1, CODEC_FILTER_AUTO),
	};
	const unsigned int n = sizeof(methods) / sizeof(methods[0]);
	struct device *device = device_of_size(n * 64 * PAGE);
	uint64_t streams[2] = {0}, filtered = 0;
	uint8_t page[PAGE];

	for (unsigned int i = 0; i < n; i++) {
		set_method(device, methods[i]);
		streams[methods[i].id == CODEC_ZSTD] = stats_of(device).streams;
		for (uint64_t k = i * 64; k < (i + 1) * 64; k++) {
			make_addresses(k, page);
			write_page(device, k, page);
		}
		if (methods[i].filter == CODEC_FILTER_NONE)
			assert_int_equal(stats_of(device).pages_filter, filtered);
		else
			assert_true(stats_of(device).pages_filter > filtered);
		filtered = stats_of(device).pages_filter;
		for (uint64_t k = 0; k < (i + 1) * 64; k++) {
			make_addresses(k, page);
			assert_page(device, k, page);
		}
	}
	/* Other contexts, of another size: it is the memory of those in use that is told. */
	assert_true(streams[0] != streams[1]);
	assert_int_equal(stats_of(device).streams, streams[0]);
	device_end(device);
}

/* Write from page FIRST on until there is no room; the first page that found none. */
static uint64_t fill_from(struct device *device, uint64_t first)
{
	uint8_t page[PAGE];
	int err = 0;

	for (; first < device_size(device) / PAGE; first++) {
		make(first, 0, CONTENT_RANDOM, page);
		err = device_write(device, page, first * PAGE, PAGE);
		if (err != 0)
			break;
	}
	assert_int_equal(err, -ENOSPC);
	return first;
}

/* Lowered below what is held: nothing more fits before it has fallen; then as much as ever. */
static void test_limit_lowered(void **state)
{
	struct device *device = device_of_size(64 * MIB);
	uint8_t page[PAGE];
	uint64_t full;

	set_limit(device, 8 * MIB);
	full = fill_from(device, 0);
	assert_int_equal(full, 8 * MIB / PAGE);
	set_limit(device, 4 * MIB);
	assert_valid(device);
	assert_int_equal(fill_from(device, full), full);
	for (uint64_t k = 0; k < full / 2; k++) {
		/* One page less than is held is still more than the limit allows. */
		assert_int_equal(device_trim(device, k * PAGE, PAGE), 0);
		assert_int_equal(fill_from(device, full), full);
	}
	assert_int_equal(stats_of(device).pool, 4 * MIB);
	assert_valid(device);
	for (uint64_t k = full / 2; k < full / 2 + 10; k++)
		assert_int_equal(device_trim(device, k * PAGE, PAGE), 0);
	assert_int_equal(fill_from(device, full), full + 10);
	for (uint64_t k = full / 2 + 10; k < full + 10; k++) {
		make(k, 0, CONTENT_RANDOM, page);
		assert_page(device, k, page);
	}
	/* And raised: at once there is more room; none at all: as much as there is. */
	set_limit(device, 6 * MIB);
	assert_int_equal(fill_from(device, full + 10), full + 10 + 2 * MIB / PAGE);
	set_limit(device, 0);
	write_page(device, 5, page);
	assert_valid(device);
	device_end(device);
}

/* The reserve is no more than the limit, and is what was asked for when that allows it. */
static void test_limit_and_reserve(void **state)
{
	struct device_options options = options_make(64 * MIB);
	struct device *device;

	options.reserve = 4 * MIB;
	device = device_make(&options);
	assert_int_equal(device_start(device), 0);
	assert_int_equal(stats_of(device).reserve_target, 4 * MIB);
	set_limit(device, MIB);
	assert_int_equal(stats_of(device).reserve_target, MIB);
	alarm(TIME_TO_HANG);
	while (stats_of(device).reserve > MIB + 64 * PAGE)
		usleep(1000);
	set_limit(device, 0);
	assert_int_equal(stats_of(device).reserve_target, 4 * MIB);
	while (stats_of(device).reserve < 4 * MIB)
		usleep(1000);
	alarm(0);
	device_stop(device);
	device_end(device);
}

/* Switched on in use: what is thin is compacted without being asked. */
static void test_auto_compact(void **state)
{
	struct device *device = device_of_size(32 * MIB);
	struct device_settings settings = settings_of(device);
	uint8_t page[PAGE];

	assert_int_equal(device_start(device), 0);
	for (uint64_t k = 0; k < 32 * MIB / PAGE; k++) {
		make(k, 0, CONTENT_INTEGERS, page);
		write_page(device, k, page);
	}
	/* Of zbud's pages, which have two objects, one. */
	for (uint64_t k = 0; k < 32 * MIB / PAGE; k++)
		if (k % (test_allocator() == ZS_ZBUD ? 2 : 4) != 0)
			assert_int_equal(device_trim(device, k * PAGE, PAGE), 0);
	assert_int_equal(stats_of(device).objects_compacted, 0);
	settings.auto_compact = true;
	assert_int_equal(device_set(device, &settings), 0);
	alarm(TIME_TO_HANG);
	/* They are counted when they have been moved. */
	while (stats_of(device).pool > stats_of(device).payload * 3 / 2 ||
	       stats_of(device).objects_compacted == 0)
		usleep(1000);
	alarm(0);
	device_stop(device);
	device_end(device);
}

struct user {
	struct device *device;
	unsigned int number;
	pthread_t thread;
};

static _Atomic unsigned int users_left;

static void *use(void *opaque)
{
	static const enum content_kind kinds[] = {CONTENT_TEXT, CONTENT_POINTERS, CONTENT_INTEGERS,
						  CONTENT_RANDOM, CONTENT_SAME};
	const struct user *user = opaque;
	uint8_t page[PAGE], found[PAGE];

	for (unsigned int turn = 0; turn < ROUNDS; turn++) {
		for (uint64_t k = 0; k < OWN_PAGES; k++) {
			uint64_t number = user->number * OWN_PAGES + k;

			make(number, turn, kinds[(k + turn) % 5], page);
			CHECK(device_write(user->device, page, number * PAGE, PAGE) == 0,
			      "write of page %" PRIu64, number);
		}
		for (uint64_t k = 0; k < OWN_PAGES; k++) {
			uint64_t number = user->number * OWN_PAGES + k;

			make(number, turn, kinds[(k + turn) % 5], page);
			CHECK(device_read(user->device, found, number * PAGE, PAGE) == 0,
			      "read of page %" PRIu64, number);
			CHECK(memcmp(found, page, PAGE) == 0, "page %" PRIu64 " is wrong", number);
		}
	}
	atomic_fetch_sub(&users_left, 1);
	return NULL;
}

static struct device_settings random_settings(struct rng *rng)
{
	static const int levels[] = {1, 3, -5, 7};
	bool zstd = rng_chance(rng, 50);

	return (struct device_settings){
		/* Never so low that a write could fail. */
		.mem_limit = rng_chance(rng, 50) ? 0 : rng_between(rng, 16, 64) * MIB,
		.auto_compact = rng_chance(rng, 50),
		.method = method_of(zstd ? "zstd" : "lz4",
				    zstd ? levels[rng_below(rng, 4)] : 1 + (int)rng_below(rng, 9),
				    rng_chance(rng, 50) ? CODEC_FILTER_AUTO : CODEC_FILTER_NONE),
	};
}

/* With fewer streams than users, so that each stream is always waited for. */
static void set_while_used(unsigned int streams, bool start)
{
	struct device_options options = options_make(THREADS * OWN_PAGES * PAGE);
	struct rng rng = rng_make(seed ^ streams);
	struct user users[THREADS];
	unsigned int sets = 0;

	options.streams = streams;
	options.reserve = MIB;
	users_left = THREADS;
	users[0].device = device_make(&options);
	if (start)
		assert_int_equal(device_start(users[0].device), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		users[i].device = users[0].device;
		users[i].number = i;
		assert_int_equal(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
	}
	while (atomic_load(&users_left) > 0) {
		struct device_settings settings = random_settings(&rng), got;

		assert_int_equal(device_set(users[0].device, &settings), 0);
		got = settings_of(users[0].device);
		assert_int_equal(got.method.id, settings.method.id);
		assert_int_equal(got.method.level, settings.method.level);
		assert_int_equal(stats_of(users[0].device).mem_limit, settings.mem_limit);
		sets++;
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(users[i].thread, NULL);
	assert_true(sets > 0);
	assert_true(streams != 1 || stats_of(users[0].device).stream_waits > 0);
	device_stop(users[0].device);
	device_end(users[0].device);
}

static void test_while_used(void **state)
{
	set_while_used(1, false);
	set_while_used(3, true);
	set_while_used(0, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_limit_lowered),
		cmocka_unit_test(test_limit_and_reserve),
		cmocka_unit_test(test_auto_compact),
		cmocka_unit_test(test_while_used),
	};

	seed = test_seed(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
