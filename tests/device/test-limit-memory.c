/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: near the limit or far from it the kernel gives no memory: a write waits for the keeper, or for
 * what is freed, and is never told that there is no memory because it is at the limit too; and where there is a
 * backing store what writes wait for is made by writeback, though the limit is not met. Reads wait for none of
 * it, and a write of many pages no longer than one of one.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "allocator/zs-types.h"
#include "tests/device/fault.h"
#include "tests/device/limited.h"

#define SIZE	(64 * MIB)
#define RESERVE 48 /* pages; a request of more of them is looked at no second time */
#define MANY	64 /* pages of such a request */
#define STREAMS 2

/* By the linker: what time it is, for whoever asks. */
static uint64_t ahead; /* ns; atomic */

uint64_t __real_os_now(void);
uint64_t __wrap_os_now(void);

uint64_t __wrap_os_now(void)
{
	return __real_os_now() + load_relaxed(&ahead);
}

/* A pool that takes memory while there is some, and has done so. STORE: bytes of a backing store; 0: none. */
static struct device *modest(uint64_t store, int *ret_file)
{
	struct device_options options = options_make(SIZE);
	char path[64], why[BACKING_WHY] = "";
	const struct backing_options backing = {.where = path, .name = "test"};
	struct device *device;

	options.reserve = RESERVE * PAGE;
	options.streams = STREAMS;
	device = device_make(&options);
	if (store > 0) {
		*ret_file = memfd_create("store", MFD_CLOEXEC);
		assert_true(*ret_file >= 0);
		assert_int_equal(ftruncate(*ret_file, (off_t)store), 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", *ret_file);
		if (device_open_backing(device, &backing, why) < 0)
			fail_msg("%s", why);
	}
	assert_int_equal(device_prefault(device), 0);
	assert_int_equal(device_start(device), 0);
	return device;
}

static void end(struct device *device)
{
	fault_disarm();
	device_stop(device);
	device_end(device);
}

/* All that is spare has been used, and there is no more. How many pages of SMALL there are. */
static uint64_t use_up(struct device *device)
{
	uint64_t n = 0;
	int r;

	fault_arm(FAULT_COMMIT, 1);
	device->pool->patience = 100;
	while ((r = put(device, n, SMALL)) == 0)
		n++;
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(stats_of(device).reserve, 0);
	return n;
}

struct writer {
	struct device *device;
	uint64_t number; /* of the page */
	uint64_t like;	 /* it is to hold what this one does */
	size_t len;
	pthread_t thread;
};

static void *write_one(void *opaque)
{
	struct writer *w = opaque;
	uint8_t page[PAGE];

	make(w->like, w->len, page);
	return (void *)(intptr_t)device_write(w->device, page, w->number * PAGE, PAGE);
}

/* The last byte is left as it is. */
static void *write_part(void *opaque)
{
	struct writer *w = opaque;
	uint8_t page[PAGE];

	make(w->like, w->len, page);
	return (void *)(intptr_t)device_write(w->device, page, w->number * PAGE, PAGE - 1);
}

/* And the next page, too. */
static void *write_two(void *opaque)
{
	struct writer *w = opaque;
	uint8_t pages[2][PAGE];

	make(w->like, w->len, pages[0]);
	make(w->like + 1, w->len, pages[1]);
	return (void *)(intptr_t)device_write(w->device, pages, w->number * PAGE, sizeof(pages));
}

/* FN, of pages of LEN bytes. From then on it waits for the keeper, as BEFORE others do. */
static void writer_begin_with(struct writer *w, void *(*fn)(void *opaque), size_t len,
			      unsigned int before)
{
	struct parking *parking = zs_room_parking(w->device->pool);

	w->len = len;
	w->device->pool->patience = FOREVER_MS;
	assert_int_equal(pthread_create(&w->thread, NULL, fn, w), 0);
	AWAIT(__atomic_load_n(&parking->waiters, __ATOMIC_SEQ_CST) > before);
	/* And the keeper has seen to that, in vain: between the two lies all that it does in a round. */
	for (int i = 0; i < 2; i++) {
		store_relaxed(&w->device->pool->starving, false);
		AWAIT(zs_is_starving(w->device->pool));
	}
}

static void writer_begin(struct writer *w, size_t len)
{
	writer_begin_with(w, write_one, len, 0);
}

static void assert_ended(struct writer *w, int expected)
{
	void *result;

	alarm(TIME_TO_HANG);
	assert_int_equal(pthread_join(w->thread, &result), 0);
	alarm(0);
	assert_int_equal((intptr_t)result, expected);
}

static void assert_written(struct writer *w)
{
	uint8_t page[PAGE];

	assert_ended(w, 0);
	make(w->like, w->len, page);
	assert_page(w->device, w->number, page);
}

/*
 * The limit leaves a page, which a zspage would grow by, and nobody has it: so the write is held, until it is
 * to be had, or refused as others are at the limit. With zbud pages are all that grows, and the keeper's.
 */
static void test_no_memory_at_limit(void **state)
{
	struct device *device = modest(0, NULL);
	struct writer writer = {.device = device, .number = use_up(device), .len = SMALL};
	uint64_t before;

	set_limit(device, stats_of(device).pool + PAGE);
	device->limit.hold_ms = 20;
	assert_int_equal(put(device, writer.number, SMALL), -ENOSPC);
	assert_int_equal(stats_of(device).writes_refused, 1);
	assert_zeros(device, writer.number * PAGE, PAGE);
	device->limit.hold_ms = FOREVER_MS;
	before = stats_of(device).refills;
	assert_int_equal(pthread_create(&writer.thread, NULL, write_one, &writer), 0);
	/* More than once: it was held, and tried again. */
	AWAIT(stats_of(device).refills >= before + 3);
	fault_disarm();
	assert_written(&writer);
	assert_put(device, 0, writer.number, SMALL);
	end(device);
}

/* A cell that is freed is all that there is for the write that waits for it. */
static void test_freed_cell(void **state)
{
	struct device *device = modest(0, NULL);
	struct writer writer = {.device = device, .number = use_up(device), .like = 1};

	writer_begin(&writer, SMALL);
	assert_int_equal(device_trim(device, PAGE, PAGE), 0);
	assert_written(&writer);
	end(device);
}

/* Pages that compaction frees are. */
static void test_freed_pages(void **state)
{
	struct device *device = modest(0, NULL);
	struct writer writer = {.device = device, .number = use_up(device)};

	for (uint64_t number = 0; number < writer.number; number += 2)
		assert_int_equal(device_trim(device, number * PAGE, PAGE), 0);
	/* What had a page of its own, as a fallback, has left it. */
	while (put(device, writer.number, PAGE) == 0)
		writer.number++;
	assert_int_equal(stats_of(device).reserve, 0);
	writer_begin(&writer, PAGE);
	assert_int_equal(device_compact(device), 0);
	assert_written(&writer);
	end(device);
}

/* As many writes wait as there are streams, and whoever needs one has it. */
static void test_streams_are_free(void **state)
{
	struct device *device = modest(0, NULL);
	uint64_t count = use_up(device);
	struct writer whole = {.device = device, .number = count}, part = whole;
	struct device_settings settings;
	uint8_t page[PAGE];

	part.number++;
	part.like = 1;
	assert_int_equal(device_streams(device), STREAMS);
	writer_begin_with(&whole, write_one, SMALL, 0);
	writer_begin_with(&part, write_part, SMALL, 1);
	alarm(TIME_TO_HANG);
	assert_put(device, 0, count, SMALL);
	assert_zeros(device, count * PAGE, STREAMS * PAGE);
	assert_int_equal(device_flush(device), 0);
	/* What waits has been compressed as was said before. */
	device_get_settings(device, &settings);
	assert_int_equal(codec_method_init(&settings.method, "zstd", NULL), 0);
	assert_int_equal(device_set(device, &settings), 0);
	alarm(0);
	fault_disarm();
	assert_written(&whole);
	assert_ended(&part, 0);
	make(part.like, SMALL, page);
	page[PAGE - 1] = 0;
	assert_page(device, part.number, page);
	assert_put(device, 0, count, SMALL);
	end(device);
}

/* A request is patient once, and not anew with each of its pages. */
static void test_patience(void **state)
{
	struct device *device = modest(0, NULL);
	struct writer writer = {.device = device, .number = use_up(device)};
	uint8_t page[PAGE];

	writer_begin_with(&writer, write_two, SMALL, 0);
	/* It has waited so long when there is a cell for its first page. */
	add_relaxed(&ahead, FOREVER_MS * NS_PER_MS);
	assert_int_equal(device_trim(device, PAGE, PAGE), 0);
	assert_ended(&writer, -ENOMEM);
	make(writer.like, SMALL, page);
	assert_page(device, writer.number, page);
	assert_zeros(device, (writer.number + 1) * PAGE, PAGE);
	end(device);
}

/* There is neither a limit nor memory: what is written back is what there is. */
static void test_written_back(void **state)
{
	int file = -1;
	struct device *device = modest(32 * MIB, &file);

	device->pool->patience = FOREVER_MS;
	fault_arm(FAULT_COMMIT, 1);
	for (uint64_t number = 0; number < 8 * RESERVE; number++)
		assert_int_equal(put(device, number, PAGE), 0);
	assert_true(stats_of(device).written_back > 0);
	assert_int_equal(stats_of(device).failed_writes, 0);
	assert_put(device, 0, 8 * RESERVE, PAGE);
	end(device);
	close(file);
}

/* The next write says so, before it would have to wait. */
static void test_looked_at_by_writes(void **state)
{
	int file = -1;
	struct device *device = modest(32 * MIB, &file);
	uint64_t number = 0;

	policy_stop(device);
	fault_arm(FAULT_COMMIT, 1);
	/* One more, and one that comes when the keeper has seen it would say so already. */
	while (!zs_reserve_is_low(device->pool))
		assert_int_equal(put(device, number++, PAGE), 0);
	AWAIT(zs_is_starving(device->pool));
	assert_int_equal(stats_of(device).written_back, 0);
	assert_int_equal(put(device, number++, PAGE), 0);
	AWAIT(stats_of(device).written_back > 0);
	assert_put(device, 0, number, PAGE);
	end(device);
	close(file);
}

/* All that write wait already: one request has taken what there was, and found no end. */
static void test_looked_at_by_policy(void **state)
{
	static uint8_t content[MANY][PAGE], found[MANY][PAGE];
	int file = -1;
	struct device *device = modest(32 * MIB, &file);

	device->pool->patience = FOREVER_MS;
	for (uint64_t number = 0; number < MANY; number++)
		make(number, PAGE, content[number]);
	fault_arm(FAULT_COMMIT, 1);
	alarm(TIME_TO_HANG);
	assert_int_equal(device_write(device, content, 0, sizeof(content)), 0);
	alarm(0);
	assert_true(stats_of(device).written_back > 0);
	assert_int_equal(device_read(device, found, 0, sizeof(found)), 0);
	assert_memory_equal(found, content, sizeof(content));
	end(device);
	close(file);
}

/* What is in want of memory gives none away that it may not have again. */
static void test_not_trimmed(void **state)
{
	struct device *device = modest(0, NULL);
	uint64_t pool;

	assert_int_equal(put(device, 0, SMALL), 0);
	fault_arm(FAULT_COMMIT, 1);
	for (uint64_t number = 1; number < RESERVE / 2; number++)
		assert_int_equal(put(device, number, PAGE), 0);
	pool = stats_of(device).pool;
	assert_true(zs_reserve_is_low(device->pool));
	zs_trim(device->pool);
	assert_int_equal(stats_of(device).pool, pool);
	fault_disarm();
	AWAIT(!zs_reserve_is_low(device->pool));
	zs_trim(device->pool);
	assert_true(stats_of(device).pool < pool);
	end(device);
}

int main(void)
{
	/* Of zbud's pages none has parts without memory. */
	const struct CMUnitTest zspages[] = {
		cmocka_unit_test(test_no_memory_at_limit),
		cmocka_unit_test(test_not_trimmed),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freed_cell),
		cmocka_unit_test(test_streams_are_free),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_freed_pages),
		cmocka_unit_test(test_written_back),
		cmocka_unit_test(test_looked_at_by_writes),
		cmocka_unit_test(test_looked_at_by_policy),
	};
	int failed = 0;

	seed = test_seed(0);
	if (test_allocator() == ZS_ZSPAGE)
		failed = cmocka_run_group_tests(zspages, NULL, NULL);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
