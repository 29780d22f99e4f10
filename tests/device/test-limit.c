/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: near the limit writes are slowed as long as that may help, at it they are held until there is
 * room, by compaction before anything else, and refused after a bounded wait, or at once where nothing is to
 * be won; reads go on; a limit that is lowered in use is reached.
 */
#include "allocator/zs-types.h"
#include "device/device-types.h"
#include "tests/device/limited.h"
#include "tests/lib/check.h"

#define SIZE  (64 * MIB)
#define LOWER (LIMIT / 8 * 5)
#define FRESH (SIZE / PAGE / 2) /* a page that nobody else writes, and those behind it */

static void drop(struct device *device, uint64_t number)
{
	assert_int_equal(device_trim(device, number * PAGE, PAGE), 0);
}

/* Nothing is compacted but at the limit. One stream: whoever keeps it keeps all others waiting. */
static struct device *limited(bool start)
{
	struct device_options options = options_make(SIZE);
	struct device *device;

	options.mem_limit = LIMIT;
	options.streams = 1;
	device = device_make(&options);
	if (start)
		assert_int_equal(device_start(device), 0);
	return device;
}

static void end(struct device *device)
{
	device_stop(device);
	device_end(device);
}

/* Of what is thinned out: one in four; of zbud's pages, which have two objects, one. */
static bool stays(uint64_t number)
{
	return number % (test_allocator() == ZS_ZBUD ? 2 : 4) == 0;
}

/* So many raw pages fit into what compaction frees then. */
static uint64_t freed_pages(void)
{
	return test_allocator() == ZS_ZBUD ? LIMIT / PAGE / 8 * 3 : LIMIT / PAGE / 2;
}

/* Of these pages leave some, in every zspage. */
static void thin_out(struct device *device, uint64_t n)
{
	for (uint64_t number = 0; number < n; number++)
		if (!stays(number))
			drop(device, number);
}

static void assert_thinned_out(struct device *device, uint64_t n)
{
	for (uint64_t number = 0; number < n; number++) {
		if (stays(number))
			assert_put(device, number, 1, SMALL);
		else
			assert_zeros(device, number * PAGE, PAGE);
	}
}

static uint32_t turns(struct device *device)
{
	return __atomic_load_n(&device->limit.turns, __ATOMIC_SEQ_CST);
}

/* Wait until there have been more than TAKEN. */
static void await_turn(struct device *device, uint32_t taken)
{
	AWAIT(turns(device) != taken);
}

/* A thread that writes one page. */
struct writer {
	struct device *device;
	uint64_t number;
	size_t len;
	int result;
	uint32_t done; /* atomic */
	pthread_t thread;
};

