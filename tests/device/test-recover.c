/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what was in a store is there again: pages of all kinds, counters, memory; and what a
 * store says that cannot be true is damaged, and nothing else is.
 */
#include <errno.h>

#include "allocator/zs-types.h"
#include "device/device-types.h"
#include "device/store.h"
#include "tests/device/store.h"

#define SIZE  (16 * MIB)
#define PAGES (SIZE / PAGE)

/* A device in a store, and what it must hold. */
struct world {
	struct plain_store store;
	struct device *device;
	struct rng rng;
	uint8_t *bytes;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->store = store_make(SIZE);
	w->device = store_device(&w->store, SIZE);
	w->bytes = calloc(1, SIZE);
	w->rng = rng_make(test_seed(0));
	*state = w;
	return w->bytes ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	device_end(w->device);
	store_end(&w->store);
	free(w->bytes);
	free(w);
	return 0;
}

static void put(struct world *w, uint64_t page, enum content_kind kind)
{
	content_fill(&w->rng, kind, w->bytes + page * PAGE, PAGE);
	write_page(w->device, page, w->bytes + page * PAGE);
}

static void drop(struct world *w, uint64_t page)
{
	memset(w->bytes + page * PAGE, 0, PAGE);
	assert_int_equal(device_trim(w->device, page * PAGE, PAGE), 0);
}

static void recover(struct world *w)
{
	device_free(w->device);
	w->device = store_device(&w->store, SIZE);
	assert_valid(w->device);
}

static void assert_content(struct world *w)
{
	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(w->device, page, w->bytes + page * PAGE);
}

/* Writes, partial writes, trims: holes everywhere, pages of every kind. */
static void churn(struct world *w, unsigned int ops)
{
	for (unsigned int i = 0; i < ops; i++) {
		uint64_t page = rng_below(&w->rng, PAGES);
		uint64_t what = rng_below(&w->rng, 8);

		if (what < 5) {
			put(w, page, content_pick(&w->rng));
		} else if (what < 7) {
			drop(w, page);
		} else {
			uint64_t at = rng_below(&w->rng, SIZE - 9000);
			uint64_t n = rng_below(&w->rng, 9000);

			content_fill(&w->rng, CONTENT_TEXT, w->bytes + at, n);
			assert_int_equal(device_write(w->device, w->bytes + at, at, n), 0);
		}
	}
}

static void test_nothing(void **state)
{
	struct world *w = *state;
	struct device_recovery first = recovery_of(w->device), second;

	assert_false(first.recovered);
	assert_int_equal(first.generation, 0);
	recover(w);
	second = recovery_of(w->device);
	assert_true(second.recovered);
	assert_int_equal(second.generation, 1);
	assert_int_equal(second.pages, 0);
	assert_memory_equal(first.uuid, second.uuid, sizeof(first.uuid));
	assert_content(w);
}

static void assert_gauges_equal(const struct device_stats *a, const struct device_stats *b)
{
	assert_int_equal(a->pages_same, b->pages_same);
	assert_int_equal(a->pages_pool, b->pages_pool);
	assert_int_equal(a->pages_raw, b->pages_raw);
	assert_int_equal(a->pages_filter, b->pages_filter);
	assert_int_equal(a->payload, b->payload);
	assert_int_equal(b->pages_damaged, 0);
	/* What had memory has it still. */
	assert_int_equal(a->pool + a->reserve, b->pool + b->reserve);
}

static void test_round_trips(void **state)
{
	struct world *w = *state;

	for (unsigned int round = 1; round <= 6; round++) {
		struct device_stats before, after;
		struct device_recovery recovery;

		churn(w, 3000);
		if (round % 2)
			assert_int_equal(device_compact(w->device), 0);
		before = stats_of(w->device);
		recover(w);
		after = stats_of(w->device);
		recovery = recovery_of(w->device);
		assert_gauges_equal(&before, &after);
		assert_int_equal(recovery.generation, round);
		assert_int_equal(recovery.pages, before.pages_pool);
		assert_int_equal(recovery.cells_freed, 0);
		assert_int_equal(recovery.damaged, 0);
		assert_content(w);
	}
}

static void test_twice(void **state)
{
	struct world *w = *state;
	struct device_stats first, second;

	churn(w, 5000);
	recover(w);
	first = stats_of(w->device);
	recover(w);
	second = stats_of(w->device);
	assert_gauges_equal(&first, &second);
	assert_int_equal(first.pool, second.pool);
	assert_content(w);
}

static void test_with_threads(void **state)
{
	struct world *w = *state;

	for (unsigned int round = 0; round < 4; round++) {
		struct device_options options = store_options(&w->store, SIZE);

		options.reserve = MIB;
		options.auto_compact = true;
		device_free(w->device);
		w->device = device_make(&options);
		assert_int_equal(device_start(w->device), 0);
		churn(w, 3000);
		device_stop(w->device);
	}
	recover(w);
	assert_content(w);
}

static void test_emptied(void **state)
{
	struct world *w = *state;
	struct device_stats stats;

	churn(w, 3000);
	assert_int_equal(device_trim(w->device, 0, SIZE), 0);
	memset(w->bytes, 0, SIZE);
	assert_int_equal(device_compact(w->device), 0);
	recover(w);
	stats = stats_of(w->device);
	assert_int_equal(stats.pages_pool + stats.pages_same + stats.pool, 0);
	assert_content(w);
}

/* The truth about a page, from inside. */
static slot_word *slot_of(struct world *w, uint64_t page)
{
	return &store_slots(w->store.memory)[page];
}

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
 * of its zspage stands behind it, for then it might as well never have been handed out.
 */
static uint64_t freed_without(struct world *w, zs_ref ref)
{
	const uint32_t *map = w->device->pool->arena.page_map;
	uint32_t zspage = map[ref * ZS_REF_UNIT / ZS_PAGE_SIZE];

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

/* Lock bits, as threads leave them that are killed. */
static void test_locked(void **state)
{
	struct world *w = *state;

	churn(w, 3000);
	for (uint64_t page = 0; page < PAGES; page++)
		*slot_of(w, page) |= SLOT_LOCK;
	recover(w);
	assert_int_equal(recovery_of(w->device).damaged, 0);
	assert_content(w);
	churn(w, 3000);
	assert_content(w);
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

/* A top that is not true: all the same everything in memory is found. */
static void test_top(void **state)
{
	struct world *w = *state;
	struct zs_store store = store_pool(w->store.memory);

	churn(w, 3000);
	*store.top ^= UINT64_C(1) << 7;
	recover(w);
	assert_int_equal(recovery_of(w->device).damaged, 0);
	assert_content(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_trips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_with_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_emptied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slot_outside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slot_between_cells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_slots_one_cell, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_length_beyond, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_encoding, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_word_number, setup, teardown),
		cmocka_unit_test_setup_teardown(test_word_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_raw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cell_of_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_last_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_top, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
