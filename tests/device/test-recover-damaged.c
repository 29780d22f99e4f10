/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what a store says that cannot be true is damaged, and nothing else is; it is mended by being
 * written.
 */
#include <errno.h>

#include "allocator/zs-types.h"
#include "tests/device/world.h"

static uint8_t *cell_at(struct world *w, zs_ref ref)
{
	struct zs_store store = store_pool(w->store.memory);

	return (uint8_t *)store.arena + ref * ZS_REF_UNIT;
}

/* Page PAGE, and no other, is damaged: it cannot be read, and is mended by MEND. */
static void assert_damaged(struct world *w, uint64_t page)
{
	uint8_t found[PAGE];

	assert_int_equal(stats_of(w->device).pages_damaged, 1);
	assert_int_equal(recovery_of(w->device).damaged, 1);
	assert_int_equal(device_read(w->device, found, page * PAGE, PAGE), -EIO);
	assert_int_equal(device_write(w->device, found, page * PAGE, 100), -EIO);
	assert_int_equal(device_zero(w->device, page * PAGE + 7, 100), -EIO);
	for (uint64_t other = 0; other < PAGES; other++)
		if (other != page)
			assert_page(w->device, other, w->bytes + other * PAGE);
	/* It is so still after another recovery. */
	recover(w);
	assert_int_equal(stats_of(w->device).pages_damaged, 1);
}

static void assert_mended(struct world *w)
{
	assert_int_equal(stats_of(w->device).pages_damaged, 0);
	recover(w);
	assert_int_equal(recovery_of(w->device).damaged, 0);
	assert_content(w);
}

/* A device of some pages, the 50th of which is an object of the kind. */
static zs_ref fill_some(struct world *w, enum content_kind kind)
{
	for (uint64_t page = 0; page < 100; page++)
		put(w, page, page % 2 ? CONTENT_TEXT : kind);
	return slot_ref(*slot_of(w, 50));
}

/*
 * How many cells recovery is to free when nobody has the one at REF any more: none, if no live cell
 * of its zspage stands behind it, for then it might as well never have been handed out. zbud's tag says
 * that it was.
 */
static uint64_t freed_without(struct world *w, zs_ref ref)
{
	const uint32_t *map = w->device->pool->arena.page_map;
	uint32_t zspage = map[ref * ZS_REF_UNIT / ZS_PAGE_SIZE];

	if (test_allocator() == ZS_ZBUD)
		return 1;
	for (uint64_t page = 0; page < PAGES; page++) {
		slot_word word = *slot_of(w, page);

		if (slot_state(word) == SLOT_POOL && slot_ref(word) > ref &&
		    map[slot_ref(word) * ZS_REF_UNIT / ZS_PAGE_SIZE] == zspage)
			return 1;
	}
	return 0;
}

static void test_slot_outside(void **state)
{
	struct world *w = *state;

	fill_some(w, CONTENT_TEXT);
	*slot_of(w, 50) = slot_moved(*slot_of(w, 50), (UINT64_C(1) << ZS_REF_BITS) - 1);
	recover(w);
	assert_damaged(w, 50);
	put(w, 50, CONTENT_TEXT);
	assert_mended(w);
}

static void test_slot_between_cells(void **state)
{
	struct world *w = *state;
	zs_ref ref = fill_some(w, CONTENT_TEXT);

	*slot_of(w, 50) = slot_moved(*slot_of(w, 50), ref + 1);
	recover(w);
	assert_damaged(w, 50);
	drop(w, 50);
	assert_mended(w);
}

static void test_two_slots_one_cell(void **state)
{
	struct world *w = *state;
	zs_ref ref = fill_some(w, CONTENT_TEXT);

	*slot_of(w, 150) =
		slot_pool(ref, slot_len(*slot_of(w, 50)), slot_encoding(*slot_of(w, 50)));
	recover(w);
	assert_damaged(w, 150);
	assert_int_equal(device_zero(w->device, 150 * PAGE, PAGE), 0);
	assert_mended(w);
}

