/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a backing store that is missing when the next process begins: pages in memory are served, those
 * that are in the store cannot be read, and nothing is lost; it is found when it is there again, while requests
 * change what its pages are.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/os.h"
#include "device/device-types.h"
#include "tests/device/store.h"

#define PAGES	2000
#define BACKED	1500 /* the first of them are in the store */
#define THREADS 4
#define GIVE_UP 100 /* seconds, after which a wait is one without end */

static struct rng rng;
static char path[64], moved[80];
static uint8_t bytes[PAGES][PAGE];
static uint32_t found;	 /* futex */
static uint32_t claimed; /* atomic: the first page is */

int __real_backing_claim(struct backing *backing, const struct backing_object *object);
int __wrap_backing_claim(struct backing *backing, const struct backing_object *object);

/* Others may do something between two of these, if anything lets them. */
int __wrap_backing_claim(struct backing *backing, const struct backing_object *object)
{
	for (int i = 0; object->owner % 8 == 0 && i < 50; i++)
		sched_yield();
	store_relaxed(&claimed, 1);
	return __real_backing_claim(backing, object);
}

/* The clock is ahead by so much, which is how who looks for the store comes to look again. Atomic. */
static uint64_t ahead;

uint64_t __real_os_now(void);
uint64_t __wrap_os_now(void);

uint64_t __wrap_os_now(void)
{
	return __real_os_now() + load_relaxed(&ahead);
}

static void look_again(struct device *d)
{
	add_relaxed(&ahead, UINT64_C(10) * 1000 * 1000 * 1000);
	os_wake(&d->policy.stop, true);
}

static void note_found(void *opaque)
{
	store_relaxed(&found, 1);
	os_wake(&found, true);
}

static struct backing_options backing_at(const char *where)
{
	return (struct backing_options){.where = where, .name = "test", .segment_size = 64 * KIB};
}

static void put(struct device *d, uint64_t page)
{
	content_fill(&rng, page % 5 ? CONTENT_TEXT : CONTENT_RANDOM, bytes[page], PAGE);
	write_page(d, page, bytes[page]);
}

static int write_back(struct device *d)
{
	const struct device_writeback order = {.ranges_count = 1, .ranges = {{0, BACKED - 1}}};
	struct device_written_back done;

	return device_writeback(d, &order, &done);
}

/* What a process leaves whose pages are in memory and in the store, and what the next one begins with. */
static struct device *next_process(struct plain_store *store)
{
	struct backing_options options = backing_at(path);
	char why[BACKING_WHY] = "";
	struct device *d;

	*store = store_make(PAGES * PAGE);
	d = store_device(store, PAGES * PAGE);
	if (device_open_backing(d, &options, why) < 0)
		fail_msg("%s", why);
	for (uint64_t page = 0; page < PAGES; page++)
		put(d, page);
	assert_int_equal(write_back(d), 0);
	assert_int_equal(stats_of(d).pages_backing, BACKED);
	device_free(d);
	return store_device(store, PAGES * PAGE);
}

static void go_without(struct device *d)
{
	struct backing_options options = backing_at(path);
	char why[BACKING_WHY] = "";
	int r = device_open_backing(d, &options, why);

	assert_int_equal(r, -ENOENT);
	assert_true(device_knows_backing(d, path));
	assert_false(device_knows_backing(d, moved));
	assert_int_equal(device_seek_backing(d, &options, r, note_found, NULL), 0);
	store_relaxed(&found, 0);
	store_relaxed(&claimed, 0);
}

static void await_found(struct device *d)
{
	alarm(GIVE_UP);
	while (!load_relaxed(&found)) {
		look_again(d);
		os_wait(&found, 0, 10);
	}
	alarm(0);
}

static void check_all(struct device *d)
{
	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(d, page, bytes[page]);
}

/* Is neither taken for it nor written over. */
static void another_in_its_place(struct device *d)
{
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	struct backing_stats s;
	uint8_t read[PAGE];

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 16 * MIB), 0);
	alarm(GIVE_UP);
	while (device_get_backing(d, &s) && s.error != -ESTALE) {
		look_again(d);
		os_wait(&found, 0, 10);
	}
	alarm(0);
	assert_int_equal(device_read(d, read, 3 * PAGE, PAGE), -EIO);
	assert_int_equal(lseek(fd, 0, SEEK_DATA), -1);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

