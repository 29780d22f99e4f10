/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a device's dictionaries: trained from its pages, counted, retired when nothing names
 * them and while others read; recovered from a store, where a broken one costs its own pages alone.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "device/store.h"
#include "tests/device/store.h"
#include "tests/lib/trainer.h"

#define SIZE	(4 * MIB)
#define PAGES	(SIZE / PAGE)
#define TRAINED 600 /* pages that have something in them */

struct world {
	struct plain_store store;
	struct device *device;
	struct trainer trainer;
	struct rng rng;
	uint8_t content[TRAINED][PAGE];
};

static void put(struct world *w, uint64_t page, enum content_kind kind)
{
	content_fill(&w->rng, kind, w->content[page], PAGE);
	write_page(w->device, page, w->content[page]);
}

static void fill(struct world *w, enum content_kind kind)
{
	for (uint64_t page = 0; page < TRAINED; page++)
		put(w, page, kind);
}

static void recompress(struct world *w, uint64_t from, uint64_t to)
{
	for (uint64_t page = from; page < to; page++)
		assert_int_equal(trainer_recompress(&w->trainer, page), 0);
}

static void assert_content(struct world *w)
{
	for (uint64_t page = 0; page < TRAINED; page++)
		assert_page(w->device, page, w->content[page]);
}

static void recover(struct world *w)
{
	trainer_fini(&w->trainer);
	device_end(w->device);
	w->device = store_device(&w->store, SIZE);
	assert_valid(w->device);
	trainer_init(&w->trainer, w->device, "zstd", 1);
}

static struct store_dict *stored(struct world *w, unsigned int generation)
{
	return &store_dicts(w->store.memory)[generation - 1];
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->store = store_make(SIZE);
	w->device = store_device(&w->store, SIZE);
	w->rng = rng_make(test_seed(1));
	trainer_init(&w->trainer, w->device, "zstd", 1);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	trainer_fini(&w->trainer);
	device_end(w->device);
	store_end(&w->store);
	free(w);
	return 0;
}

static void test_a_life(void **state)
{
	struct world *w = *state;
	struct device_stats before, after;

	fill(w, CONTENT_TEXT);
	assert_int_equal(dicts_newest(w->device), 0);
	recompress(w, 0, TRAINED);
	before = stats_of(w->device);
	assert_int_equal(before.pages_dict + before.dicts, 0);
	assert_int_equal(trainer_train(&w->trainer), 1);
	assert_int_equal(dicts_newest(w->device), 1);
	recompress(w, 0, TRAINED);
	after = stats_of(w->device);
	assert_int_equal(after.pages_dict, TRAINED);
	assert_int_equal(dicts_objects(w->device, 1), TRAINED);
	assert_true(after.payload < before.payload);
	assert_true(after.dicts > 0);
	assert_content(w);

	/* It is the newest, and in use: not even without an object is it given back. */
	assert_int_equal(device_trim(w->device, 0, SIZE), 0);
	assert_int_equal(dicts_objects(w->device, 1), 0);
	assert_int_equal(dicts_retire(w->device), 0);
	assert_int_equal(dicts_newest(w->device), 1);
}

static void test_retired_with_the_last_object(void **state)
{
	struct world *w = *state;

	fill(w, CONTENT_TEXT);
	assert_int_equal(trainer_train(&w->trainer), 1);
	recompress(w, 0, 3);
	assert_int_equal(trainer_train(&w->trainer), 2);
	recompress(w, 1, TRAINED);
	assert_int_equal(dicts_objects(w->device, 1), 1);
	assert_int_equal(dicts_retire(w->device), 0);
	assert_content(w);
	put(w, 0, CONTENT_TEXT);
	assert_int_equal(stored(w, 1)->state, STORE_DICT_LIVE);
	assert_int_equal(dicts_retire(w->device), 1);
	assert_int_equal(dicts_retire(w->device), 0);
	assert_int_equal(stored(w, 1)->state, STORE_DICT_NONE);
	assert_content(w);
	recover(w);
	assert_int_equal(dicts_newest(w->device), 2);
	assert_content(w);
}

static void test_three_at_most(void **state)
{
	struct world *w = *state;
	uint64_t memory;

	fill(w, CONTENT_TEXT);
	for (int generation = 1; generation <= DICT_GENERATIONS; generation++) {
		assert_int_equal(trainer_train(&w->trainer), generation);
		recompress(w, (uint64_t)generation * 10, TRAINED);
	}
	assert_int_equal(trainer_train(&w->trainer), -EBUSY);
	memory = stats_of(w->device).dicts;
	assert_content(w);
	assert_int_equal(device_prefault(w->device), 0);
	recompress(w, 0, TRAINED);
	assert_int_equal(dicts_retire(w->device), 2);
	assert_true(stats_of(w->device).dicts < memory / 2);
	assert_content(w);
	/* Numbers come again; the newest is so by its age. */
	assert_int_equal(trainer_train(&w->trainer), 1);
	recompress(w, 0, TRAINED / 2);
	recover(w);
	assert_int_equal(dicts_newest(w->device), 1);
	assert_int_equal(dicts_objects(w->device, 1), TRAINED / 2);
	assert_int_equal(dicts_objects(w->device, 3), TRAINED - TRAINED / 2);
	assert_content(w);
}

