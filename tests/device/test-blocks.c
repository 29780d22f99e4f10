/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what each page is said to be: of one word, stored, raw, in the backing store, damaged, tried,
 * compressed again, and how old; in pieces of any size, past what was never in use, and while others write.
 */
#include <pthread.h>
#include <stdlib.h>

#include "device/device-types.h"
#include "tests/device/fixture.h"
#include "tests/lib/check.h"
#include "tests/lib/evictor.h"

#define LEAF SLOTS_PER_LEAF

static struct rng rng;

static void put(struct device *device, uint64_t page, enum content_kind kind)
{
	uint8_t content[PAGE];

	content_fill(&rng, kind, content, PAGE);
	write_page(device, page, content);
}

/* The block of one page, which some piece has to begin with or before. */
static struct device_block block_at(struct device *device, uint64_t page)
{
	struct device_block block;
	uint64_t from = page;

	assert_int_equal(device_get_blocks(device, &from, &block, 1), 1);
	assert_int_equal(from, page);
	return block;
}

static void assert_block(struct device *device, uint64_t page, enum device_block_state state,
			 enum device_block_mark mark, unsigned int age)
{
	struct device_block block = block_at(device, page);

	assert_int_equal(block.state, state);
	assert_int_equal(block.mark, mark);
	assert_int_equal(block.age, age);
}

static void test_states(void **state)
{
	struct device *device = device_of_size(4 * MIB);
	uint64_t idle;

	put(device, 1, CONTENT_TEXT);
	put(device, 2, CONTENT_RANDOM);
	put(device, 3, CONTENT_ZERO);
	assert_block(device, 0, DEVICE_BLOCK_EMPTY, DEVICE_BLOCK_UNTRIED, 0);
	assert_block(device, 1, DEVICE_BLOCK_POOL, DEVICE_BLOCK_UNTRIED, 0);
	assert_block(device, 2, DEVICE_BLOCK_RAW, DEVICE_BLOCK_UNTRIED, 0);
	assert_block(device, 3, DEVICE_BLOCK_SAME, DEVICE_BLOCK_UNTRIED, 0);
	assert_int_equal(device_idle(device, 0, &idle), 0);
	assert_int_equal(idle, 2);
	assert_block(device, 1, DEVICE_BLOCK_POOL, DEVICE_BLOCK_UNTRIED, 15);
	assert_block(device, 2, DEVICE_BLOCK_RAW, DEVICE_BLOCK_UNTRIED, 15);
	assert_block(device, 3, DEVICE_BLOCK_SAME, DEVICE_BLOCK_UNTRIED, 0);
	device->slots[4] = SLOT_DAMAGED;
	assert_block(device, 4, DEVICE_BLOCK_DAMAGED, DEVICE_BLOCK_UNTRIED, 0);
	device->slots[4] = 0;
	assert_int_equal(stats_of(device).pages_raw_since, 1);
	put(device, 2, CONTENT_TEXT);
	assert_int_equal(stats_of(device).pages_raw, 0);
	assert_int_equal(stats_of(device).pages_raw_since, 1);
	device_end(device);
}

/* By hand, and by the methods of the device. */
static void test_marks(void **state)
{
	struct device_recompress order = {.has_method = true};
	struct device *device = device_of_size(4 * MIB);
	struct device_recompressed done;
	struct device_settings settings;
	int level = 12;

	for (uint64_t page = 0; page < 64; page++)
		put(device, page, page % 2 ? CONTENT_RANDOM : CONTENT_TEXT);
	assert_int_equal(codec_method_init(&order.method, "zstd", &level), 0);
	assert_int_equal(device_recompress(device, &order, &done), 0);
	assert_int_equal(done.pages, 64);
	assert_int_equal(done.saved, 32);
	for (uint64_t page = 0; page < 64; page++) {
		struct device_block block = block_at(device, page);

		assert_int_equal(block.state, page % 2 ? DEVICE_BLOCK_RAW : DEVICE_BLOCK_POOL);
		assert_int_equal(block.mark,
				 page % 2 ? DEVICE_BLOCK_UNSHRINKABLE : DEVICE_BLOCK_RECOMPRESSED);
	}
	/* Writes that compress like this too make no difference, as long as it is a method for old pages. */
	device_get_settings(device, &settings);
	settings.method = order.method;
	assert_int_equal(device_set(device, &settings), 0);
	assert_int_equal(block_at(device, 0).mark, DEVICE_BLOCK_UNSHRINKABLE);
	settings.cold = (struct device_cold){
		.methods_count = 1, .methods = {order.method}, .cpu = 10, .age = 900};
	assert_int_equal(device_set(device, &settings), 0);
	assert_int_equal(block_at(device, 0).mark, DEVICE_BLOCK_RECOMPRESSED);
	put(device, 0, CONTENT_TEXT);
	assert_int_equal(block_at(device, 0).mark, DEVICE_BLOCK_UNTRIED);
	device_end(device);
}

