/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: ages: what makes a page young, how it grows old and how surely, idle marks, the
 * histogram, and that the hand waits for no one and takes no memory.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "device/device-types.h"
#include "device/store.h"
#include "tests/device/store.h"

#define PAGES (3 * SLOTS_PER_LEAF)

static struct rng rng;

static slot_word word_of(const struct device *d, uint64_t page)
{
	return slot_peek(&d->slots[page]);
}

static unsigned int age_of(const struct device *d, uint64_t page)
{
	assert_int_equal(slot_state(word_of(d, page)), SLOT_POOL);
	return slot_age(word_of(d, page));
}

static void put(struct device *d, uint64_t page)
{
	uint8_t content[PAGE];

	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	write_page(d, page, content);
}

/* All of one pass, at this many ticks after the last. */
static void pass(struct device *d, uint64_t ticks)
{
	uint64_t tick = d->ages.tick + ticks;

	while (age_step(d, tick))
		;
	assert_int_equal(d->ages.tick, tick);
}

static uint64_t pages_of_age(struct device *d, unsigned int age)
{
	struct device_age ages[DEVICE_AGES];

	device_get_ages(d, ages);
	return ages[age].pages;
}

static uint64_t mark_idle(struct device *d, uint64_t seconds)
{
	uint64_t pages;

	assert_int_equal(device_idle(d, seconds, &pages), 0);
	return pages;
}

/* Whatever reads or writes a page makes it young, and nothing else does. */
static void test_touch(void **state)
{
	struct device *d = device_of_size(PAGES * PAGE);
	uint8_t buf[2 * PAGE] = {1};

	for (uint64_t page = 0; page < 8; page++)
		put(d, page);
	assert_int_equal(mark_idle(d, 0), 8);
	assert_int_equal(device_read(d, buf, 0, 2 * PAGE), 0);
	assert_int_equal(device_read(d, buf, 2 * PAGE + 5, 1), 0);
	assert_int_equal(device_write(d, buf, 3 * PAGE + 9, 2), 0);
	put(d, 4);
	assert_int_equal(device_zero(d, 5 * PAGE + 100, 10), 0);
	assert_int_equal(device_trim(d, 6 * PAGE + 100, 10), 0); /* of a part: nothing */
	assert_int_equal(device_compact(d), 0);
	for (uint64_t page = 0; page < 8; page++)
		assert_int_equal(age_of(d, page), page < 6 ? 0 : AGE_MAX);
	device_end(d);
}

/* Touched at any time, a page is of the ages that the table in age.h says, at any time after. */
static void test_bounds(void **state)
{
	struct device *d = device_of_size(PAGES * PAGE);

	put(d, 0);
	d->ages.tick = d->ages.goal = rng_below(&rng, 1 << 20);
	for (int i = 0; i < 200; i++) {
		/* A tick's work comes after the touch: so it may be so much less, in ticks. */
		uint64_t ticks = 0, most = rng_between(&rng, 1, 300);

		pass(d, rng_between(&rng, 1, 20));
		assert_int_equal(device_read(d, (uint8_t[1]){0}, 0, 1), 0);
		while (ticks < most) {
			/* Now and then the hand is late. */
			uint64_t step = rng_chance(&rng, 20) ? rng_between(&rng, 2, 9) : 1;
			uint64_t before = ticks;
			unsigned int age;

			pass(d, step);
			ticks += step;
			age = age_of(d, 0);
			assert_true(age_seconds(age) <= (ticks - 1) * AGE_TICK);
			/* Of the first pass no more is known than that there was one. */
			if (before == 0)
				most += step, ticks = 1;
			assert_true(ticks < UINT64_C(1) << (age + 1));
		}
	}
	device_end(d);
}

