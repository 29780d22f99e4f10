/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: recompression: what is chosen, what is kept, what is marked; pages that are touched,
 * freed, moved or marked between any two of its steps; by hand, in the background, and changed in use.
 */
#include <errno.h>
#include <pthread.h>

#include "allocator/zs-types.h"
#include "device/recompress.h"
#include "tests/device/store.h"

#define PAGES 600

static struct rng rng;

struct world {
	struct device *device;
	uint8_t bytes[PAGES][PAGE];
};

static struct device_cold zstd_cold(void)
{
	struct device_cold cold = {
		.methods_count = 1, .type = DEVICE_COLD_IDLE, .age = 0, .cpu = 100};
	int level = 6;

	assert_int_equal(codec_method_init(&cold.methods[0], "zstd", &level), 0);
	return cold;
}

static struct world *world_make(struct device_options *options)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->device = device_make(options);
	return w;
}

static struct world *world_of(struct device_cold cold)
{
	struct device_options options = options_make(PAGES * PAGE);

	options.cold = cold;
	return world_make(&options);
}

static void put(struct world *w, uint64_t page, enum content_kind kind)
{
	content_fill(&rng, kind, w->bytes[page], PAGE);
	write_page(w->device, page, w->bytes[page]);
}

static void fill(struct world *w, uint64_t from, uint64_t count, enum content_kind kind)
{
	for (uint64_t page = from; page < from + count; page++)
		put(w, page, kind);
}

static void check_content(struct world *w)
{
	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(w->device, page, w->bytes[page]);
}

static void world_end(struct world *w)
{
	assert_valid(w->device);
	check_content(w);
	device_stop(w->device);
	device_end(w->device);
	free(w);
}

static slot_word word_of(const struct world *w, uint64_t page)
{
	return slot_peek(&w->device->slots[page]);
}

static struct device_recompressed recompress(struct world *w, struct device_recompress order)
{
	struct device_recompressed result;

	assert_int_equal(device_recompress(w->device, &order, &result), 0);
	return result;
}

static struct device_recompressed recompress_all(struct world *w)
{
	return recompress(w, (struct device_recompress){.type = DEVICE_COLD_ALL});
}

/* What shrinks is kept, what does not stays; neither is tried again before it is written. */
static void test_all(void **state)
{
	struct world *w = world_of(zstd_cold());
	struct device_recompressed result;
	struct device_stats before, after;

	fill(w, 0, 100, CONTENT_TEXT);
	fill(w, 100, 50, CONTENT_RANDOM);
	before = stats_of(w->device);
	result = recompress_all(w);
	after = stats_of(w->device);
	assert_int_equal(result.pages, 150);
	assert_int_equal(result.saved, 100);
	assert_int_equal(after.recompressed, 100);
	assert_int_equal(after.recompress_failed, 50);
	assert_int_equal(after.recompress_saved, result.bytes);
	assert_int_equal(after.pages_raw, 50);
	assert_int_equal(after.pages_pool, 150);
	assert_true(after.payload + result.bytes / 2 < before.payload);
	for (uint64_t page = 0; page < 150; page++)
		assert_true(slot_tried(word_of(w, page)));
	assert_int_equal(recompress_all(w).pages, 0);
	check_content(w); /* read, and still tried */
	assert_int_equal(recompress_all(w).pages, 0);
	put(w, 7, CONTENT_TEXT);
	put(w, 120, CONTENT_RANDOM);
	assert_int_equal(recompress_all(w).pages, 2);
	world_end(w);
}

/* The bytes of cells are what is saved. */
static void test_saved(void **state)
{
	struct world *w = world_of(zstd_cold());
	struct device_recompressed result;
	size_t before, after;

	put(w, 3, CONTENT_TEXT);
	before = slot_len(word_of(w, 3));
	result = recompress_all(w);
	after = slot_len(word_of(w, 3));
	assert_true(after < before);
	assert_int_equal(result.bytes, zs_cell_bytes(w->device->pool, before) -
					       zs_cell_bytes(w->device->pool, after));
	assert_int_equal(codec_encoding_id(slot_encoding(word_of(w, 3))), CODEC_ZSTD);
	world_end(w);
}

