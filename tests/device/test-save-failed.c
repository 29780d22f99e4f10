/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: an image that is not sound, one that cannot be read or written, one that does not fit, and a
 * page that has gone bad: it is said, and a restore that fails leaves the device as it was, or empty.
 */
#include "tests/device/saving.h"

/* With one bit changed, or cut, anywhere: refused, and the device is as it was, or empty. */
static void test_unsound(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct reference reference;
	struct sink image = {0};
	uint8_t content[PAGE];
	uint64_t n = test_ops(80);

	(void)state;
	fill(first, &rng, &reference);
	save(first, &image);
	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	for (uint64_t i = 0; i < n; i++) {
		size_t size = image.size, at = rng_below(&rng, i % 4 < 2 ? 64 : size);
		uint8_t byte = image.bytes[at];
		int r;

		write_page(second, 7, content);
		if (i % 2)
			image.size = at;
		else
			image.bytes[at] ^= (uint8_t)(1 << rng_below(&rng, 8));
		r = restore(second, true, &image, &restored);
		image.size = size;
		image.bytes[at] = byte;
		assert_true(r == -EBADMSG || r == -EPROTO || r == -ENODATA);
		assert_non_null(restored.why);
		if (restored.emptied)
			assert_empty(second);
		else
			assert_page(second, 7, content);
		assert_true(restored.emptied == (at >= sizeof(struct image_header)));
	}
	assert_int_equal(restore(second, true, &image, &restored), 0);
	assert_holds(second, &reference);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

/* Whatever errors the callbacks give come through. */
static void test_callbacks(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct image_counts counts;
	struct reference reference;
	struct sink image = {.limit = 1000000};

	(void)state;
	fill(first, &rng, &reference);
	assert_int_equal(device_save(first, sink_write, &image, &counts), -ENOSPC);
	sink_free(&image);
	save(first, &image);
	image.failed = 1000000;
	assert_int_equal(restore(second, false, &image, &restored), -EIO);
	assert_null(restored.why);
	assert_true(restored.emptied);
	assert_empty(second);
	assert_holds(first, &reference);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

/* There is no room for all of it: the device is empty, and of use. */
static void test_limit(void **state)
{
	struct device_options options = options_make(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct device *first, *second;
	struct reference reference;
	struct sink image = {0};

	(void)state;
	first = device_make(&options);
	fill(first, &rng, &reference);
	save(first, &image);
	options.mem_limit = device_min_limit();
	assert_true(stats_of(first).payload > options.mem_limit);
	second = device_make(&options);
	assert_int_equal(restore(second, false, &image, &restored), -ENOSPC);
	assert_true(restored.emptied);
	assert_empty(second);
	write_page(second, 0, reference.bytes);
	assert_page(second, 0, reference.bytes);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

/* A payload that has gone bad in place is saved as a damaged page, so that the image is sound. */
static void test_gone_bad(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct image_counts counts;
	struct sink image = {0};
	uint8_t content[PAGE];
	slot_word word;

	(void)state;
	for (uint64_t page = 10; page < 13; page++) {
		content_fill(&rng, CONTENT_TEXT, content, PAGE);
		write_page(first, page, content);
	}
	word = slot_peek(&first->slots[11]);
	assert_int_equal(slot_state(word), SLOT_POOL);
	memset(zs_payload(first->pool, slot_ref(word), slot_len(word)), 0xff, slot_len(word));
	counts = save(first, &image);
	assert_int_equal(counts.objects, 2);
	assert_int_equal(counts.damaged, 1);
	assert_sound(&image);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	assert_page(second, 12, content);
	assert_int_equal(device_read(second, content, 11 * PAGE, PAGE), -EIO);
	write_page(second, 11, content);
	assert_page(second, 11, content);
	sink_free(&image);
	device_end(first);
	device_end(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unsound),
		cmocka_unit_test(test_callbacks),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_gone_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
