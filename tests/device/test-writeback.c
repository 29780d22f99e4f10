/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: writeback: what is chosen, what it takes, what comes back when it is read, and that images and
 * dictionaries know of it.
 */
#include "device/save.h"
#include "tests/device/backed.h"
#include "tests/lib/trainer.h"

/* All of it leaves the pool, is read from where it is, and is given back when it is replaced. */
static void test_all(void **state)
{
	struct world *w = world_make();
	struct device_written_back done;
	struct device_stats s;
	uint64_t payload;

	fill(w, 0, 200, CONTENT_TEXT);
	fill(w, 200, 50, CONTENT_RANDOM);
	fill(w, 250, 50, CONTENT_SAME);
	payload = stats_of(w->device).payload;
	done = write_back(w, (struct device_writeback){0});
	s = stats_of(w->device);
	assert_int_equal(done.pages, 250);
	assert_int_equal(done.bytes, payload);
	assert_int_equal(s.pages_pool, 0);
	assert_int_equal(s.payload, 0);
	assert_int_equal(s.pages_backing, 250);
	assert_int_equal(s.payload_backing, payload);
	assert_int_equal(s.written_back, 250);
	assert_int_equal(s.written_back_payload, payload);
	assert_true(s.backing_written * 100 <= payload * 105);
	assert_true(s.backing_live > payload && s.backing_live <= s.backing_written);
	assert_int_equal(s.pages_same, 50);
	assert_valid(w->device);
	check_content(w);
	assert_int_equal(stats_of(w->device).backing_reads, 250);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 0);
	put(w, 5, CONTENT_TEXT);
	drop(w, 6);
	assert_int_equal(device_zero(w->device, 7 * PAGE, PAGE), 0);
	memset(w->bytes[7], 0, PAGE);
	put(w, 8, CONTENT_SAME);
	assert_int_equal(stats_of(w->device).pages_backing, 246);
	assert_true(stats_of(w->device).backing_live < s.backing_live);
	world_end(w);
}

static int add_extent(void *opaque, uint64_t offset, uint64_t length, bool hole)
{
	uint64_t *data = opaque;

	*data += hole ? 0 : length;
	return 0;
}

/* What is backed is not a hole, and has no age. */
static void test_looks(void **state)
{
	struct world *w = world_make();
	uint64_t data = 0, idle;

	fill(w, 0, 100, CONTENT_TEXT);
	write_back(w, (struct device_writeback){.ranges_count = 1, .ranges = {{0, 49}}});
	assert_int_equal(device_extents(w->device, 0, PAGES * PAGE, add_extent, &data), 0);
	assert_int_equal(data, 100 * PAGE);
	assert_int_equal(device_idle(w->device, 0, &idle), 0);
	assert_int_equal(idle, 50);
	assert_int_equal(device_compact(w->device), 0);
	world_end(w);
}

static void test_types(void **state)
{
	struct world *w = world_make();
	struct device_recompressed recompressed;
	struct device_recompress order = {.has_method = true};
	int level = 3;
	uint64_t idle;

	assert_int_equal(codec_method_init(&order.method, "zstd", &level), 0);
	fill(w, 0, 100, CONTENT_TEXT);
	fill(w, 100, 60, CONTENT_RANDOM);
	assert_int_equal(device_idle(w->device, 0, &idle), 0);
	assert_page(w->device, 3, w->bytes[3]);
	assert_page(w->device, 103, w->bytes[103]);
	put(w, 4, CONTENT_TEXT);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_INCOMPRESSIBLE), 0);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_HUGE_IDLE), 59);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_HUGE), 1);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_IDLE), 98);
	fill(w, 200, 20, CONTENT_RANDOM);
	assert_int_equal(device_recompress(w->device, &order, &recompressed), 0);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_INCOMPRESSIBLE), 20);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 2);
	world_end(w);
}

static void test_bounds(void **state)
{
	struct world *w = world_make();
	struct device_writeback order = {.threshold = PAGE};
	struct device_written_back done;

	fill(w, 0, 100, CONTENT_TEXT);
	fill(w, 100, 20, CONTENT_RANDOM);
	assert_int_equal(write_back(w, order).pages, 20);
	order = (struct device_writeback){.max_pages = 7};
	assert_int_equal(write_back(w, order).pages, 7);
	order = (struct device_writeback){.ranges_count = 3,
					  .ranges = {{50, 59}, {20, 20}, {90, UINT64_MAX}}};
	assert_int_equal(write_back(w, order).pages, 21);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(slot_is_backed(word_of(w, page)),
				 page < 7 || page == 20 || (page >= 50 && page < 60) ||
					 (page >= 90 && page < 120));
	order.ranges[1].last = 19;
	assert_int_equal(device_writeback(w->device, &order, &done), -EINVAL);
	order.ranges[1] = (struct device_range){PAGES, PAGES};
	assert_int_equal(device_writeback(w->device, &order, &done), -EINVAL);
	world_end(w);
}

/* Without a store, and when the server ends. */
static void test_refused(void **state)
{
	struct device_writeback order = {0};
	struct device_written_back done;
	struct device *plain = device_of_size(PAGE);
	struct world *w = world_make();

	assert_int_equal(device_writeback(plain, &order, &done), -ENOENT);
	device_end(plain);
	fill(w, 0, 10, CONTENT_TEXT);
	device_cancel(w->device);
	assert_int_equal(device_writeback(w->device, &order, &done), -ECANCELED);
	assert_int_equal(done.pages, 0);
	world_end(w);
}