static void test_choice(void **state)
{
	struct world *w = world_of(zstd_cold());
	struct device_recompress order = {.type = DEVICE_COLD_IDLE};
	uint64_t idle;

	fill(w, 0, 20, CONTENT_TEXT);
	fill(w, 20, 20, CONTENT_RANDOM);
	assert_int_equal(recompress(w, order).pages, 0);
	assert_int_equal(device_idle(w->device, 0, &idle), 0);
	put(w, 0, CONTENT_TEXT);
	put(w, 20, CONTENT_RANDOM);
	order.max_pages = 5;
	assert_int_equal(recompress(w, order).pages, 5);
	assert_true(slot_tried(word_of(w, 5)));
	assert_false(slot_tried(word_of(w, 6)));
	order.max_pages = 0;
	order.threshold = PAGE;
	assert_int_equal(recompress(w, order).pages, 19);
	order.threshold = slot_len(word_of(w, 0));
	order.type = DEVICE_COLD_HUGE_IDLE;
	assert_int_equal(recompress(w, order).pages, 0);
	order.type = DEVICE_COLD_HUGE;
	assert_int_equal(recompress(w, order).pages, 1);
	/* With a method that is given, what was tried is tried again. */
	order.has_method = true;
	order.method = zstd_cold().methods[0];
	assert_int_equal(recompress(w, order).pages, 20);
	order.type = DEVICE_COLD_ALL;
	order.threshold = 0;
	assert_int_equal(recompress(w, order).pages, 40);
	world_end(w);
}

/* The second method is asked only where the first has saved nothing. */
static void test_methods(void **state)
{
	struct device_cold cold = zstd_cold();
	struct world *w;

	cold.methods[1] = cold.methods[0];
	assert_int_equal(codec_method_init(&cold.methods[0], "lz4", NULL), 0);
	cold.methods_count = 2;
	w = world_of(cold);
	fill(w, 0, 20, CONTENT_TEXT);
	assert_int_equal(recompress_all(w).saved, 20);
	for (uint64_t page = 0; page < 20; page++)
		assert_int_equal(codec_encoding_id(slot_encoding(word_of(w, page))), CODEC_ZSTD);
	world_end(w);
}

static void test_refused(void **state)
{
	struct world *w = world_of((struct device_cold){0});
	struct device_recompress order = {.type = DEVICE_COLD_ALL};
	struct device_recompressed result;
	struct device_settings settings;

	assert_int_equal(device_recompress(w->device, &order, &result), -ENOENT);
	order.has_method = true;
	order.method = (struct codec_method){.id = CODEC_RAW};
	assert_int_equal(device_recompress(w->device, &order, &result), -EINVAL);
	device_get_settings(w->device, &settings);
	settings.cold = zstd_cold();
	settings.cold.cpu = 0;
	assert_int_equal(device_set(w->device, &settings), -EINVAL);
	settings.cold.cpu = 101;
	assert_int_equal(device_set(w->device, &settings), -EINVAL);
	settings.cold.cpu = 1;
	settings.cold.age = device_idle_max() + 1;
	assert_int_equal(device_set(w->device, &settings), -EINVAL);
	settings.cold.age = 0;
	settings.cold.methods[0].level = 1000;
	assert_int_equal(device_set(w->device, &settings), -EINVAL);
	device_cancel(w->device);
	fill(w, 0, 20, CONTENT_TEXT);
	order.method = zstd_cold().methods[0];
	assert_int_equal(device_recompress(w->device, &order, &result), -ECANCELED);
	assert_int_equal(result.pages, 0);
	world_end(w);
}

/* What can happen to a page while it is worked on: nobody may lose anything by it. */
enum event {
	EVENT_NONE,
	EVENT_READ,
	EVENT_WRITE,
	EVENT_WRITE_PART,
	EVENT_TRIM,
	EVENT_SAME_WORD, /* written, its word is what it was but for the age */
	EVENT_MARKED,	 /* the same, and marked so that all of it is */
	EVENT_LOCKED,
	EVENT_COMPACT,
	EVENTS
};

static void make_event(struct world *w, uint64_t page, enum event event)
{
	slot_word *slot = &w->device->slots[page], word;
	uint64_t idle;

	switch (event) {
	case EVENT_READ:
		assert_page(w->device, page, w->bytes[page]);
		break;
	case EVENT_WRITE:
		put(w, page, CONTENT_TEXT);
		break;
	case EVENT_WRITE_PART:
		w->bytes[page][77] ^= 1;
		assert_int_equal(device_write(w->device, &w->bytes[page][77], page * PAGE + 77, 1),
				 0);
		break;
	case EVENT_TRIM:
		memset(w->bytes[page], 0, PAGE);
		assert_int_equal(device_trim(w->device, page * PAGE, PAGE), 0);
		break;
	case EVENT_SAME_WORD:
	case EVENT_MARKED:
		/* Until it comes to stand where it stood; raw, it is as long as it was. */
		word = slot_without_tried(slot_touched(*slot));
		for (int i = 0; i < 1000 && (i == 0 || *slot != word); i++)
			put(w, page, CONTENT_RANDOM);
		assert_int_equal(*slot, word);
		if (event == EVENT_MARKED)
			assert_int_equal(device_idle(w->device, 0, &idle), 0);
		break;
	case EVENT_LOCKED:
		assert_true(slot_trylock(slot, &word));
		break;
	case EVENT_COMPACT:
		assert_int_equal(device_compact(w->device), 0);
		break;
	default:
		break;
	}
}

