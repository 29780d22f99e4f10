/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: at the limit a device with a backing store writes back before it refuses anything, and a limit
 * that is lowered is reached so; where the store is full or has failed, or a day's allowance is spent, there
 * is compaction alone and then refusal, until it can be written to again.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/device/limited.h"

#define SIZE (128 * MIB)

/* What a test's device is like. */
struct setup {
	uint64_t store;	     /* bytes of the store */
	unsigned int at;     /* writeback-at= */
	uint64_t a_day;	     /* writeback-limit= */
	bool start, failing; /* failing: by an engine whose writes can be made to fail */
};

struct world {
	struct device *device;
	int file; /* the store, in memory */
};

static void world_begin(struct world *w, const struct setup *setup)
{
	struct device_options options = options_make(SIZE);
	char path[64], why[BACKING_WHY] = "";
	const struct backing_options backing = {
		.where = path,
		.name = "test",
		.segment_size = setup->store < 32 * MIB ? 64 * KIB : 0,
		.engine = setup->failing ? BACKING_THREADS : BACKING_AUTO,
	};

	options.mem_limit = LIMIT;
	options.streams = 1; /* whoever keeps it keeps all others waiting */
	options.writeback = (struct device_policy){.at = setup->at, .limit = setup->a_day};
	w->device = device_make(&options);
	w->file = memfd_create("store", MFD_CLOEXEC);
	assert_true(w->file >= 0);
	assert_int_equal(ftruncate(w->file, (off_t)setup->store), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->file);
	if (device_open_backing(w->device, &backing, why) < 0)
		fail_msg("%s", why);
	/* What becomes known decides, and not time. */
	w->device->limit.hold_ms = FOREVER_MS;
	if (setup->start)
		assert_int_equal(device_start(w->device), 0);
}

static void world_end(struct world *w)
{
	device_stop(w->device);
	device_end(w->device);
	close(w->file);
}

static void drop(struct device *device, uint64_t first, uint64_t count, bool backed)
{
	for (uint64_t number = first; number < first + count; number++)
		if (slot_is_backed(slot_peek(&device->slots[number])) == backed)
			assert_int_equal(device_trim(device, number * PAGE, PAGE), 0);
}

/* Write until one is not refused any more, which nobody but time can tell. */
static void await_put(struct device *device, uint64_t number)
{
	int r;

	AWAIT((r = put(device, number, PAGE)) != -ENOSPC);
	assert_int_equal(r, 0);
}

static void change(struct device *device, uint64_t limit, uint64_t a_day)
{
	struct device_settings settings;

	device_get_settings(device, &settings);
	settings.mem_limit = limit;
	settings.writeback.limit = a_day;
	assert_int_equal(device_set(device, &settings), 0);
}

/* Several times what the limit allows. */
static void all_fits(const struct setup *setup, size_t len)
{
	uint64_t pages = 4 * LIMIT / len;
	struct device_stats s;
	struct world w;

	world_begin(&w, setup);
	for (uint64_t number = 0; number < pages; number++)
		assert_int_equal(put(w.device, number, len), 0);
	s = stats_of(w.device);
	assert_int_equal(s.writes_refused, 0);
	assert_int_equal(s.failed_writes, 0);
	assert_true(setup->at > 0 || s.writes_slowed > 0);
	assert_true(s.pool_max <= LIMIT);
	assert_true(s.payload_backing > 2 * LIMIT);
	assert_true(s.backing_written * 100 <= s.written_back_payload * 105);
	assert_put(w.device, 0, pages, len);
	world_end(&w);
}

static void test_all_fits(void **state)
{
	const struct setup setups[] = {
		{.store = 32 * MIB},
		{.store = 32 * MIB, .start = true},
		{.store = 32 * MIB, .start = true, .at = 100},
	};

	for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
		all_fits(&setups[i], PAGE);
		all_fits(&setups[i], SMALL);
	}
}

/* As while a server is handing over, and requests still come: what is done for them does not end. */
static void test_canceled(void **state)
{
	const struct setup setup = {.store = 32 * MIB, .start = true, .at = 90};
	struct world w;

	world_begin(&w, &setup);
	device_cancel(w.device);
	device_stop_background(w.device);
	for (uint64_t number = 0; number < 3 * LIMIT / PAGE; number++)
		assert_int_equal(put(w.device, number, PAGE), 0);
	assert_put(w.device, 0, 3 * LIMIT / PAGE, PAGE);
	world_end(&w);
}

/* When the store is full there is compaction, and nothing else. */
static void full(bool start)
{
	const struct setup setup = {.store = 2 * MIB, .start = start};
	struct device_stats before, after;
	struct world w;
	uint64_t n, more;

	world_begin(&w, &setup);
	n = fill(w.device, 0, SMALL);
	before = stats_of(w.device);
	assert_int_equal(before.writes_refused, 1);
	assert_true(before.payload_backing > MIB);
	for (uint64_t number = 0; number < n; number++)
		if (number % 4 != 0 && !slot_is_backed(slot_peek(&w.device->slots[number])))
			assert_int_equal(device_trim(w.device, number * PAGE, PAGE), 0);
	more = fill(w.device, n, PAGE);
	after = stats_of(w.device);
	assert_int_equal(after.writes_refused, 2);
	assert_true(after.pages_compacted > before.pages_compacted);
	assert_true(more > LIMIT / PAGE / 2);
	/* Room in the store is room again, though nothing of the pool came free. */
	drop(w.device, 0, n, true);
	if (start)
		await_put(w.device, n + more);
	assert_put(w.device, n, more, PAGE);
	world_end(&w);
}