/* A last page that is a short one. */
static void test_short(void **state)
{
	struct device_options options = options_make(3 * PAGE - 1000);
	struct device *d = device_make(&options);
	struct device_writeback order = {0};
	struct device_written_back done;
	struct backing_options store;
	char path[64], why[BACKING_WHY];
	uint8_t bytes[3 * PAGE], found[3 * PAGE];

	file_make(path);
	store = backing_at(path, MIB);
	assert_int_equal(device_open_backing(d, &store, why), 0);
	content_fill(&rng, CONTENT_TEXT, bytes, sizeof(bytes));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(device_write(d, bytes, 0, 3 * PAGE - 1000), 0);
		assert_int_equal(device_writeback(d, &order, &done), 0);
		assert_int_equal(done.pages, 3);
		assert_int_equal(device_read(d, found, 0, 3 * PAGE - 1000), 0);
		assert_memory_equal(found, bytes, 3 * PAGE - 1000);
	}
	assert_int_equal(device_write(d, bytes, 2 * PAGE, PAGE - 1000), 0);
	assert_int_equal(stats_of(d).pages_backing, 2);
	device_end(d);
	unlink(path);
}

/* Read once, a page stays where it is; read again, it comes back. */
static void test_bring_back(void **state)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct world *w;

	options.reserve = MIB;
	w = world_of(&options, 8 * MIB);
	assert_int_equal(device_start(w->device), 0);
	fill(w, 0, 100, CONTENT_TEXT);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 100);
	check_content(w);
	assert_int_equal(stats_of(w->device).brought_back, 0);
	/* Again and again, as the reserve may be low for a moment, and then it stays. */
	do
		assert_page(w->device, 5, w->bytes[5]);
	while (stats_of(w->device).brought_back == 0);
	assert_int_equal(slot_state(word_of(w, 5)), SLOT_POOL);
	assert_int_equal(stats_of(w->device).pages_backing, 99);
	do
		check_content(w);
	while (stats_of(w->device).pages_backing > 0);
	assert_int_equal(stats_of(w->device).pages_pool, 100);
	assert_int_equal(stats_of(w->device).pages_backing, 0);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 100);
	device_stop(w->device);
	world_end(w);
}

struct bytes {
	uint8_t *at;
	size_t len, done, size;
};

static int bytes_write(void *opaque, const void *data, size_t n)
{
	struct bytes *b = opaque;

	assert_true(b->len + n <= b->size);
	memcpy(b->at + b->len, data, n);
	b->len += n;
	return 0;
}

static ssize_t bytes_read(void *opaque, void *data, size_t n)
{
	struct bytes *b = opaque;
	size_t left = b->len - b->done;

	n = n < left ? n : left;
	memcpy(data, b->at + b->done, n);
	b->done += n;
	return (ssize_t)n;
}

static void overwrite(struct world *w, uint32_t page)
{
	put(w, page, CONTENT_TEXT);
}

/* What is backed is in the image as if it were in the pool; an error is that of its page. */
static void test_save(void **state)
{
	struct world *w = world_make();
	struct bytes image = {.size = PAGES * PAGE};
	struct image_counts counts;
	struct device_restored restored;

	image.at = malloc(image.size);
	assert_non_null(image.at);
	fill(w, 0, 100, CONTENT_TEXT);
	write_back(w, (struct device_writeback){.ranges_count = 1, .ranges = {{0, 49}}});
	store_relaxed(&read_error, EIO);
	assert_int_equal(device_save(w->device, bytes_write, &image, &counts), 0);
	store_relaxed(&read_error, 0);
	assert_int_equal(counts.objects, 50);
	assert_int_equal(counts.damaged, 50);
	image.len = 0;
	on_read = overwrite;
	assert_int_equal(device_save(w->device, bytes_write, &image, &counts), 0);
	assert_int_equal(counts.objects, 100);
	assert_int_equal(counts.damaged, 0);
	assert_int_equal(device_restore(w->device, true, bytes_read, &image, &restored), 0);
	assert_int_equal(stats_of(w->device).pages_backing, 0);
	free(image.at);
	world_end(w);
}

/* A dictionary stays for as long as an object is compressed with it, wherever that stands. */
static void test_dictionary(void **state)
{
	struct world *w = world_make();
	struct trainer trainer;
	unsigned int first;

	trainer_init(&trainer, w->device, "zstd", 1);
	fill(w, 0, 100, CONTENT_TEXT);
	assert_int_equal(trainer_add(&trainer), 1);
	for (uint64_t page = 0; page < 100; page++)
		assert_int_equal(trainer_recompress(&trainer, page), 0);
	first = dicts_newest(w->device);
	assert_int_equal(dicts_objects(w->device, first), 100);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 100);
	assert_int_equal(dicts_objects(w->device, first), 100);
	assert_int_equal(stats_of(w->device).pages_dict, 100);
	assert_int_equal(trainer_add(&trainer), 2);
	assert_int_equal(dicts_retire(w->device), 0);
	check_content(w);
	for (uint64_t page = 0; page < 100; page++)
		put(w, page, CONTENT_TEXT);
	assert_int_equal(dicts_objects(w->device, first), 0);
	assert_int_equal(dicts_retire(w->device), 1);
	trainer_fini(&trainer);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all, backed_setup),
		cmocka_unit_test_setup(test_looks, backed_setup),
		cmocka_unit_test_setup(test_types, backed_setup),
		cmocka_unit_test_setup(test_bounds, backed_setup),
		cmocka_unit_test_setup(test_refused, backed_setup),
		cmocka_unit_test_setup(test_short, backed_setup),
		cmocka_unit_test_setup(test_bring_back, backed_setup),
		cmocka_unit_test_setup(test_save, backed_setup),
		cmocka_unit_test_setup(test_dictionary, backed_setup),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