static int refuse_to_read(void *opaque, uint64_t page, void *buf)
{
	return -EIO;
}

static bool stop(void *opaque)
{
	unsigned int *left = opaque;

	return *left == 0 || --*left == 0;
}

static int read_zeros(void *opaque, uint64_t page, void *buf)
{
	memset(buf, 0, PAGE);
	return 0;
}

static void test_not_trained(void **state)
{
	struct world *w = *state;
	unsigned int left;
	struct dicts_source source = {.read = refuse_to_read};
	struct dicts_source stopped = {.read = read_zeros, .stop = stop, .opaque = &left};

	assert_int_equal(trainer_train(&w->trainer), -ENODATA);
	for (uint64_t page = 0; page < DICT_PAGES_MIN - 1; page++)
		put(w, page, CONTENT_TEXT);
	assert_int_equal(trainer_train(&w->trainer), -ENODATA);
	fill(w, CONTENT_RANDOM);
	assert_int_equal(trainer_train(&w->trainer), -ENODATA);
	fill(w, CONTENT_TEXT);
	assert_int_equal(dicts_train(w->device, 1, &source), -ENODATA);
	assert_int_equal(dicts_train(w->device, 100, &source), -EINVAL);
	for (left = 0; left < 300; left += 100) {
		unsigned int asked = left;

		assert_int_equal(dicts_train(w->device, 1, &stopped), -EINTR);
		left = asked;
	}
	assert_int_equal(dicts_newest(w->device), 0);
	assert_int_equal(stats_of(w->device).dicts, 0);
	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++)
		assert_int_equal(stored(w, generation)->state, STORE_DICT_NONE);
}

/* What is made for requests later can read them too. */
static void test_other_streams(void **state)
{
	struct world *w = *state;
	struct device_settings settings;

	fill(w, CONTENT_TEXT);
	assert_int_equal(trainer_train(&w->trainer), 1);
	recompress(w, 0, TRAINED);
	device_get_settings(w->device, &settings);
	assert_int_equal(codec_method_init(&settings.method, "zstd", NULL), 0);
	assert_int_equal(device_set(w->device, &settings), 0);
	assert_content(w);
	/* A part of such a page is written as the device compresses. */
	assert_int_equal(device_write(w->device, "part", 5 * PAGE + 77, 4), 0);
	memcpy(w->content[5] + 77, "part", 4);
	assert_content(w);
	assert_int_equal(dicts_objects(w->device, 1), TRAINED - 1);
}

/* Of lz4 no page is compressed with one, and none is in use. */
static void test_trainer_of_lz4(void **state)
{
	struct world *w = *state;

	fill(w, CONTENT_TEXT);
	assert_int_equal(trainer_train(&w->trainer), 1);
	trainer_fini(&w->trainer);
	trainer_init(&w->trainer, w->device, "lz4", 1);
	recompress(w, 0, TRAINED);
	assert_int_equal(stats_of(w->device).pages_dict, 0);
	assert_content(w);
}

/* While any stream compresses with it, it stays, objects or not. */
static void test_kept_for_its_user(void **state)
{
	struct world *w = *state;
	struct trainer other, lz4;

	fill(w, CONTENT_TEXT);
	assert_int_equal(trainer_train(&w->trainer), 1);
	trainer_init(&other, w->device, "zstd", 3);
	assert_int_equal(trainer_train(&w->trainer), 2);
	trainer_init(&lz4, w->device, "lz4", 1);
	assert_int_equal(dicts_retire(w->device), 0);
	assert_int_equal(trainer_recompress(&other, 1), 0);
	assert_int_equal(dicts_objects(w->device, 1), 1);
	assert_content(w);
	assert_int_equal(dicts_use(w->device, other.codec), 2);
	assert_int_equal(dicts_retire(w->device), 0);
	assert_int_equal(trainer_recompress(&other, 1), 0);
	assert_int_equal(dicts_retire(w->device), 1);
	assert_content(w);
	trainer_fini(&other);
	trainer_fini(&lz4);
}

/* Pages of generation 1 up to MIDDLE, of 2 beyond. */
#define MIDDLE 50

static void two_generations(struct world *w)
{
	fill(w, CONTENT_TEXT);
	assert_int_equal(trainer_train(&w->trainer), 1);
	recompress(w, 0, MIDDLE);
	assert_int_equal(trainer_train(&w->trainer), 2);
	recompress(w, MIDDLE, TRAINED - 100);
}

static void test_recovered(void **state)
{
	struct world *w = *state;
	struct device_stats before, after;

	two_generations(w);
	before = stats_of(w->device);
	recover(w);
	after = stats_of(w->device);
	assert_int_equal(after.pages_dict, before.pages_dict);
	assert_int_equal(after.dicts, before.dicts);
	assert_int_equal(after.pages_damaged, 0);
	assert_int_equal(dicts_newest(w->device), 2);
	assert_content(w);
	recompress(w, 0, TRAINED);
	assert_int_equal(dicts_retire(w->device), 1);
	assert_content(w);
}