static void test_full(void **state)
{
	full(false);
	full(true);
}

/* Writes beyond the first bytes of the file fail; what is there is read. */
static void set_failing(bool failing)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = failing ? PAGE : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_failed(void **state)
{
	const struct setup setup = {.store = 32 * MIB, .start = true, .failing = true};
	const struct device_writeback order = {.max_pages = 1};
	struct device_written_back done;
	struct device_stats s;
	struct world w;
	uint64_t n;

	signal(SIGXFSZ, SIG_IGN);
	world_begin(&w, &setup);
	for (n = 0; n < 2 * LIMIT / PAGE; n++)
		assert_int_equal(put(w.device, n, PAGE), 0);
	set_failing(true);
	n += fill(w.device, n, PAGE);
	s = stats_of(w.device);
	assert_true(s.backing_write_errors > 0);
	assert_int_equal(s.writes_refused, 1);
	assert_true(s.pages_backing >= LIMIT / PAGE);
	assert_put(w.device, 0, n, PAGE);
	/* Refused at once from then on: there is no other turn. */
	for (int i = 0; i < 100; i++)
		assert_int_equal(put(w.device, n, PAGE), -ENOSPC);
	assert_int_equal(stats_of(w.device).backing_write_errors, s.backing_write_errors);
	set_failing(false);
	assert_int_equal(device_writeback(w.device, &order, &done), 0);
	for (uint64_t i = 0; i < LIMIT / PAGE; i++)
		assert_int_equal(put(w.device, n + i, PAGE), 0);
	assert_put(w.device, 0, n + LIMIT / PAGE, PAGE);
	world_end(&w);
}

static void test_allowance(void **state)
{
	const struct setup setup = {.store = 32 * MIB, .start = true, .a_day = MIB};
	struct device_stats s;
	struct world w;
	uint64_t n;

	world_begin(&w, &setup);
	n = fill(w.device, 0, PAGE);
	s = stats_of(w.device);
	assert_in_range(s.backing_written, MIB / 2, 2 * MIB);
	assert_int_equal(put(w.device, n, PAGE), -ENOSPC);
	change(w.device, LIMIT, 0);
	for (uint64_t i = 0; i < LIMIT / PAGE; i++)
		assert_int_equal(put(w.device, n + i, PAGE), 0);
	assert_put(w.device, 0, n + LIMIT / PAGE, PAGE);
	world_end(&w);
}

/* A limit that is lowered in use is reached without any request, though nothing was trimmed. */
static void lowered(size_t len)
{
	const struct setup setup = {.store = 32 * MIB, .start = true};
	uint64_t pages = LIMIT / 8 * 7 / len;
	struct world w;

	world_begin(&w, &setup);
	for (uint64_t number = 0; number < pages; number++)
		assert_int_equal(put(w.device, number, len), 0);
	assert_true(stats_of(w.device).pool > LIMIT / 2);
	change(w.device, LIMIT / 2, 0);
	AWAIT(stats_of(w.device).pool <= LIMIT / 2);
	assert_int_equal(put(w.device, pages, len), 0);
	assert_int_equal(stats_of(w.device).writes_refused, 0);
	assert_put(w.device, 0, pages + 1, len);
	world_end(&w);
}

static void test_lowered(void **state)
{
	lowered(PAGE);
	lowered(SMALL);
}

/* What the rooms below are asked, by way of the linker. The second: before it is judged what a turn has won. */
void __real_zs_trim(struct zs_pool *pool);
uint64_t __real_zs_returned(struct zs_pool *pool);
void __wrap_zs_trim(struct zs_pool *pool);
uint64_t __wrap_zs_returned(struct zs_pool *pool);

/* Of the next turn: its first step finds room, which others have taken before it is over. */
static enum { PASSING_NOT, PASSING_SOON, PASSING_NOW } passing;

void __wrap_zs_trim(struct zs_pool *pool)
{
	__real_zs_trim(pool);
	if (passing == PASSING_SOON) {
		zs_set(pool, LIMIT + MIB, false);
		passing = PASSING_NOW;
	}
}

uint64_t __wrap_zs_returned(struct zs_pool *pool)
{
	if (passing == PASSING_NOW) {
		zs_set(pool, LIMIT, false);
		passing = PASSING_NOT;
	}
	return __real_zs_returned(pool);
}

/* That a turn found room, and did nothing, does not mean that there is nothing to be won. */
static void test_passing_room(void **state)
{
	const struct setup setup = {.store = 32 * MIB};
	struct world w;
	uint64_t n = 0;

	world_begin(&w, &setup);
	while (stats_of(w.device).pool < LIMIT)
		assert_int_equal(put(w.device, n++, PAGE), 0);
	assert_int_equal(stats_of(w.device).written_back, 0);
	passing = PASSING_SOON;
	assert_int_equal(put(w.device, n, PAGE), 0);
	assert_int_equal(passing, PASSING_NOT);
	assert_true(stats_of(w.device).written_back > 0);
	assert_int_equal(stats_of(w.device).writes_refused, 0);
	assert_put(w.device, 0, n + 1, PAGE);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fits),     cmocka_unit_test(test_canceled),
		cmocka_unit_test(test_full),	     cmocka_unit_test(test_failed),
		cmocka_unit_test(test_allowance),    cmocka_unit_test(test_lowered),
		cmocka_unit_test(test_passing_room),
	};

	seed = test_seed(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