static void *write_one(void *opaque)
{
	struct writer *w = opaque;

	w->result = put(w->device, w->number, w->len);
	__atomic_store_n(&w->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* From then on it waits for room. */
static void writer_begin(struct writer *w, struct device *device, uint64_t number, size_t len)
{
	struct parking *parking = zs_room_parking(device->pool);

	*w = (struct writer){.device = device, .number = number, .len = len};
	assert_int_equal(pthread_create(&w->thread, NULL, write_one, w), 0);
	AWAIT(__atomic_load_n(&parking->waiters, __ATOMIC_SEQ_CST) > 0);
}

static void assert_held(struct writer *w)
{
	assert_int_equal(__atomic_load_n(&w->done, __ATOMIC_SEQ_CST), 0);
}

static int writer_end(struct writer *w)
{
	alarm(TIME_TO_HANG);
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	alarm(0);
	return w->result;
}

/* The relief thread comes no further than to its next compaction, and has hope of it. */
static void stop_compaction(struct device *device)
{
	pthread_mutex_lock(&device->pool->mover_lock);
	set_limit(device, stats_of(device).mem_limit);
}

static void go_on(struct device *device)
{
	pthread_mutex_unlock(&device->pool->mover_lock);
}

/* Compaction gives room, though the limit was reached: nothing is refused before that. */
static void compaction_first(bool start)
{
	struct device *device = limited(start);
	struct device_stats before, after;
	uint64_t full;

	device->limit.hold_ms = FOREVER_MS;
	full = fill(device, 0, SMALL);
	thin_out(device, full);
	before = stats_of(device);
	assert_int_equal(before.writes_refused, 1);
	assert_true(before.pool > LIMIT * 7 / 8);
	/* There is nothing for a raw page but what compaction frees. */
	for (uint64_t i = 0; i < freed_pages(); i++)
		assert_int_equal(put(device, FRESH + i, PAGE), 0);
	after = stats_of(device);
	assert_int_equal(after.writes_refused, 1);
	assert_int_equal(after.failed_writes, 1);
	assert_true(after.writes_slowed > before.writes_slowed);
	assert_true(after.slowed_ns > before.slowed_ns);
	assert_true(after.pages_compacted > 0);
	assert_true(after.pool_max <= LIMIT);
	assert_thinned_out(device, full);
	/* When there is no more to be had, that is said. */
	for (uint64_t i = freed_pages(); put(device, FRESH + i, PAGE) == 0; i++)
		assert_true(i < LIMIT / PAGE);
	assert_int_equal(stats_of(device).writes_refused, 2);
	end(device);
}

static void test_compaction_first(void **state)
{
	compaction_first(false);
	compaction_first(true);
}

/* With one stream for all: reads, and writes that take no memory, go on while a writer is held. */
static void test_others_go_on(void **state)
{
	struct device *device = limited(true);
	uint64_t full = fill(device, 0, PAGE);
	struct writer writer;
	uint8_t same[PAGE];

	device->limit.hold_ms = FOREVER_MS;
	stop_compaction(device);
	writer_begin(&writer, device, FRESH, PAGE);
	alarm(TIME_TO_HANG);
	for (uint64_t number = 0; number < full; number++)
		assert_put(device, number, 1, PAGE);
	alarm(0);
	memset(same, 0x5a, PAGE);
	write_page(device, FRESH + 1, same);
	assert_page(device, FRESH + 1, same);
	assert_zeros(device, FRESH * PAGE, PAGE);
	assert_held(&writer);
	/* The place that comes free is its own, without the thread that is stuck. */
	drop(device, 0);
	assert_int_equal(writer_end(&writer), 0);
	assert_put(device, FRESH, 1, PAGE);
	assert_int_equal(stats_of(device).failed_reads, 0);
	go_on(device);
	end(device);
}

/* A held writer is told when nothing is to be won. */
static void test_told(void **state)
{
	struct device *device = limited(true);
	uint64_t full = fill(device, 0, PAGE);
	struct device_stats before = stats_of(device), after;
	struct writer writer;

	device->limit.hold_ms = FOREVER_MS;
	stop_compaction(device);
	writer_begin(&writer, device, FRESH, PAGE);
	assert_held(&writer);
	go_on(device);
	assert_int_equal(writer_end(&writer), -ENOSPC);
	after = stats_of(device);
	assert_int_equal(after.writes_refused, before.writes_refused + 1);
	assert_int_equal(after.writes_slowed, before.writes_slowed + 1);
	for (uint64_t number = 0; number < full; number++)
		assert_put(device, number, 1, PAGE);
	end(device);
}

/* From then on others are refused without a wait or a turn, until enough has been freed. */
static void test_refused_at_once(void **state)
{
	struct device *device = limited(true);
	uint64_t full;
	struct device_stats before, after;
	uint32_t taken;

	device->limit.hold_ms = FOREVER_MS;
	full = fill(device, 0, SMALL);
	assert_int_equal(put(device, FRESH, PAGE), -ENOSPC);
	before = stats_of(device);
	taken = turns(device);
	for (int i = 0; i < 200; i++)
		assert_int_equal(put(device, FRESH, PAGE), -ENOSPC);
	after = stats_of(device);
	assert_int_equal(turns(device), taken);
	assert_int_equal(after.writes_slowed, before.writes_slowed);
	assert_int_equal(after.writes_refused, before.writes_refused + 200);
	/* In every zspage: hardly any comes free by itself. */
	thin_out(device, full);
	for (uint64_t i = 0; i < freed_pages(); i++)
		assert_int_equal(put(device, FRESH + i, PAGE), 0);
	/* It may be that it is not over yet: what it wins is had at once. */
	await_turn(device, taken);
	assert_int_equal(stats_of(device).writes_refused, before.writes_refused + 200);
	end(device);
}

/*
 * The wait has an end, though it never becomes known whether anything is to be won; and it is the same for all
 * that come behind.
 */
static void test_bounded(void **state)
{
	struct device *device = limited(true);
	struct device_stats before, after;
	uint32_t taken;

	fill(device, 0, PAGE);
	device->limit.hold_ms = 20;
	device->limit.slow_ms = 0;
	stop_compaction(device);
	before = stats_of(device);
	taken = turns(device);
	assert_int_equal(put(device, FRESH, PAGE), -ENOSPC);
	assert_int_equal(stats_of(device).writes_slowed, before.writes_slowed + 1);
	for (int i = 0; i < 50; i++)
		assert_int_equal(put(device, FRESH, PAGE), -ENOSPC);
	after = stats_of(device);
	assert_int_equal(after.writes_slowed, before.writes_slowed + 1);
	assert_int_equal(after.writes_refused, before.writes_refused + 51);
	/* But for the light one that came of setting the limit. */
	assert_true(turns(device) - taken <= 1);
	go_on(device);
	end(device);
}

static void test_raised(void **state)
{
	struct device *device = limited(true);
	struct writer writer;

	fill(device, 0, PAGE);
	device->limit.hold_ms = FOREVER_MS;
	stop_compaction(device);
	writer_begin(&writer, device, FRESH, PAGE);
	assert_held(&writer);
	set_limit(device, 2 * LIMIT);
	assert_int_equal(writer_end(&writer), 0);
	assert_put(device, FRESH, 1, PAGE);
	go_on(device);
	end(device);
}

/* Without any request: by compaction alone, as far as that goes. */
static void test_lowered(void **state)
{
	struct device *device = limited(true);
	uint64_t full = fill(device, 0, SMALL);

	thin_out(device, full);
	assert_true(stats_of(device).pool > LOWER);
	set_limit(device, LOWER);
	AWAIT(stats_of(device).pool <= LOWER);
	assert_thinned_out(device, full);
	assert_int_equal(put(device, FRESH, PAGE), 0);
	end(device);
}

/* A limit that cannot be reached so is reached when enough is trimmed, which nobody has to say. */
static void test_lowered_too_far(void **state)
{
	struct device *device = limited(true);
	uint64_t full = fill(device, 0, SMALL);
	uint32_t taken = turns(device);

	set_limit(device, LOWER);
	await_turn(device, taken);
	assert_true(stats_of(device).pool > LOWER);
	assert_int_equal(put(device, FRESH, PAGE), -ENOSPC);
	thin_out(device, full);
	AWAIT(stats_of(device).pool <= LOWER);
	assert_thinned_out(device, full);
	end(device);
}

/* Until less is left than a quarter of the band. How many pages it took. */
static uint64_t fill_nearly(struct device *device)
{
	uint64_t n = 0;

	while (LIMIT - stats_of(device).pool >= LIMIT / 16 / 4)
		assert_int_equal(put(device, n++, SMALL), 0);
	return n;
}

static void set_compact(struct device *device, bool compact)
{
	struct device_settings settings;

	device_get_settings(device, &settings);
	settings.auto_compact = compact;
	assert_int_equal(device_set(device, &settings), 0);
}

/* Near the limit: as long as there may be something to win. */
static void test_slowed(void **state)
{
	struct device *device = limited(true);
	struct device_stats before;
	uint64_t n = fill_nearly(device);
	uint32_t taken;

	/* There is nothing to win: when that has been found, writes go at full speed. */
	await_turn(device, 0);
	before = stats_of(device);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(put(device, n++, SMALL), 0);
	assert_int_equal(stats_of(device).writes_slowed, before.writes_slowed);
	assert_int_equal(before.writes_refused, 0);

	pthread_mutex_lock(&device->pool->mover_lock);
	thin_out(device, n);
	set_compact(device, true);
	taken = turns(device);
	for (uint64_t i = 1; i <= 5; i++) {
		assert_int_equal(put(device, 4 * i - 1, SMALL), 0);
		assert_int_equal(stats_of(device).writes_slowed, before.writes_slowed + i);
	}
	assert_true(stats_of(device).slowed_ns > before.slowed_ns);
	/* Never longer than it may take in all. */
	device->limit.hold_ms = 0;
	assert_int_equal(put(device, 1, SMALL), 0);
	assert_int_equal(stats_of(device).writes_slowed, before.writes_slowed + 5);
	device->limit.hold_ms = LIMIT_HOLD_MS;
	assert_int_equal(turns(device), taken);
	go_on(device);

	/* When there is enough again, or no more to win, that is over. */
	AWAIT(LIMIT - stats_of(device).pool >= LIMIT / 16);
	before = stats_of(device);
	assert_int_equal(put(device, 2, SMALL), 0);
	assert_int_equal(stats_of(device).writes_slowed, before.writes_slowed);
	assert_int_equal(stats_of(device).writes_refused, 0);
	end(device);
}

/* Many at once, at the limit, while others trim: each write is done or refused, whole. */
#define WRITERS 4
#define ROUNDS	300

static void *write_many(void *opaque)
{
	struct writer *w = opaque;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		int r = put(w->device, w->number + i, i % 3 ? PAGE : SMALL);

		CHECK(r == 0 || r == -ENOSPC, "%d", r);
		w->result += r == 0;
		if (i >= 40 && i % 2 == 0)
			CHECK(device_trim(w->device, (w->number + i - 40) * PAGE, 20 * PAGE) == 0,
			      "trim");
	}
	return NULL;
}

static void test_many(void **state)
{
	struct device *device = limited(true);
	struct writer writers[WRITERS];
	uint64_t full = fill(device, 0, PAGE);
	int stored = 0;

	device->limit.hold_ms = 10;
	for (uint64_t number = 0; number < full; number += 8)
		drop(device, number);
	for (unsigned int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.device = device, .number = FRESH + i * ROUNDS};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]),
				 0);
	}
	for (unsigned int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
		stored += writers[i].result;
	}
	assert_true(stored > 0);
	assert_int_equal(stats_of(device).failed_writes, stats_of(device).writes_refused);
	assert_int_equal(stats_of(device).writes_refused, 1 + WRITERS * ROUNDS - stored);
	assert_true(stats_of(device).pool_max <= LIMIT);
	for (uint64_t number = 0; number < full; number++)
		if (number % 8 != 0)
			assert_put(device, number, 1, PAGE);
	end(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compaction_first),
		cmocka_unit_test(test_others_go_on),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_refused_at_once),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_raised),
		cmocka_unit_test(test_lowered),
		cmocka_unit_test(test_lowered_too_far),
		cmocka_unit_test(test_slowed),
		cmocka_unit_test(test_many),
	};

	seed = test_seed(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
