/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a device that is made ahead, while another one is at work in the store, changes nothing
 * there, and finds all of it when it is taken over, also what came later.
 */
#include <errno.h>

#include "common/fnv1a.h"
#include "common/os.h"
#include "common/util.h"
#include "tests/device/store.h"

#define SIZE  (16 * MIB)
#define PAGES (SIZE / PAGE)

/* A device at work, and what it holds; the same store mapped again, as another process has it. */
struct world {
	struct plain_store store, again;
	struct device *device;
	struct rng rng;
	uint8_t *bytes;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->store = w->again = store_make(SIZE);
	w->again.memory = mremap(w->store.memory, 0, w->store.size, MREMAP_MAYMOVE);
	assert_ptr_not_equal(w->again.memory, MAP_FAILED);
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
	store_end(&w->again);
	store_end(&w->store);
	free(w->bytes);
	free(w);
	return 0;
}

/* Write, and now and then trim, pages below END. */
static void churn(struct world *w, unsigned int ops, uint64_t end)
{
	for (unsigned int i = 0; i < ops; i++) {
		uint64_t page = rng_below(&w->rng, end);
		uint8_t *bytes = w->bytes + page * PAGE;

		if (rng_chance(&w->rng, 30)) {
			memset(bytes, 0, PAGE);
			assert_int_equal(device_trim(w->device, page * PAGE, PAGE), 0);
			continue;
		}
		content_fill(&w->rng, content_pick(&w->rng), bytes, PAGE);
		write_page(w->device, page, bytes);
	}
}

static void assert_content(struct world *w)
{
	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(w->device, page, w->bytes + page * PAGE);
}

/* All that is in memory of the store, and where. */
static uint64_t hash(const struct plain_store *store)
{
	uint64_t hash = FNV1A_START;

	for (uint64_t at = 0; at < store->size; at += PAGE) {
		const uint8_t *page = (const uint8_t *)store->memory + at;
		uint8_t resident;

		assert_int_equal(os_resident(page, PAGE, &resident), 0);
		if (resident & 1)
			hash = fnv1a(fnv1a_u64(hash, at), page, PAGE);
	}
	return hash;
}

static struct device *make_ahead(struct world *w)
{
	struct device_options options = store_options(&w->again, SIZE);
	struct device *next;

	options.ahead = true;
	assert_int_equal(device_new(&options, &next), 0);
	assert_int_equal(device_prefault_ahead(next), 0);
	return next;
}

static void take_over(struct world *w, struct device *next)
{
	device_free(w->device);
	w->device = next;
	assert_int_equal(device_take_over(next), 0);
	assert_true(recovery_of(next).recovered);
	assert_int_equal(recovery_of(next).damaged, 0);
	assert_valid(next);
	assert_content(w);
}

static void test_changes_nothing(void **state)
{
	struct world *w = *state;
	uint64_t before;

	churn(w, 3000, PAGES);
	before = hash(&w->store);
	device_free(make_ahead(w));
	assert_true(hash(&w->store) == before);
	assert_valid(w->device);
	assert_content(w);
}

/* Of nothing, of little and of much; the same after it, and many times more than there was before. */
static void test_taken_over(void **state)
{
	static const unsigned int before[] = {0, 100, 4000}, after[] = {0, 10, 8000};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(after); k++) {
			struct device *next;

			assert_int_equal(device_trim(w->device, 0, SIZE), 0);
			memset(w->bytes, 0, SIZE);
			churn(w, before[i], PAGES / 4);
			next = make_ahead(w);
			churn(w, after[k], PAGES);
			take_over(w, next);
			churn(w, 100, PAGES);
			assert_content(w);
		}
	}
}

/* It serves as any other does. */
static void test_started(void **state)
{
	struct world *w = *state;
	struct device *next;

	churn(w, 3000, PAGES);
	next = make_ahead(w);
	churn(w, 1000, PAGES);
	take_over(w, next);
	assert_int_equal(device_prefault(next), 0);
	assert_int_equal(device_start(next), 0);
	churn(w, 3000, PAGES);
	assert_int_equal(device_compact(next), 0);
	assert_content(w);
	device_stop(next);
}

static void test_nothing_there(void **state)
{
	struct plain_store empty = store_make(SIZE);
	struct device_options options = store_options(&empty, SIZE);
	struct device *device;

	options.ahead = true;
	assert_int_equal(device_new(&options, &device), -EINVAL);
	for (size_t i = 0; i < PAGE; i++)
		assert_int_equal(((const uint8_t *)empty.memory)[i], 0);
	store_end(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_started, setup, teardown),
		cmocka_unit_test(test_nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
