/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what ages, recompression and dictionaries have made of pages is saved and restored as
 * any other, also while they go on.
 */
#include <pthread.h>
#include <unistd.h>

#include "tests/device/saving.h"

static uint64_t count_tried(struct device *device)
{
	uint64_t tried = 0;

	for (uint64_t page = 0; page < PAGES; page++)
		tried += leaf_ready(device, page) && slot_tried(slot_peek(&device->slots[page]));
	return tried;
}

/*
 * Pages that recompression is done with are saved as any others, and keep their marks and ages; what is
 * restored of them is as if just written.
 */
static void test_tried(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct device_recompress order = {.has_method = true};
	struct device_recompressed done;
	struct device_restored restored;
	struct rng rng = rng_make(test_seed(0));
	struct reference reference;
	struct sink image = {0};
	uint64_t tried, idle;
	int level = 6;

	(void)state;
	fill(first, &rng, &reference);
	assert_int_equal(codec_method_init(&order.method, "zstd", &level), 0);
	assert_int_equal(device_recompress(first, &order, &done), 0);
	tried = count_tried(first);
	assert_true(tried > 0 && done.saved > 0);
	assert_int_equal(device_idle(first, 0, &idle), 0);
	assert_int_equal(idle, stats_of(first).pages_pool);

	assert_int_equal(save(first, &image).objects, stats_of(first).pages_pool);
	assert_int_equal(count_tried(first), tried);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	assert_alike(first, second);
	for (uint64_t page = 0; page < PAGES; page++) {
		slot_word word = slot_peek(&first->slots[page]);

		if (leaf_ready(first, page) && slot_state(word) == SLOT_POOL)
			assert_int_equal(slot_age(word), AGE_MAX);
		if (!leaf_ready(second, page))
			continue;
		word = slot_peek(&second->slots[page]);
		assert_false(slot_tried(word));
		if (slot_state(word) == SLOT_POOL)
			assert_int_equal(slot_age(word), 0);
	}
	assert_holds(second, &reference);
	assert_holds(first, &reference);
	assert_valid(second);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

/* Dictionaries for as few pages as there can be, and another as soon as WRITTEN times as many are. */
static void set_training(struct device *device, uint64_t written)
{
	device->background.training.least = DICT_PAGES_MIN;
	device->background.training.turnover = written;
}

static void recompress_by_zstd(struct device *device)
{
	struct device_recompress order = {.has_method = true};
	struct device_recompressed done;
	int level = 3;

	assert_int_equal(codec_method_init(&order.method, "zstd", &level), 0);
	assert_int_equal(device_recompress(device, &order, &done), 0);
}

/* An image has no dictionaries, and none of its pages needs one. */
static void test_dictionaries(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct reference reference;
	struct image_counts counts;
	struct sink image = {0};

	(void)state;
	fill(first, &rng, &reference);
	set_training(first, 1);
	recompress_by_zstd(first);
	assert_true(stats_of(first).pages_dict > 0);
	counts = save(first, &image);
	assert_int_equal(counts.objects, stats_of(first).pages_pool);
	assert_int_equal(counts.damaged, stats_of(first).pages_damaged);
	assert_true(counts.payload > stats_of(first).payload);
	assert_sound(&image);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	assert_int_equal(stats_of(second).pages_dict, 0);
	assert_holds(second, &reference);
	assert_valid(second);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

struct trainee {
	struct device *device;
	uint32_t stop;	  /* atomic */
	uint32_t trained; /* atomic */
};

static void *keep_training(void *opaque)
{
	struct trainee *t = opaque;

	while (__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE) == 0) {
		recompress_by_zstd(t->device);
		__atomic_store_n(&t->trained, dicts_newest(t->device), __ATOMIC_RELEASE);
	}
	return NULL;
}

/* They come and go while it is made. */
static void test_dictionaries_busy(void **state)
{
	struct trainee trainee = {.device = device_of_size(SIZE)};
	struct device *restored = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct reference reference;
	struct device_restored result;
	uint64_t n = test_ops(20);
	pthread_t thread;

	(void)state;
	fill(trainee.device, &rng, &reference);
	set_training(trainee.device, 0);
	assert_int_equal(pthread_create(&thread, NULL, keep_training, &trainee), 0);
	while (__atomic_load_n(&trainee.trained, __ATOMIC_ACQUIRE) == 0)
		usleep(1000);
	for (uint64_t i = 0; i < n; i++) {
		struct sink image = {0};

		assert_int_equal(save(trainee.device, &image).damaged,
				 stats_of(trainee.device).pages_damaged);
		assert_int_equal(restore(restored, true, &image, &result), 0);
		assert_holds(restored, &reference);
		sink_free(&image);
	}
	__atomic_store_n(&trainee.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_valid(trainee.device);
	free(reference.bytes);
	device_end(trainee.device);
	device_end(restored);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tried),
		cmocka_unit_test(test_dictionaries),
		cmocka_unit_test(test_dictionaries_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
