/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what a new process finds of pages that were written back: with the right backing store, another,
 * or none.
 */
#include "tests/device/backed.h"
#include "tests/device/store.h"

struct kept {
	struct plain_store store;
	struct world *w;
};

static struct kept kept_make(void)
{
	struct kept k = {.store = store_make(PAGES * PAGE)};
	struct device_options options = store_options(&k.store, PAGES * PAGE);

	k.w = world_of(&options, 8 * MIB);
	fill(k.w, 0, 100, CONTENT_TEXT);
	write_back(k.w, (struct device_writeback){.ranges_count = 1, .ranges = {{0, 49}}});
	return k;
}

/* The process ends; the next one has a device, and no backing store yet. */
static void kept_begin(struct kept *k)
{
	device_free(k->w->device);
	k->w->device = store_device(&k->store, PAGES * PAGE);
}

static int kept_open(struct kept *k, const char *path, uint64_t size)
{
	struct backing_options options = backing_at(path, size);
	char why[BACKING_WHY] = "";
	int r = device_open_backing(k->w->device, &options, why);

	assert_true(r == 0 || why[0] != '\0');
	return r;
}

static void kept_end(struct kept *k)
{
	world_end(k->w);
	store_end(&k->store);
}

static void test_recover(void **state)
{
	struct kept k = kept_make();

	for (int i = 0; i < 3; i++) {
		kept_begin(&k);
		assert_int_equal(stats_of(k.w->device).pages_backing, 50 + 10 * i);
		assert_int_equal(kept_open(&k, k.w->path, 8 * MIB), 0);
		assert_int_equal(recovery_of(k.w->device).damaged, 0);
		assert_valid(k.w->device);
		check_content(k.w);
		write_back(k.w, (struct device_writeback){.ranges_count = 1,
							  .ranges = {{0, 59 + 10 * (uint64_t)i}}});
	}
	kept_end(&k);
}

static void test_recover_without(void **state)
{
	struct kept k = kept_make();
	uint8_t found[PAGE];
	char other[64];

	/* Pages that are not there are no wrong data, and others are served. */
	kept_begin(&k);
	assert_int_equal(device_read(k.w->device, found, 3 * PAGE, PAGE), -EIO);
	assert_int_equal(device_write(k.w->device, found, 3 * PAGE, 7), -EIO);
	assert_page(k.w->device, 60, k.w->bytes[60]);
	put(k.w, 4, CONTENT_TEXT);
	drop(k.w, 5);
	/* Not there, or not it: nothing is made, and nothing lost. */
	file_make(other);
	unlink(other);
	assert_int_equal(kept_open(&k, other, 8 * MIB), -ENOENT);
	assert_int_equal(access(other, F_OK), -1);
	file_make(other);
	assert_int_equal(truncate(other, 8 * MIB), 0);
	assert_int_equal(kept_open(&k, other, 0), -ESTALE);
	unlink(other);
	assert_int_equal(kept_open(&k, k.w->path, 0), 0);
	assert_int_equal(stats_of(k.w->device).pages_backing, 48);
	kept_end(&k);
}

/* Nothing is missed: another may take its place. */
static void test_replaced(void **state)
{
	struct kept k = kept_make();
	char before[64];

	strcpy(before, k.w->path);
	for (uint64_t page = 0; page < 50; page++)
		put(k.w, page, CONTENT_TEXT);
	for (int i = 0; i < 2; i++) {
		kept_begin(&k);
		if (i == 0)
			file_make(k.w->path);
		assert_int_equal(kept_open(&k, k.w->path, 4 * MIB), 0);
		assert_int_equal(write_type(k.w, DEVICE_WRITEBACK_ALL), i == 0 ? 100 : 0);
		check_content(k.w);
	}
	unlink(before);
	kept_end(&k);
}

/* Slots that name what cannot be there. */
static void test_recover_damaged(void **state)
{
	struct kept k = kept_make();
	slot_word *slots = k.w->device->slots;
	struct backing_object object = slot_object(slots[7], 7);
	uint8_t found[PAGE];

	object.location = (UINT64_C(1) << 40) - 1; /* behind the end */
	slots[7] = slot_backed(&object);
	slots[8] += UINT64_C(3) << 61; /* another use of its segment */
	slots[9] |= SLOT_LOCK;
	kept_begin(&k);
	assert_int_equal(kept_open(&k, k.w->path, 0), 0);
	assert_int_equal(recovery_of(k.w->device).damaged, 2);
	assert_int_equal(stats_of(k.w->device).pages_backing, 48);
	assert_int_equal(device_read(k.w->device, found, 7 * PAGE, PAGE), -EIO);
	assert_page(k.w->device, 9, k.w->bytes[9]);
	put(k.w, 7, CONTENT_TEXT);
	drop(k.w, 8);
	kept_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_recover, backed_setup),
		cmocka_unit_test_setup(test_recover_without, backed_setup),
		cmocka_unit_test_setup(test_replaced, backed_setup),
		cmocka_unit_test_setup(test_recover_damaged, backed_setup),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