static void test_seconds(void **state)
{
	static const uint64_t least[] = {0,    0,    16,   48,	  112,	 240,	496,	1008,
					 2032, 4080, 8176, 16368, 32752, 65520, 131056, 262128};

	for (unsigned int age = 0; age <= AGE_MAX; age++)
		assert_int_equal(age_seconds(age), least[age]);
	assert_int_equal(age_of_seconds(0), 0);
	assert_int_equal(age_of_seconds(1), 2);
	assert_int_equal(age_of_seconds(16), 2);
	assert_int_equal(age_of_seconds(17), 3);
	assert_int_equal(age_of_seconds(262128), AGE_MAX);
	assert_true(age_of_seconds(262129) > AGE_MAX);
	assert_true(age_of_seconds(UINT64_MAX) > AGE_MAX);
	assert_int_equal(device_idle_max(), 262128);
}

/* By age, as zram does: what is younger is left alone; what is marked stays so until it is touched. */
static void test_idle(void **state)
{
	struct device *d = device_of_size(PAGES * PAGE);
	uint64_t none;

	d->ages.tick = d->ages.goal = 0;
	put(d, 0);
	pass(d, 1);
	pass(d, 1);
	pass(d, 2); /* ages 1, 2, 3 */
	put(d, 1);
	pass(d, 1);
	put(d, 2);
	assert_int_equal(age_of(d, 0), 3);
	assert_int_equal(age_of(d, 1), 1);
	assert_int_equal(mark_idle(d, 48), 1);
	assert_int_equal(age_of(d, 0), AGE_MAX);
	assert_int_equal(age_of(d, 1), 1);
	assert_int_equal(mark_idle(d, 262128), 1);
	assert_int_equal(mark_idle(d, 0), 3);
	pass(d, 1);
	assert_int_equal(pages_of_age(d, AGE_MAX), 3);
	put(d, 1);
	assert_int_equal(device_read(d, (uint8_t[PAGE]){0}, 0, PAGE), 0);
	assert_int_equal(mark_idle(d, 1), 1);
	assert_int_equal(device_idle(d, 262129, &none), -ERANGE);
	assert_int_equal(device_idle(d, UINT64_MAX, &none), -ERANGE);
	device_end(d);
}

/* Only pages in the pool have ages: no bit of the others is changed, and none is counted. */
static void test_other_states(void **state)
{
	struct plain_store store = store_make(PAGES * PAGE);
	struct device *d = store_device(&store, PAGES * PAGE);
	uint8_t small[PAGE] = {0}, large[PAGE];
	slot_word before[4];

	memset(large, 0xf7, PAGE);
	write_page(d, 1, small);
	write_page(d, 2, large);
	put(d, 3);
	d->slots[3] = SLOT_DAMAGED;
	put(d, 4);
	for (uint64_t page = 0; page < 4; page++)
		before[page] = word_of(d, page);
	assert_true(slot_interned(before[2]));
	assert_int_equal(mark_idle(d, 0), 1);
	pass(d, 5);
	for (uint64_t page = 0; page < 4; page++)
		assert_int_equal(word_of(d, page), before[page]);
	assert_page(d, 1, small);
	assert_page(d, 2, large);
	device_free(d);
	store_end(&store);
}

/* A page that is busy is being touched: it is not waited for. */
static void test_busy(void **state)
{
	struct device *d = device_of_size(PAGES * PAGE);
	slot_word word;

	put(d, 0);
	put(d, 1);
	assert_true(slot_trylock(&d->slots[0], &word));
	pass(d, 1);
	assert_int_equal(mark_idle(d, 0), 1);
	slot_unlock(&d->slots[0], slot_parking(d, 0), word);
	assert_int_equal(age_of(d, 0), 0);
	assert_int_equal(age_of(d, 1), AGE_MAX);
	device_end(d);
}

/* Leaves that nobody has used are not looked at, so that they take no memory. */
static void test_untouched(void **state)
{
	struct device *d = device_of_size(1024 * SLOTS_PER_LEAF * PAGE);
	uint64_t metadata;
	uint8_t resident[1024];
	unsigned int leaves = 0;

	put(d, 700 * SLOTS_PER_LEAF);
	metadata = stats_of(d).metadata;
	pass(d, 1);
	assert_int_equal(mark_idle(d, 0), 1);
	assert_int_equal(stats_of(d).metadata, metadata);
	assert_int_equal(os_resident(d->slots, d->slots_bytes, resident), 0);
	for (unsigned int i = 0; i < 1024; i++)
		leaves += resident[i] & 1;
	assert_int_equal(leaves, 1);
	device_end(d);
}