static void test_other_owner(void **state)
{
	struct world *w = *state;
	zs_ref ref = fill_some(w, CONTENT_TEXT);
	uint64_t freed = freed_without(w, ref);
	uint32_t owner = 51;

	memcpy(cell_at(w, ref), &owner, sizeof(owner));
	recover(w);
	assert_int_equal(recovery_of(w->device).cells_freed, freed);
	assert_damaged(w, 50);
	put(w, 50, CONTENT_RANDOM);
	assert_mended(w);
}

static void test_length_beyond(void **state)
{
	struct world *w = *state;
	zs_ref ref = fill_some(w, CONTENT_TEXT);

	*slot_of(w, 50) = slot_pool(ref, ZS_MAX_SMALL, slot_encoding(*slot_of(w, 50)));
	recover(w);
	assert_damaged(w, 50);
	put(w, 50, CONTENT_SAME);
	assert_mended(w);
}

static void test_unknown_encoding(void **state)
{
	struct world *w = *state;
	zs_ref ref = fill_some(w, CONTENT_TEXT);

	*slot_of(w, 50) = slot_pool(ref, slot_len(*slot_of(w, 50)), 3);
	recover(w);
	assert_damaged(w, 50);
	put(w, 50, CONTENT_SAME);
	assert_mended(w);
}

/* A state that is none: in the backing store, which there is not yet; and one without any encoding. */
static void test_no_state(void **state)
{
	struct world *w = *state;

	fill_some(w, CONTENT_TEXT);
	*slot_of(w, 50) |= (slot_word)SLOT_BACKING << SLOT_STATE_SHIFT;
	recover(w);
	assert_damaged(w, 50);
	drop(w, 50);
	assert_mended(w);
	*slot_of(w, 50) = UINT64_C(1) << SLOT_LEN_SHIFT;
	recover(w);
	assert_damaged(w, 50);
	drop(w, 50);
	assert_mended(w);
}

static void test_word_number(void **state)
{
	struct world *w = *state;

	fill_some(w, CONTENT_SAME);
	assert_true(slot_interned(*slot_of(w, 50)));
	/* Another word's number, which alone is not its name. */
	*slot_of(w, 50) ^=
		(slot_value(*slot_of(w, 50)) ^ slot_value(*slot_of(w, 52))) % WORDS_ENTRIES
		<< SLOT_WORD_SHIFT;
	recover(w);
	assert_damaged(w, 50);
	put(w, 50, CONTENT_SAME);
	assert_mended(w);
}

/* A word that is not where it hashes to was not put there by the device. */
static void test_word_changed(void **state)
{
	struct world *w = *state;

	put(w, 50, CONTENT_SAME);
	store_words(w->store.memory)[slot_value(*slot_of(w, 50)) % WORDS_ENTRIES] ^= 1;
	recover(w);
	assert_damaged(w, 50);
	put(w, 50, CONTENT_SAME);
	assert_mended(w);
}

/* The owner of a raw page stands in its tag. */
static void test_raw(void **state)
{
	struct world *w = *state;
	zs_ref ref = fill_some(w, CONTENT_RANDOM);
	struct zs_store store = store_pool(w->store.memory);

	recover(w);
	assert_int_equal(recovery_of(w->device).damaged, 0);
	assert_content(w);
	store.tags[ref * ZS_REF_UNIT / ZS_PAGE_SIZE] = ZS_TAG_RAW | 51;
	recover(w);
	assert_int_equal(recovery_of(w->device).cells_freed, 1);
	assert_damaged(w, 50);
	put(w, 50, CONTENT_RANDOM);
	assert_mended(w);
}