/* The event comes before the fetch, before the squeeze, or before the place. */
static void run_event(enum event event, int when)
{
	bool raw = event == EVENT_SAME_WORD || event == EVENT_MARKED;
	struct device_cold cold = zstd_cold();
	struct recompress_rule rule = {.age = AGE_MAX};
	struct world *w = world_of(cold);
	struct recompressor *r;
	slot_word *slot = &w->device->slots[0], word;
	uint64_t idle;

	fill(w, 0, 8, raw ? CONTENT_RANDOM : CONTENT_TEXT);
	assert_int_equal(device_idle(w->device, 0, &idle), 0);
	assert_int_equal(recompressor_new(w->device, &cold, &rule, &r), 0);
	assert_false(recompress_gather(w->device, r));
	assert_int_equal(r->count, 8);
	if (when == 0)
		make_event(w, 0, event);
	recompress_fetch(w->device, r);
	if (when == 1)
		make_event(w, 0, event);
	recompress_squeeze(w->device, r);
	if (raw && when > 0) {
		/* What does not shrink is written as if it did. */
		r->victims[0].replaced = true;
		r->victims[0].len = 100;
	}
	if (when == 2)
		make_event(w, 0, event);
	word = *slot;
	recompress_place(w->device, r, true);
	if (event == EVENT_NONE ||
	    (event == EVENT_COMPACT && slot_ref(word) == slot_ref(r->victims[0].word)))
		assert_true(slot_tried(*slot));
	else
		assert_int_equal(*slot, word);
	if (event == EVENT_LOCKED)
		slot_unlock(slot, slot_parking(w->device, 0), word & ~SLOT_LOCK);
	recompressor_free(r);
	world_end(w);
}

static void test_events(void **state)
{
	for (enum event event = EVENT_NONE; event < EVENTS; event++)
		for (int when = 0; when < 3; when++)
			run_event(event, when);
}

/* A page of age 0 is made older first, so that who touches it is seen. */
static void test_young(void **state)
{
	struct device_cold cold = zstd_cold();
	struct recompress_rule rule = {0};
	struct world *w = world_of(cold);
	struct recompressor *r;
	slot_word word;

	put(w, 0, CONTENT_RANDOM);
	assert_int_equal(recompressor_new(w->device, &cold, &rule, &r), 0);
	recompress_gather(w->device, r);
	assert_int_equal(slot_age(word_of(w, 0)), 1);
	recompress_fetch(w->device, r);
	make_event(w, 0, EVENT_SAME_WORD);
	r->victims[0].replaced = true;
	r->victims[0].len = 100;
	word = word_of(w, 0);
	recompress_place(w->device, r, true);
	assert_int_equal(word_of(w, 0), word);
	recompressor_free(r);
	world_end(w);
}

/* Without memory at hand pages stay as they are, to be tried another time. */
static void test_no_memory(void **state)
{
	struct device_cold cold = zstd_cold();
	struct recompress_rule rule = {0};
	struct world *w = world_of(cold);
	struct recompressor *r;
	struct device_stats before;

	fill(w, 0, 4, CONTENT_TEXT);
	before = stats_of(w->device);
	assert_int_equal(recompressor_new(w->device, &cold, &rule, &r), 0);
	recompress_gather(w->device, r);
	recompress_fetch(w->device, r);
	recompress_squeeze(w->device, r);
	w->device->pool->arena.reserve = 100; /* and nothing is spare */
	recompress_place(w->device, r, false);
	w->device->pool->arena.reserve = 0;
	assert_true(r->starved);
	assert_int_equal(stats_of(w->device).payload, before.payload);
	assert_int_equal(stats_of(w->device).refills, before.refills);
	for (uint64_t page = 0; page < 4; page++)
		assert_false(slot_tried(word_of(w, page)));
	recompressor_free(r);
	assert_int_equal(recompress_all(w).saved, 4);
	world_end(w);
}

/* In the background, and changed while it works. */

static struct world *world_started(struct device_cold cold)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct world *w;

	options.cold = cold;
	options.reserve = MIB;
	options.auto_compact = true;
	w = world_make(&options);
	fill(w, 0, 200, CONTENT_TEXT);
	fill(w, 200, 50, CONTENT_RANDOM);
	return w;
}

/* As if a tick were over, for a thread that is not there yet. */
static void back_a_tick(struct world *w)
{
	w->device->ages.tick = w->device->ages.goal -= 1;
}