/* After the first generation was broken: its pages are damaged, again and again, until written. */
static void assert_first_is_lost(struct world *w)
{
	uint8_t found[PAGE];

	for (unsigned int times = 0; times < 2; times++) {
		recover(w);
		assert_int_equal(stats_of(w->device).pages_damaged, MIDDLE);
		assert_int_equal(stored(w, 1)->state, STORE_DICT_NONE);
		for (uint64_t page = 0; page < TRAINED; page++)
			if (page < MIDDLE)
				assert_int_equal(device_read(w->device, found, page * PAGE, PAGE),
						 -EIO);
			else
				assert_page(w->device, page, w->content[page]);
	}
	for (uint64_t page = 0; page < MIDDLE; page++)
		put(w, page, CONTENT_TEXT);
	recover(w);
	assert_int_equal(stats_of(w->device).pages_damaged, 0);
	assert_content(w);
	assert_int_equal(trainer_train(&w->trainer), 1);
	recompress(w, 0, TRAINED);
	assert_content(w);
}

static void test_broken_bytes(void **state)
{
	struct world *w = *state;

	two_generations(w);
	stored(w, 1)->bytes[stored(w, 1)->len - 1] ^= 1;
	assert_first_is_lost(w);
}

static void test_broken_length(void **state)
{
	struct world *w = *state;

	two_generations(w);
	stored(w, 1)->len = UINT32_MAX;
	assert_first_is_lost(w);
}

static void test_broken_state(void **state)
{
	struct world *w = *state;

	two_generations(w);
	stored(w, 1)->state = STORE_DICT_NONE;
	assert_first_is_lost(w);
}

static void test_broken_sequence(void **state)
{
	struct world *w = *state;

	two_generations(w);
	stored(w, 1)->sequence += 5;
	assert_first_is_lost(w);
}

/* As a kill leaves it that came before the dictionary was live. */
static void test_never_live(void **state)
{
	struct world *w = *state;

	two_generations(w);
	rng_bytes(&w->rng, stored(w, 3)->bytes, 1000);
	stored(w, 3)->len = 1000;
	recover(w);
	assert_int_equal(stats_of(w->device).pages_damaged, 0);
	assert_content(w);
	assert_int_equal(trainer_train(&w->trainer), 3);
}

static _Atomic bool quiet;

static void *read_on(void *opaque)
{
	struct world *w = opaque;
	struct rng rng = rng_make(7);
	uint8_t found[PAGE];

	while (!quiet) {
		uint64_t page = rng_below(&rng, TRAINED);

		assert_int_equal(device_read(w->device, found, page * PAGE, PAGE), 0);
		assert_memory_equal(found, w->content[page], PAGE);
	}
	return NULL;
}

/* The same content again, so that readers know it: objects go, and others come. */
static void *write_on(void *opaque)
{
	struct world *w = opaque;
	struct rng rng = rng_make(8);

	while (!quiet) {
		uint64_t page = rng_below(&rng, TRAINED);

		write_page(w->device, page, w->content[page]);
	}
	return NULL;
}

static void test_while_others_read(void **state)
{
	struct world *w = *state;
	pthread_t threads[3];
	unsigned int retired = 0;

	fill(w, CONTENT_TEXT);
	quiet = false;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i == 0 ? write_on : read_on, w),
				 0);
	for (unsigned int made = 0; made < 12;) {
		int r = trainer_train(&w->trainer);

		assert_true(r > 0 || r == -EBUSY);
		made += r > 0;
		recompress(w, 0, TRAINED);
		retired += dicts_retire(w->device);
	}
	quiet = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(retired >= 12 - DICT_GENERATIONS);
	assert_content(w);
}

static _Atomic bool retired;

static void *retire(void *opaque)
{
	struct world *w = opaque;

	assert_int_equal(dicts_retire(w->device), 1);
	retired = true;
	return NULL;
}

/* Who took a stream before may still be reading with what he has found in the table. */
static void test_waits_for_streams(void **state)
{
	struct world *w = *state;
	struct stream *stream;
	const struct dict *found;
	pthread_t thread;
	size_t len;

	two_generations(w);
	assert_int_equal(device_trim(w->device, 0, MIDDLE * PAGE), 0);
	memset(w->content, 0, MIDDLE * PAGE);
	stream = stream_get(w->device);
	found = dict_table_get(&w->device->dicts.table, 1);
	retired = false;
	assert_int_equal(pthread_create(&thread, NULL, retire, w), 0);
	while (!(load_relaxed(&stream->state) & STREAM_WANTED) && !retired)
		sched_yield();
	assert_false(retired);
	assert_null(dict_table_get(&w->device->dicts.table, 1));
	assert_non_null(dict_bytes(found, &len));
	stream_put(w->device, stream);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(retired);
	assert_content(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retired_with_the_last_object, setup, teardown),
		cmocka_unit_test_setup_teardown(test_three_at_most, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_trained, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trainer_of_lz4, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_for_its_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recovered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_sequence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_live, setup, teardown),
		cmocka_unit_test_setup_teardown(test_while_others_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_streams, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