static void test_without(void **state)
{
	struct plain_store store;
	struct device *d = next_process(&store);
	struct backing_stats s;
	uint8_t read[PAGE];

	assert_int_equal(rename(path, moved), 0);
	go_without(d);
	assert_int_equal(device_start(d), 0);
	assert_true(device_get_backing(d, &s));
	assert_int_equal(s.state, BACKING_GONE);
	assert_int_equal(s.error, -ENOENT);
	assert_int_equal(device_read(d, read, 3 * PAGE, PAGE), -EIO);
	assert_int_equal(device_write(d, bytes[3], 3 * PAGE + 5, 7), -EIO);
	for (uint64_t page = BACKED; page < PAGES; page++)
		assert_page(d, page, bytes[page]);
	put(d, 4);
	assert_page(d, 4, bytes[4]);
	memset(bytes[5], 0, PAGE);
	assert_int_equal(device_trim(d, 5 * PAGE, PAGE), 0);
	assert_int_equal(write_back(d), -ENOTCONN);
	another_in_its_place(d);
	assert_int_equal(rename(moved, path), 0);
	await_found(d);
	check_all(d);
	assert_true(device_get_backing(d, &s));
	assert_int_equal(s.state, BACKING_READY);
	assert_int_equal(write_back(d), 0);
	device_stop(d);
	device_end(d);
	store_end(&store);
}

/*
 * Each has every fourth page, and changes those in memory as long as the store is looked for, and the others from
 * when it is there.
 */
struct worker {
	struct device *device;
	struct rng rng;
	uint64_t first;
	pthread_t thread;
};

static void *work(void *opaque)
{
	struct worker *w = opaque;
	uint8_t page[PAGE];

	for (unsigned int more = 0; more < 2000; more += load_relaxed(&found)) {
		uint64_t at = rng_below(&w->rng, PAGES / THREADS) * THREADS + w->first;
		int r;

		switch (load_relaxed(&claimed) || at >= BACKED ? rng_below(&w->rng, 4) : 2) {
		case 0:
			content_fill(&w->rng, CONTENT_TEXT, bytes[at], PAGE);
			r = device_write(w->device, bytes[at], at * PAGE, PAGE);
			break;
		case 1:
			memset(bytes[at], 0, PAGE);
			r = device_trim(w->device, at * PAGE, PAGE);
			break;
		default:
			r = device_read(w->device, page, at * PAGE, PAGE);
			/* Never anything else. */
			if (r == -EIO)
				r = 0;
			else if (memcmp(page, bytes[at], PAGE) != 0)
				r = -EILSEQ;
		}
		if (r != 0)
			return (void *)(intptr_t)r;
		if (at % 64 == 0 && load_relaxed(&found))
			write_back(w->device);
	}
	return NULL;
}

static void test_in_use(void **state)
{
	struct worker workers[THREADS];
	struct plain_store store;
	struct device *d = next_process(&store);
	void *r;

	assert_int_equal(rename(path, moved), 0);
	go_without(d);
	assert_int_equal(device_start(d), 0);
	for (uint64_t i = 0; i < THREADS; i++) {
		workers[i] =
			(struct worker){.device = d, .rng = rng_make(rng_next(&rng)), .first = i};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	assert_int_equal(rename(moved, path), 0);
	for (uint64_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, &r), 0);
		assert_int_equal((intptr_t)r, 0);
	}
	check_all(d);
	device_stop(d);
	device_end(d);
	store_end(&store);
}

/* It never comes, and nobody is held up by that; the one after that has it. */
static void test_never(void **state)
{
	struct backing_options options = backing_at(path);
	char why[BACKING_WHY] = "";
	struct plain_store store;
	struct device *d = next_process(&store);

	assert_int_equal(rename(path, moved), 0);
	go_without(d);
	assert_int_equal(device_start(d), 0);
	device_stop(d);
	device_end(d);
	assert_int_equal(rename(moved, path), 0);
	d = store_device(&store, PAGES * PAGE);
	assert_int_equal(device_open_backing(d, &options, why), 0);
	check_all(d);
	device_end(d);
	store_end(&store);
}

static int setup(void **state)
{
	int fd;

	strcpy(path, "/tmp/zcram-seek-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0 && ftruncate(fd, 16 * MIB) == 0);
	close(fd);
	snprintf(moved, sizeof(moved), "%s.moved", path);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	unlink(moved);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never, setup, teardown),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
