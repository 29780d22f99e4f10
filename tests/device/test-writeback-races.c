/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: pages that are touched, freed, moved or compressed again while they are written back, or read
 * from the store, or while their segment is cleaned.
 */
#include "device/recompress.h"
#include "tests/device/backed.h"

/* What may happen to a page on its way: each time the slot says so, and nothing else changes. */

static void overwrite(struct world *w, uint32_t page)
{
	put(w, page, CONTENT_TEXT);
}

static void overwrite_same(struct world *w, uint32_t page)
{
	write_page(w->device, page, w->bytes[page]);
}

static void overwrite_word(struct world *w, uint32_t page)
{
	put(w, page, CONTENT_SAME);
}

static void overwrite_part(struct world *w, uint32_t page)
{
	memset(w->bytes[page] + 100, 7, 300);
	assert_int_equal(device_write(w->device, w->bytes[page] + 100, page * PAGE + 100, 300), 0);
}

static void drop_it(struct world *w, uint32_t page)
{
	drop(w, page);
}

/* Another content of the same length, where the other stood: only the bytes are others. */
static void swap_content(struct world *w, uint32_t page)
{
	put(w, page, CONTENT_RANDOM);
	put(w, page, CONTENT_RANDOM);
}

static void read_it(struct world *w, uint32_t page)
{
	assert_page(w->device, page, w->bytes[page]);
}

/* All are, so that it is no younger than the copy. */
static void mark_idle(struct world *w, uint32_t page)
{
	uint64_t idle;

	read_it(w, page);
	assert_int_equal(device_idle(w->device, 0, &idle), 0);
}

static void swap_and_mark(struct world *w, uint32_t page)
{
	uint64_t idle;

	swap_content(w, page);
	assert_int_equal(device_idle(w->device, 0, &idle), 0);
}

static void compact(struct world *w, uint32_t page)
{
	for (uint64_t other = 0; other < PAGES; other++)
		if (other % 8 != page % 8)
			drop(w, other);
	assert_int_equal(device_compact(w->device), 0);
}

static void recompress(struct world *w, uint32_t page)
{
	struct device_recompress order = {.has_method = true};
	struct device_recompressed done;
	int level = 3;

	assert_int_equal(codec_method_init(&order.method, "zstd", &level), 0);
	assert_int_equal(device_recompress(w->device, &order, &done), 0);
	assert_true(done.pages > 0);
}

static const struct race {
	void (*event)(struct world *w, uint32_t page);
	enum content_kind kind;
	bool leaves; /* the page leaves the pool all the same */
} races[] = {
	{overwrite, CONTENT_TEXT, false},	{overwrite_same, CONTENT_TEXT, false},
	{overwrite_word, CONTENT_TEXT, false},	{overwrite_part, CONTENT_TEXT, false},
	{drop_it, CONTENT_TEXT, false},		{swap_content, CONTENT_RANDOM, false},
	{read_it, CONTENT_TEXT, false},		{mark_idle, CONTENT_TEXT, true},
	{swap_and_mark, CONTENT_RANDOM, false}, {compact, CONTENT_TEXT, true},
	{recompress, CONTENT_TEXT, false},	{drop_it, CONTENT_RANDOM, false},
};

static void test_races(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(races); i++) {
		const struct race *race = &races[i];
		struct world *w = world_make();
		uint64_t idle;

		fill(w, 0, 400, race->kind);
		assert_int_equal(device_idle(w->device, 0, &idle), 0);
		on_append = race->event;
		write_back(w, (struct device_writeback){.ranges_count = 1, .ranges = {{40, 40}}});
		assert_null(on_append);
		if (slot_is_backed(word_of(w, 40)) != race->leaves)
			fail_msg("race %zu", i);
		assert_int_equal(stats_of(w->device).pages_backing, race->leaves);
		world_end(w);
	}
}

/* The same of pages of age 0, which have no second chance, and leave if they are the same. */
static void test_young(void **state)
{
	struct world *w = world_make();

	fill(w, 0, 10, CONTENT_TEXT);
	on_append = read_it;
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 10);
	on_append = overwrite;
	fill(w, 0, 10, CONTENT_TEXT);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 9);
	world_end(w);
}

/* Segments that are half dead, and are cleaned. */
static void clean(struct world *w)
{
	struct backing *b = backing_of(w);
	int r;

	while ((r = backing_clean(b)) == 0)
		;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(backing_flush(b), 0);
}