static void await(uint64_t (*counter)(struct device_stats stats), struct world *w, uint64_t value)
{
	while (counter(stats_of(w->device)) < value)
		os_wait(&(uint32_t){0}, 0, 1);
}

static uint64_t all_tried(struct device_stats stats)
{
	return stats.recompressed + stats.recompress_failed;
}

static void set_cold(struct world *w, struct device_cold cold)
{
	struct device_settings settings;

	device_get_settings(w->device, &settings);
	settings.cold = cold;
	assert_int_equal(device_set(w->device, &settings), 0);
}

static void test_background(void **state)
{
	struct world *w = world_started(zstd_cold());
	struct device_cold cold = zstd_cold();
	struct device_stats stats;

	back_a_tick(w);
	assert_int_equal(device_start(w->device), 0);
	await(all_tried, w, 250);
	stats = stats_of(w->device);
	assert_int_equal(stats.recompressed, 200);
	assert_true(stats.recompress_ns > 0);
	assert_true(stats.streams > sizeof(struct recompressor));
	/* By other methods all are tried again, at once, whatever else is set before the thread sees it. */
	cold.methods[0].level = 12;
	set_cold(w, cold);
	cold.cpu = 50;
	set_cold(w, cold);
	await(all_tried, w, 500);
	set_cold(w, (struct device_cold){0});
	assert_true(stats_of(w->device).streams < stats.streams);
	world_end(w);
}

static void test_by_hand_beside(void **state)
{
	struct device_cold cold = zstd_cold();
	struct device_recompress order = {.type = DEVICE_COLD_ALL};
	struct device_recompressed result = {0};
	struct world *w;
	uint64_t refills;

	cold.age = device_idle_max(); /* nothing is so old: it is all by hand */
	w = world_started(cold);
	assert_int_equal(device_start(w->device), 0);
	refills = stats_of(w->device).refills;
	/* What there was no memory at hand for is left for the next time. */
	do
		assert_int_equal(device_recompress(w->device, &order, &result), 0);
	while (result.pages > 0);
	assert_int_equal(stats_of(w->device).recompressed, 200);
	assert_int_equal(stats_of(w->device).recompress_failed, 50);
	assert_int_equal(stats_of(w->device).refills, refills);
	order.has_method = true;
	order.method = cold.methods[0];
	order.max_pages = 77;
	assert_int_equal(device_recompress(w->device, &order, &result), 0);
	assert_int_equal(result.pages, 77);
	device_cancel(w->device);
	assert_int_equal(device_recompress(w->device, &order, &result), -ECANCELED);
	device_stop(w->device);
	assert_int_equal(device_start(w->device), 0);
	assert_int_equal(device_recompress(w->device, &order, &result), 0);
	device_stop(w->device);
	assert_int_equal(device_recompress(w->device, &order, &result), 0);
	world_end(w);
}

/* The same of what is set while nothing is started, or is no longer. */
static void test_set_before(void **state)
{
	struct device_cold cold = zstd_cold();
	struct world *w = world_started(cold);

	assert_int_equal(recompress_all(w).pages, 250);
	for (int i = 1; i <= 2; i++) {
		cold.methods[0].level++;
		set_cold(w, cold);
		cold.cpu--;
		set_cold(w, cold);
		back_a_tick(w);
		assert_int_equal(device_start(w->device), 0);
		await(all_tried, w, 250 + 250 * (uint64_t)i);
		device_stop_background(w->device);
		device_stop(w->device);
	}
	world_end(w);
}

/* What a new server finds in the store. */
static void test_recovered(void **state)
{
	struct plain_store store = store_make(PAGES * PAGE);
	struct device_options options = store_options(&store, PAGES * PAGE);
	struct world *w;
	uint64_t payload;

	options.cold = zstd_cold();
	w = world_make(&options);
	fill(w, 0, 100, CONTENT_TEXT);
	fill(w, 100, 100, CONTENT_RANDOM);
	assert_int_equal(recompress_all(w).pages, 200);
	payload = stats_of(w->device).payload;
	device_free(w->device);
	w->device = device_make(&options);
	assert_int_equal(recovery_of(w->device).damaged, 0);
	assert_int_equal(recovery_of(w->device).cells_freed, 0);
	assert_int_equal(stats_of(w->device).payload, payload);
	assert_int_equal(recompress_all(w).pages, 0);
	world_end(w);
	store_end(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),	   cmocka_unit_test(test_saved),
		cmocka_unit_test(test_choice),	   cmocka_unit_test(test_methods),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_events),
		cmocka_unit_test(test_young),	   cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_background), cmocka_unit_test(test_by_hand_beside),
		cmocka_unit_test(test_set_before), cmocka_unit_test(test_recovered),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
