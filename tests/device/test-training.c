/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: when dictionaries are trained, used, given up for a newer one and retired by who
 * recompresses; by hand and in the background.
 */
#include <unistd.h>

#include "device/recompress.h"
#include "tests/device/store.h"

#define PAGES 1500
#define LEAST 1000

static struct rng rng;

struct world {
	struct device *device;
	uint8_t bytes[PAGES][PAGE];
};

static struct device_cold cold_of(const char *algorithm)
{
	struct device_cold cold = {
		.methods_count = 1, .type = DEVICE_COLD_ALL, .age = 0, .cpu = 100};
	int level = 3;

	assert_int_equal(codec_method_init(&cold.methods[0], algorithm, &level), 0);
	cold.methods[0].filter = CODEC_FILTER_TRY;
	return cold;
}

/* A device that has a dictionary for LEAST pages, and another when all has been written once more. */
static struct world *world_make(struct device_cold cold)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	options.cold = cold;
	options.reserve = UINT64_C(1) << 20; /* what the background works out of */
	w->device = device_make(&options);
	w->device->background.training.least = LEAST;
	w->device->background.training.turnover = 1;
	return w;
}

static void fill(struct world *w, uint64_t from, uint64_t count)
{
	for (uint64_t page = from; page < from + count; page++) {
		content_fill(&rng, CONTENT_TEXT, w->bytes[page], PAGE);
		write_page(w->device, page, w->bytes[page]);
	}
}

static void recompress(struct world *w)
{
	const struct device_recompress order = {.type = DEVICE_COLD_ALL};
	struct device_recompressed done;

	assert_int_equal(device_recompress(w->device, &order, &done), 0);
}

static void world_check(struct world *w)
{
	assert_valid(w->device);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(w->device, page, w->bytes[page]);
}

static void world_end(struct world *w)
{
	world_check(w);
	device_stop(w->device);
	device_end(w->device);
	free(w);
}

/* Not for a few pages, nor for a codec that takes none. */
static void test_not_worth_it(void **state)
{
	struct world *w = world_make(cold_of("zstd"));

	(void)state;
	fill(w, 0, LEAST - 1);
	recompress(w);
	assert_int_equal(dicts_newest(w->device), 0);
	assert_int_equal(stats_of(w->device).pages_dict, 0);
	world_end(w);

	w = world_make(cold_of("lz4"));
	fill(w, 0, PAGES);
	recompress(w);
	assert_int_equal(dicts_newest(w->device), 0);
	world_end(w);
}

/* And then for all of them: what was tried without one is tried again. */
static void test_first(void **state)
{
	struct world *w = world_make(cold_of("zstd"));
	uint64_t payload;

	(void)state;
	fill(w, 0, LEAST - 1);
	recompress(w);
	payload = stats_of(w->device).payload;
	fill(w, LEAST - 1, 1);
	recompress(w);
	assert_int_equal(dicts_newest(w->device), 1);
	assert_in_range(stats_of(w->device).pages_dict, LEAST / 2, LEAST);
	assert_true(stats_of(w->device).payload < payload);
	/* It is good for as long as what is in the pool is. */
	recompress(w);
	assert_int_equal(dicts_newest(w->device), 1);
	world_end(w);
}

/* A quarter of the pages is written as often as it takes for another dictionary, and is to have it. */
static void next_quarter(struct world *w, unsigned int turn)
{
	for (unsigned int i = 0; i < 4; i++)
		fill(w, turn % 4 * (PAGES / 4), PAGES / 4);
	recompress(w);
}

/*
 * What is in the pool keeps its dictionary until there is no room for another: then one order gives the
 * oldest up, and the next retires it and trains. So the numbers come round.
 */
static void test_again(void **state)
{
	struct world *w = world_make(cold_of("zstd"));
	const struct dicts *dicts = &w->device->dicts;

	(void)state;
	fill(w, 0, PAGES);
	recompress(w);
	for (unsigned int turn = 0; turn < DICT_GENERATIONS - 1; turn++)
		next_quarter(w, turn);
	assert_int_equal(dicts_newest(w->device), DICT_GENERATIONS);
	assert_int_equal(dicts_oldest(w->device), 1);
	for (unsigned int turn = DICT_GENERATIONS - 1; turn < 12; turn++) {
		unsigned int oldest = dicts_oldest(w->device);
		uint64_t sequence = dicts->sequence[dicts_newest(w->device) - 1];

		assert_true(dicts_objects(w->device, oldest) > 0);
		next_quarter(w, turn);
		assert_int_equal(dicts_objects(w->device, oldest), 0);
		world_check(w);
		recompress(w);
		assert_int_equal(dicts_newest(w->device), oldest);
		assert_int_equal(dicts->sequence[oldest - 1], sequence + 1);
		/* It has what it needs to be named by something. */
		assert_true(dicts_oldest(w->device) != oldest);
	}
	world_end(w);
}

/* New settings begin a round. */
static void test_background(void **state)
{
	struct world *w = world_make((struct device_cold){0});
	struct device_settings settings;
	uint64_t pages;

	(void)state;
	fill(w, 0, PAGES);
	assert_int_equal(device_idle(w->device, 0, &pages), 0);
	assert_int_equal(device_start(w->device), 0);
	device_get_settings(w->device, &settings);
	settings.cold = cold_of("zstd");
	assert_int_equal(device_set(w->device, &settings), 0);
	alarm(60);
	while (stats_of(w->device).pages_dict < PAGES / 2)
		usleep(1000);
	alarm(0);
	assert_true(stats_of(w->device).dicts > 0);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_worth_it),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_background),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