static void clean_and_reuse(struct world *w, uint32_t page)
{
	uint64_t moved = stats_of(w->device).backing_moved;

	for (uint64_t other = 0; other < 400; other++)
		if (other % 8 != page % 8)
			drop(w, other);
	clean(w);
	assert_true(stats_of(w->device).backing_moved > moved);
	fill(w, 400, 200, CONTENT_RANDOM);
	write_back(w, (struct device_writeback){.ranges_count = 1, .ranges = {{400, 599}}});
}

static void write_back_again(struct world *w, uint32_t page)
{
	put(w, page, CONTENT_TEXT);
	write_back(w, (struct device_writeback){.ranges_count = 1, .ranges = {{page, page}}});
}

/* While it is read: what is read is what it was at some moment of the request. */
static void test_read_races(void **state)
{
	static void (*const events[])(struct world * w, uint32_t page) = {
		overwrite,    overwrite_word, overwrite_part,  drop_it,
		swap_content, read_it,	      clean_and_reuse, write_back_again,
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(events); i++) {
		struct world *w = world_make();
		uint8_t found[4 * PAGE];
		bool part = i >= ARRAY_SIZE(events);

		fill(w, 0, 400, CONTENT_TEXT);
		write_type(w, DEVICE_WRITEBACK_ALL);
		on_read = events[i % ARRAY_SIZE(events)];
		if (part) {
			assert_int_equal(device_read(w->device, found, 40 * PAGE + 50, 600), 0);
			assert_memory_equal(found, w->bytes[40] + 50, 600);
		} else {
			assert_int_equal(device_read(w->device, found, 40 * PAGE, 4 * PAGE), 0);
			assert_memory_equal(found, w->bytes[40], PAGE);
		}
		assert_null(on_read);
		world_end(w);
	}
}

/* While a part of it is written. */
static void test_part_races(void **state)
{
	static void (*const events[])(struct world * w, uint32_t page) = {
		NULL,	 overwrite,	  overwrite_word,   drop_it,
		read_it, clean_and_reuse, write_back_again,
	};

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		struct world *w = world_make();
		uint8_t part[100];

		fill(w, 0, 400, CONTENT_TEXT);
		write_type(w, DEVICE_WRITEBACK_ALL);
		memset(part, (int)i + 1, sizeof(part));
		on_read = events[i];
		assert_int_equal(device_write(w->device, part, 40 * PAGE + 500, 100), 0);
		memcpy(w->bytes[40] + 500, part, 100);
		on_read = events[i];
		assert_int_equal(device_zero(w->device, 48 * PAGE + 7, 100), 0);
		memset(w->bytes[48] + 7, 0, 100);
		on_read = NULL;
		world_end(w);
	}
}

/* A page that comes back while it is cleaned stays in the pool. */
static void test_back_while_cleaned(void **state)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct world *w;
	struct backing *b;
	uint64_t moved;

	options.reserve = MIB;
	w = world_of(&options, 8 * MIB);
	b = backing_of(w);
	assert_int_equal(device_start(w->device), 0);
	fill(w, 0, 400, CONTENT_TEXT);
	write_type(w, DEVICE_WRITEBACK_ALL);
	for (uint64_t page = 0; page < 400; page++)
		if (page % 8)
			drop(w, page);
	while (backing_clean(b) == 0)
		;
	moved = stats_of(w->device).backing_moved;
	assert_true(moved > 0);
	for (int i = 0; i < 2; i++)
		assert_page(w->device, 8, w->bytes[8]);
	put(w, 16, CONTENT_TEXT);
	drop(w, 24);
	assert_int_equal(slot_state(word_of(w, 8)), SLOT_POOL);
	assert_int_equal(backing_flush(b), 0);
	assert_int_equal(slot_state(word_of(w, 8)), SLOT_POOL);
	assert_int_equal(stats_of(w->device).pages_backing, 47);
	device_stop(w->device);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_races, backed_setup),
		cmocka_unit_test_setup(test_young, backed_setup),
		cmocka_unit_test_setup(test_read_races, backed_setup),
		cmocka_unit_test_setup(test_part_races, backed_setup),
		cmocka_unit_test_setup(test_back_while_cleaned, backed_setup),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
