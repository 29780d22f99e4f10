/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a device with any content, restored from its image, holds the same, stored alike;
 * what is damaged stays so; and requests may go on while it is saved.
 */
#include <pthread.h>

#include "tests/device/saving.h"

static void test_round_trip(void **state)
{
	struct rng rng = rng_make(test_seed(0));

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
		struct sink image = {0}, again = {0};
		struct device_restored restored;
		struct image_counts counts;
		struct reference reference;

		fill(first, &rng, &reference);
		counts = save(first, &image);
		assert_int_equal(counts.objects, stats_of(first).pages_pool);
		assert_int_equal(counts.payload, stats_of(first).payload);
		assert_int_equal(counts.same, stats_of(first).pages_same);
		assert_int_equal(counts.damaged, stats_of(first).pages_damaged);
		assert_true(counts.damaged > 0 && counts.same > 0);
		assert_sound(&image);
		/* Saving has changed nothing. */
		assert_holds(first, &reference);

		image.piece = i % 2 ? 1000 : 0;
		assert_int_equal(restore(second, false, &image, &restored), 0);
		assert_memory_equal(&restored.counts, &counts, sizeof(counts));
		assert_holds(second, &reference);
		assert_alike(first, second);
		assert_valid(second);
		/* The header has a number of its own, and so have all checksums. */
		save(second, &again);
		assert_int_equal(again.size, image.size);
		sink_free(&image);
		sink_free(&again);
		free(reference.bytes);
		device_end(first);
		device_end(second);
	}
}

static void test_empty(void **state)
{
	struct device *device = device_of_size(SIZE);
	struct device_restored restored;
	struct sink image = {0};

	(void)state;
	save(device, &image);
	assert_int_equal(image.size, sizeof(struct image_header) + sizeof(struct image_block) +
					     sizeof(struct image_counts));
	assert_int_equal(restore(device, false, &image, &restored), 0);
	assert_empty(device);
	sink_free(&image);
	device_end(device);
}

/* Into what has something already: refused, or all of that goes. */
static void test_force(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct reference reference;
	uint8_t content[PAGE];
	struct sink image = {0};

	(void)state;
	fill(first, &rng, &reference);
	save(first, &image);
	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	write_page(second, 1500, content);
	assert_int_equal(restore(second, false, &image, &restored), -ENOTEMPTY);
	assert_false(restored.emptied);
	assert_page(second, 1500, content);
	assert_int_equal(restore(second, true, &image, &restored), 0);
	assert_holds(second, &reference);
	assert_alike(first, second);
	/* Zeros that were written are nothing. */
	memset(content, 0, PAGE);
	assert_int_equal(device_trim(second, 0, SIZE), 0);
	write_page(second, 5, content);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	assert_holds(second, &reference);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

static void test_another_size(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE - 1);
	struct device_restored restored;
	struct sink image = {0};

	(void)state;
	save(first, &image);
	assert_int_equal(restore(second, true, &image, &restored), -EINVAL);
	assert_non_null(strstr(restored.why, "another size"));
	assert_false(restored.emptied);
	sink_free(&image);
	device_end(first);
	device_end(second);
}

/* Into a store, which is then recovered: nothing of what was restored is lost or doubted. */
static void test_store(void **state)
{
	struct rng rng = rng_make(test_seed(0));
	struct plain_store store = store_make(SIZE);
	struct device *first = device_of_size(SIZE), *second = store_device(&store, SIZE);
	struct device_restored restored;
	struct reference reference;
	struct image_info info;
	struct sink image = {0}, again = {0};

	(void)state;
	fill(first, &rng, &reference);
	save(first, &image);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	device_free(second);
	second = store_device(&store, SIZE);
	assert_int_equal(recovery_of(second).damaged, stats_of(first).pages_damaged);
	assert_int_equal(recovery_of(second).pages, stats_of(first).pages_pool);
	assert_int_equal(recovery_of(second).cells_freed, 0);
	assert_holds(second, &reference);
	/* Its image says which it was. */
	save(second, &again);
	memcpy(&info.uuid, again.bytes + offsetof(struct image_header, uuid), sizeof(info.uuid));
	assert_memory_equal(info.uuid, recovery_of(second).uuid, sizeof(info.uuid));
	sink_free(&image);
	sink_free(&again);
	free(reference.bytes);
	device_end(first);
	device_end(second);
	store_end(&store);
}

/*
 * While it is written: each page that one thread writes is all of one version, and no older than
 * what was written before the save began. Every word of a page says page and version.
 */
#define BUSY_PAGES 400

struct writer {
	struct device *device;
	uint32_t stop;		      /* atomic */
	uint64_t written[BUSY_PAGES]; /* the version that is there for sure; atomic */
	uint64_t seed;
};

static void stamp(uint8_t *content, uint64_t page, uint64_t version)
{
	struct rng rng = rng_make(page << 32 | version);
	uint64_t word = page << 32 | version;

	/* Every third is one word over and over; the others shrink, more or less. */
	codec_fill_word(content, word);
	if (version % 3)
		rng_bytes(&rng, content + 64, rng_below(&rng, PAGE - 64));
}

static void *keep_writing(void *opaque)
{
	struct writer *writer = opaque;
	struct rng rng = rng_make(writer->seed);
	uint8_t content[PAGE];

	for (uint64_t version = 1; !__atomic_load_n(&writer->stop, __ATOMIC_ACQUIRE); version++) {
		uint64_t page = rng_below(&rng, BUSY_PAGES);

		stamp(content, page, version);
		if (device_write(writer->device, content, page * PAGE, PAGE) < 0)
			abort();
		__atomic_store_n(&writer->written[page], version, __ATOMIC_RELEASE);
		if (version % 1000 == 0)
			device_compact(writer->device);
	}
	return NULL;
}

static void check_pages(struct device *restored, const uint64_t *least)
{
	uint8_t found[PAGE], expected[PAGE];

	for (uint64_t page = 0; page < BUSY_PAGES; page++) {
		uint64_t word;

		assert_int_equal(device_read(restored, found, page * PAGE, PAGE), 0);
		memcpy(&word, found, sizeof(word));
		if (word == 0 && least[page] == 0)
			continue;
		assert_int_equal(word >> 32, page);
		assert_true((word & UINT32_MAX) >= least[page]);
		stamp(expected, page, word & UINT32_MAX);
		assert_memory_equal(found, expected, PAGE);
	}
}

static void test_busy(void **state)
{
	struct device *restored = device_of_size(SIZE);
	struct writer writer = {.device = device_of_size(SIZE), .seed = test_seed(0)};
	uint64_t least[BUSY_PAGES], n = test_ops(100);
	struct device_restored result;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, keep_writing, &writer), 0);
	for (uint64_t i = 0; i < n; i++) {
		struct sink image = {0};

		for (uint64_t page = 0; page < BUSY_PAGES; page++)
			least[page] = __atomic_load_n(&writer.written[page], __ATOMIC_ACQUIRE);
		save(writer.device, &image);
		assert_int_equal(restore(restored, true, &image, &result), 0);
		check_pages(restored, least);
		sink_free(&image);
	}
	__atomic_store_n(&writer.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	device_end(writer.device);
	device_end(restored);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_empty),
		cmocka_unit_test(test_force),	   cmocka_unit_test(test_another_size),
		cmocka_unit_test(test_store),	   cmocka_unit_test(test_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