/* Without the tag of its zspage no object in it is believed, and no other is the worse for it. */
static void test_tags(void **state)
{
	static const uint32_t tags[] = {0, UINT32_MAX, 12345678, 1};
	struct world *w = *state;
	struct zs_store store = store_pool(w->store.memory);
	uint8_t found[PAGE];

	for (unsigned int i = 0; i < ARRAY_SIZE(tags); i++) {
		zs_ref ref = fill_some(w, CONTENT_TEXT);
		uint64_t first = ref * ZS_REF_UNIT / ZS_PAGE_SIZE;

		while (store.tags[first] == 0)
			first--;
		store.tags[first] = tags[i];
		recover(w);
		assert_true(recovery_of(w->device).damaged > 0);
		assert_int_equal(device_read(w->device, found, 50 * PAGE, PAGE), -EIO);
		for (uint64_t page = 0; page < 100; page++)
			if (device_read(w->device, found, page * PAGE, PAGE) != -EIO)
				assert_page(w->device, page, w->bytes + page * PAGE);
	}
	for (uint64_t page = 0; page < 100; page++)
		put(w, page, CONTENT_TEXT);
	assert_mended(w);
}

/* What a kill leaves between an allocation and the slot's word: a cell of nobody. */
static void test_cell_of_nobody(void **state)
{
	struct world *w = *state;
	struct device_stats before;
	uint64_t freed;
	slot_word was;

	fill_some(w, CONTENT_TEXT);
	before = stats_of(w->device);
	was = *slot_of(w, 20);
	put(w, 60, CONTENT_TEXT);
	freed = freed_without(w, slot_ref(was));
	*slot_of(w, 20) = 0;
	memset(w->bytes + UINT64_C(20) * PAGE, 0, PAGE);
	recover(w);
	assert_int_equal(recovery_of(w->device).cells_freed, freed);
	assert_int_equal(stats_of(w->device).pages_pool, before.pages_pool - 1);
	assert_true(slot_ref(was) != 0);
	assert_content(w);
}

/* Reads go on over the page that is damaged, which is a short one, until it is written to its end. */
static void test_short_last_page(void **state)
{
	struct world *w = *state;
	uint64_t size = SIZE - 1000, last = PAGES - 1;
	struct plain_store store = store_make(size);
	struct device *device = store_device(&store, size);

	content_fill(&w->rng, CONTENT_TEXT, w->bytes, PAGE);
	assert_int_equal(device_write(device, w->bytes, last * PAGE, PAGE - 1000), 0);
	store_slots(store.memory)[last] ^= UINT64_C(1) << SLOT_REF_SHIFT;
	device_free(device);
	device = store_device(&store, size);
	assert_int_equal(stats_of(device).pages_damaged, 1);
	assert_int_equal(device_write(device, w->bytes, last * PAGE, PAGE - 1001), -EIO);
	assert_int_equal(device_write(device, w->bytes, last * PAGE, PAGE - 1000), 0);
	assert_int_equal(stats_of(device).pages_damaged, 0);
	device_end(device);
	store_end(&store);
	memset(w->bytes, 0, PAGE);
}

static int count_damaged(void *opaque, uint64_t page)
{
	uint64_t *pages = opaque;

	pages[pages[0]++ + 1] = page;
	return pages[0] == 3 ? 77 : 0;
}

static void test_list(void **state)
{
	struct world *w = *state;
	uint64_t pages[4] = {0};

	fill_some(w, CONTENT_TEXT);
	for (uint64_t page = 10; page < 50; page += 10)
		*slot_of(w, page) = UINT64_MAX;
	recover(w);
	assert_int_equal(recovery_of(w->device).damaged, 4);
	assert_int_equal(device_damaged(w->device, count_damaged, pages), 77);
	assert_true(pages[1] == 10 && pages[2] == 20 && pages[3] == 30);
	assert_int_equal(device_trim(w->device, 10 * PAGE, 21 * PAGE), 0);
	pages[0] = 0;
	assert_int_equal(device_damaged(w->device, count_damaged, pages), 0);
	assert_true(pages[0] == 1 && pages[1] == 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(test_slot_outside),
		WORLD(test_slot_between_cells),
		WORLD(test_two_slots_one_cell),
		WORLD(test_other_owner),
		WORLD(test_length_beyond),
		WORLD(test_unknown_encoding),
		WORLD(test_no_state),
		WORLD(test_word_number),
		WORLD(test_word_changed),
		WORLD(test_raw),
		WORLD(test_tags),
		WORLD(test_cell_of_nobody),
		WORLD(test_short_last_page),
		WORLD(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