/* A pass is many steps; what is marked meanwhile is counted, and not lost to the pass's own count. */
static void test_histogram(void **state)
{
	const uint64_t leaves = 2 * AGE_STEP + 7;
	struct device *d = device_of_size(leaves * SLOTS_PER_LEAF * PAGE);

	put(d, 0);
	put(d, AGE_STEP * SLOTS_PER_LEAF);
	put(d, leaves * SLOTS_PER_LEAF - 1);
	d->ages.tick = d->ages.goal = 0;
	assert_int_equal(pages_of_age(d, 0), 0);
	pass(d, 1);
	assert_int_equal(pages_of_age(d, 1), 3);
	put(d, 0);
	assert_true(age_step(d, 2));
	assert_int_equal(pages_of_age(d, 1), 3); /* of the last pass that was finished */
	assert_true(age_step(d, 3));
	assert_false(age_step(d, 3));
	assert_int_equal(pages_of_age(d, 1), 1);
	assert_int_equal(pages_of_age(d, 2), 2);
	assert_true(age_step(d, 4));
	assert_int_equal(mark_idle(d, 0), 3);
	while (age_step(d, 4))
		;
	assert_int_equal(pages_of_age(d, AGE_MAX), 3);
	put(d, 0);
	pass(d, 1);
	assert_int_equal(pages_of_age(d, AGE_MAX), 2);
	assert_int_equal(pages_of_age(d, 1), 1);
	device_end(d);
}

/* When a page may have been touched or not, the number of rises tells. */
static void test_rises(void **state)
{
	struct device *d = device_of_size(PAGES * PAGE);
	uint64_t rises = age_rises(&d->ages);

	put(d, 0);
	assert_int_equal(age_rises(&d->ages), rises);
	pass(d, 1);
	assert_int_not_equal(age_rises(&d->ages), rises);
	rises = age_rises(&d->ages);
	assert_false(age_step(d, d->ages.tick));
	assert_int_equal(age_rises(&d->ages), rises);
	mark_idle(d, 0);
	assert_int_not_equal(age_rises(&d->ages), rises);
	device_end(d);
}

struct rememberer {
	struct device *device;
	pid_t thread;  /* atomic; 0: not yet */
	uint32_t done; /* atomic */
	uint64_t number;
};

