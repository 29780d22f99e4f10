/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of recovery share: a device in a store, and what it must hold. */
#ifndef ZCRAM_TESTS_WORLD_H
#define ZCRAM_TESTS_WORLD_H

#include "device/device-types.h"
#include "device/store.h"
#include "tests/device/store.h"

#define SIZE  (16 * MIB)
#define PAGES (SIZE / PAGE)

struct world {
	struct plain_store store;
	struct device *device;
	struct rng rng;
	uint8_t *bytes;
};

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	struct world *w = *state;

	device_end(w->device);
	store_end(&w->store);
	free(w->bytes);
	free(w);
	return 0;
}

static inline void put(struct world *w, uint64_t page, enum content_kind kind)
{
	content_fill(&w->rng, kind, w->bytes + page * PAGE, PAGE);
	write_page(w->device, page, w->bytes + page * PAGE);
}

static inline void drop(struct world *w, uint64_t page)
{
	memset(w->bytes + page * PAGE, 0, PAGE);
	assert_int_equal(device_trim(w->device, page * PAGE, PAGE), 0);
}

static inline void recover(struct world *w)
{
	device_free(w->device);
	w->device = store_device(&w->store, SIZE);
	assert_valid(w->device);
}

static inline void assert_content(struct world *w)
{
	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(w->device, page, w->bytes + page * PAGE);
}

/* Writes, partial writes, trims: holes everywhere, pages of every kind. */
static inline void churn(struct world *w, unsigned int ops)
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

/* The truth about a page, from inside. */
static inline slot_word *slot_of(struct world *w, uint64_t page)
{
	return &store_slots(w->store.memory)[page];
}

#define WORLD(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