/* Each page once, whatever the pieces; of leaves that were never in use none. */
static void test_pieces(void **state)
{
	static const size_t sizes[] = {1, 3, LEAF, 1000, 100000};
	struct device *device = device_of_size(64 * MIB);
	uint64_t pages = 64 * MIB / PAGE;
	struct device_block *blocks = calloc(100000, sizeof(*blocks));

	put(device, 3 * LEAF + 7, CONTENT_TEXT);
	put(device, 20 * LEAF, CONTENT_TEXT);
	put(device, pages - 1, CONTENT_RANDOM);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t from = 0, before, stored = 0, count;

		for (before = 0; (count = device_get_blocks(device, &from, blocks, sizes[i])) > 0;
		     before = from += count) {
			assert_in_range(from, before, pages - 1);
			assert_true(before > 0 || from == 3 * LEAF);
			assert_in_range(count, 1, sizes[i]);
			for (size_t k = 0; k < count; k++)
				stored += blocks[k].state != DEVICE_BLOCK_EMPTY;
		}
		assert_int_equal(from, pages);
		assert_int_equal(stored, 3);
	}
	for (uint64_t far = pages; far != 0; far = far > UINT64_MAX / 2 ? 0 : far * 3) {
		uint64_t from = far;

		assert_int_equal(device_get_blocks(device, &from, blocks, 10), 0);
		assert_int_equal(from, pages);
	}
	free(blocks);
	device_end(device);
}

/* One that is locked is looked at all the same: nobody is waited for. */
static void test_locked(void **state)
{
	struct device *device = device_of_size(4 * MIB);
	slot_word word;

	put(device, 5, CONTENT_TEXT);
	assert_true(slot_trylock(&device->slots[5], &word));
	assert_block(device, 5, DEVICE_BLOCK_POOL, DEVICE_BLOCK_UNTRIED, 0);
	slot_unlock(&device->slots[5], slot_parking(device, 5), word);
	device_end(device);
}

static void test_backed(void **state)
{
	struct device *device = device_of_size(4 * MIB);
	struct device_writeback order = {.type = DEVICE_WRITEBACK_ALL};
	struct device_written_back done;
	struct evictor evictor;

	evictor_init(&evictor, MIB);
	evictor_open(&evictor, device, &rng);
	put(device, 1, CONTENT_TEXT);
	put(device, 2, CONTENT_RANDOM);
	put(device, 3, CONTENT_ZERO);
	assert_int_equal(device_writeback(device, &order, &done), 0);
	assert_int_equal(done.pages, 2);
	assert_block(device, 1, DEVICE_BLOCK_BACKED, DEVICE_BLOCK_UNTRIED, 0);
	assert_block(device, 2, DEVICE_BLOCK_BACKED, DEVICE_BLOCK_UNTRIED, 0);
	assert_block(device, 3, DEVICE_BLOCK_SAME, DEVICE_BLOCK_UNTRIED, 0);
	put(device, 2, CONTENT_RANDOM);
	assert_block(device, 2, DEVICE_BLOCK_RAW, DEVICE_BLOCK_UNTRIED, 0);
	device_end(device);
	evictor_fini(&evictor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states), cmocka_unit_test(test_marks),
		cmocka_unit_test(test_pieces), cmocka_unit_test(test_locked),
		cmocka_unit_test(test_backed),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