static void *remember(void *opaque)
{
	struct rememberer *r = opaque;

	__atomic_store_n(&r->thread, gettid(), __ATOMIC_SEQ_CST);
	r->number = age_remember(&r->device->ages, false);
	__atomic_store_n(&r->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool is_asleep(pid_t thread)
{
	char path[64], line[256] = "";
	const char *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	file = fopen(path, "re");
	if (!file)
		return false;
	state = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	fclose(file);
	return state && state[2] == 'S';
}

/* While ages are being raised the number is not to be had: those still to come would not show in it. */
static void test_remember(void **state)
{
	struct device *d = device_of_size(PAGES * PAGE);
	struct rememberer r = {.device = d};
	pthread_t thread;
	pid_t id;

	pthread_mutex_lock(&d->ages.lock);
	assert_int_equal(pthread_create(&thread, NULL, remember, &r), 0);
	do
		id = __atomic_load_n(&r.thread, __ATOMIC_SEQ_CST);
	while (id == 0 || !(is_asleep(id) || __atomic_load_n(&r.done, __ATOMIC_SEQ_CST)));
	assert_int_equal(__atomic_load_n(&r.done, __ATOMIC_SEQ_CST), 0);
	pthread_mutex_unlock(&d->ages.lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.number, age_rises(&d->ages));
	assert_int_equal(age_remember(&d->ages, true), r.number + 1);
	assert_int_equal(age_rises(&d->ages), r.number + 1);
	device_end(d);
}

/* The mark of what recompression is done with: of all words that a page in the pool can have. */
static void test_tried(void **state)
{
	static const size_t lengths[] = {1, 2, 2048, 3844, PAGE};
	static const uint8_t encodings[] = {CODEC_RAW, CODEC_LZ4, CODEC_ZSTD, 31};

	for (int i = 0; i < 1000; i++) {
		zs_ref ref = i == 0 ? 0 : rng_below(&rng, UINT64_C(1) << ZS_REF_BITS);
		uint8_t encoding = encodings[rng_below(&rng, 4)];
		size_t len = encoding == CODEC_RAW ? PAGE : lengths[rng_below(&rng, 5)];
		slot_word word = slot_aged(slot_pool(ref, len, encoding),
					   (unsigned int)rng_below(&rng, AGE_MAX + 1));
		slot_word tried = slot_with_tried(word);

		assert_false(slot_tried(word));
		assert_true(slot_tried(tried));
		assert_true(slot_tried(slot_moved(tried, 0)) && slot_tried(slot_touched(tried)));
		assert_int_equal(slot_without_tried(tried), word);
		assert_int_equal(slot_state(tried), SLOT_POOL);
		assert_int_equal(slot_state(tried | SLOT_LOCK), SLOT_POOL);
		assert_int_equal(slot_ref(tried), ref);
		assert_int_equal(slot_len(tried), len);
		assert_int_equal(slot_encoding(tried), encoding);
		assert_int_equal(slot_age(tried), slot_age(word));
	}
	assert_int_equal(slot_state(0), SLOT_EMPTY);
	assert_int_equal(slot_state(SLOT_LOCK), SLOT_EMPTY);
	assert_false(slot_tried(slot_same(0, false)) || slot_tried(SLOT_DAMAGED));
}

/* They stand in the slots, so they outlive the process; a reader of them all works on. */
static void test_recovered(void **state)
{
	struct plain_store store = store_make(PAGES * PAGE);
	struct device *d = store_device(&store, PAGES * PAGE);
	uint8_t content[16][PAGE];

	for (uint64_t page = 0; page < 16; page++) {
		content_fill(&rng, page % 4 ? CONTENT_TEXT : CONTENT_RANDOM, content[page], PAGE);
		write_page(d, page, content[page]);
		d->slots[page] = slot_aged(d->slots[page], (unsigned int)page);
		if (page % 3 == 0)
			d->slots[page] = slot_with_tried(d->slots[page]);
	}
	device_free(d);
	d = store_device(&store, PAGES * PAGE);
	assert_int_equal(recovery_of(d).pages, 16);
	assert_int_equal(recovery_of(d).damaged, 0);
	for (uint64_t page = 0; page < 16; page++) {
		assert_int_equal(age_of(d, page), page);
		assert_int_equal(slot_tried(word_of(d, page)), page % 3 == 0);
	}
	assert_valid(d);
	for (uint64_t page = 0; page < 16; page++)
		assert_page(d, page, content[page]);
	device_end(d);
	store_end(&store);
}

/* The thread goes round by itself, beginning at once, and ends at once. */
static void test_thread(void **state)
{
	struct device *d = device_of_size(PAGES * PAGE);

	put(d, 0);
	d->ages.tick = d->ages.goal -= 1;
	assert_int_equal(device_start(d), 0);
	while (pages_of_age(d, 1) != 1)
		os_wait(&(uint32_t){0}, 0, 1);
	device_stop(d);
	device_end(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_touch),	     cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_seconds),	     cmocka_unit_test(test_idle),
		cmocka_unit_test(test_other_states), cmocka_unit_test(test_busy),
		cmocka_unit_test(test_untouched),    cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_rises),	     cmocka_unit_test(test_remember),
		cmocka_unit_test(test_tried),	     cmocka_unit_test(test_recovered),
		cmocka_unit_test(test_thread),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
