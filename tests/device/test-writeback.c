/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: writeback: what is chosen; pages that are touched, freed, moved or compressed again while
 * they are written, or read, or cleaned; stores that are full, fail, lie, or are another's.
 *
 * The linker has the room's calls come by here, so that something can happen between any two of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "device/device-types.h"
#include "device/recompress.h"
#include "device/save.h"
#include "tests/device/store.h"
#include "tests/lib/trainer.h"

#define PAGES 600

struct world {
	struct device *device;
	char path[64];
	uint8_t bytes[PAGES][PAGE];
};

static struct rng rng;

/* Called when an object was appended, and when objects were read: once. */
static void (*on_append)(struct world *w, uint32_t page);
static void (*on_read)(struct world *w, uint32_t page);
static struct world *world;
static int read_error, write_error; /* errno of the calls to come; 0: they succeed */

int __real_backing_append(struct backing *b, uint32_t owner, uint8_t encoding, const void *payload,
			  size_t len, uint64_t cookie, backing_location *ret_location);
int __real_backing_read(struct backing *b, struct backing_fetch *fetches, unsigned int count);
ssize_t __real_pread64(int fd, void *buf, size_t n, off_t offset);
ssize_t __real_pwrite64(int fd, const void *buf, size_t n, off_t offset);
int __wrap_backing_append(struct backing *b, uint32_t owner, uint8_t encoding, const void *payload,
			  size_t len, uint64_t cookie, backing_location *ret_location);
int __wrap_backing_read(struct backing *b, struct backing_fetch *fetches, unsigned int count);
ssize_t __wrap_pread64(int fd, void *buf, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t n, off_t offset);

int __wrap_backing_append(struct backing *b, uint32_t owner, uint8_t encoding, const void *payload,
			  size_t len, uint64_t cookie, backing_location *ret_location)
{
	int r = __real_backing_append(b, owner, encoding, payload, len, cookie, ret_location);
	void (*event)(struct world * w, uint32_t page) = on_append;

	if (r == 0 && event) {
		on_append = NULL;
		event(world, owner);
	}
	return r;
}

int __wrap_backing_read(struct backing *b, struct backing_fetch *fetches, unsigned int count)
{
	uint32_t owner = fetches[0].object.owner;
	int r = __real_backing_read(b, fetches, count);
	void (*event)(struct world * w, uint32_t page) = on_read;

	if (event) {
		on_read = NULL;
		event(world, owner);
	}
	return r;
}

ssize_t __wrap_pread64(int fd, void *buf, size_t n, off_t offset)
{
	int error = load_relaxed(&read_error);

	if (error == 0)
		return __real_pread64(fd, buf, n, offset);
	errno = error;
	return -1;
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t n, off_t offset)
{
	int error = load_relaxed(&write_error);

	if (error == 0)
		return __real_pwrite64(fd, buf, n, offset);
	errno = error;
	return -1;
}

static void file_make(char path[64])
{
	int fd;

	strcpy(path, "/tmp/zcram-writeback-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

static struct backing_options backing_at(const char *path, uint64_t size)
{
	return (struct backing_options){
		.where = path,
		.name = "test",
		.file_size = size,
		.segment_size = 64 * KIB,
		.engine = BACKING_THREADS,
	};
}

static void open_backing(struct world *w, uint64_t size)
{
	struct backing_options options = backing_at(w->path, size);
	char why[BACKING_WHY] = "";

	if (device_open_backing(w->device, &options, why) < 0)
		fail_msg("%s", why);
}

static struct world *world_of(const struct device_options *options, uint64_t size)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	file_make(w->path);
	w->device = device_make(options);
	open_backing(w, size);
	world = w;
	return w;
}

static struct world *world_make(void)
{
	struct device_options options = options_make(PAGES * PAGE);

	return world_of(&options, 8 * MIB);
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

static void drop(struct world *w, uint64_t page)
{
	memset(w->bytes[page], 0, PAGE);
	assert_int_equal(device_trim(w->device, page * PAGE, PAGE), 0);
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
	assert_int_equal(device_trim(w->device, 0, PAGES * PAGE), 0);
	assert_valid(w->device);
	assert_int_equal(stats_of(w->device).backing_live, 0);
	device_end(w->device);
	unlink(w->path);
	free(w);
	world = NULL;
}

static slot_word word_of(const struct world *w, uint64_t page)
{
	return slot_peek(&w->device->slots[page]);
}

static struct device_written_back write_back(struct world *w, struct device_writeback order)
{
	struct device_written_back done;

	assert_int_equal(device_writeback(w->device, &order, &done), 0);
	return done;
}

static uint64_t write_type(struct world *w, enum device_writeback_type type)
{
	return write_back(w, (struct device_writeback){.type = type}).pages;
}

static struct backing *backing_of(const struct world *w)
{
	return writeback_backing(w->device->writeback);
}

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

/* What does not fit stays in the pool, and is written when there is room again. */
static void test_full(void **state)
{
	struct device_options options = options_make(PAGES * PAGE);
	struct world *w = world_of(&options, MIB);
	struct device_writeback order = {0};
	struct device_written_back done;
	uint64_t backed;

	fill(w, 0, PAGES, CONTENT_RANDOM);
	assert_int_equal(device_writeback(w->device, &order, &done), -ENOSPC);
	backed = stats_of(w->device).pages_backing;
	assert_int_equal(done.pages, backed);
	assert_true(backed > 100 && backed < 256);
	assert_int_equal(stats_of(w->device).pages_pool, PAGES - backed);
	check_content(w);
	for (int i = 0; i < 20; i++) {
		for (uint64_t page = (uint64_t)i; page < PAGES; page += 3)
			put(w, page, CONTENT_RANDOM);
		assert_int_equal(device_writeback(w->device, &order, &done), -ENOSPC);
		assert_true(done.pages > 30);
		assert_valid(w->device);
		check_content(w);
	}
	assert_true(stats_of(w->device).backing_moved > 0);
	world_end(w);
}

/* Each error is of the pages that could not be read, and of no other. */
static void test_read_fails(void **state)
{
	struct world *w = world_make();
	uint8_t found[8 * PAGE];
	struct device_stats s;

	fill(w, 0, 100, CONTENT_TEXT);
	write_back(w, (struct device_writeback){.ranges_count = 1, .ranges = {{0, 49}}});
	store_relaxed(&read_error, EIO);
	assert_int_equal(device_read(w->device, found, 10 * PAGE, PAGE), -EIO);
	assert_int_equal(device_read(w->device, found, 10 * PAGE + 3, 5), -EIO);
	assert_int_equal(device_read(w->device, found, 46 * PAGE, 8 * PAGE), -EIO);
	assert_int_equal(device_write(w->device, found, 10 * PAGE + 3, 5), -EIO);
	assert_page(w->device, 60, w->bytes[60]);
	put(w, 11, CONTENT_TEXT);
	drop(w, 12);
	assert_page(w->device, 11, w->bytes[11]);
	store_relaxed(&read_error, 0);
	s = stats_of(w->device);
	assert_int_equal(s.failed_reads, 3);
	assert_int_equal(s.failed_writes, 1);
	assert_true(s.backing_read_errors >= 4);
	assert_int_equal(s.pages_backing, 48);
	world_end(w);
}

/* A write that fails ends writeback, until it is ordered anew, and nothing else. */
static void test_write_fails(void **state)
{
	struct device_writeback order = {0};
	struct device_written_back done;
	struct world *w = world_make();
	struct backing_stats s;

	fill(w, 0, 300, CONTENT_RANDOM);
	store_relaxed(&write_error, ENOSPC);
	assert_true(device_writeback(w->device, &order, &done) < 0);
	store_relaxed(&write_error, 0);
	assert_int_equal(done.pages, 0);
	assert_int_equal(stats_of(w->device).pages_pool, 300);
	assert_true(stats_of(w->device).backing_write_errors > 0);
	assert_true(device_get_backing(w->device, &s));
	assert_int_equal(s.state, BACKING_FAILED);
	assert_int_equal(s.error, -ENOSPC);
	assert_valid(w->device);
	check_content(w);
	assert_int_equal(write_type(w, DEVICE_WRITEBACK_ALL), 300);
	assert_true(device_get_backing(w->device, &s));
	assert_int_equal(s.state, BACKING_READY);
	world_end(w);
}

/* Some bytes of the store are others than were written: those pages cannot be read, and no other. */
static void test_broken(void **state)
{
	struct world *w = world_make();
	struct backing_object object;
	uint8_t byte, found[PAGE];
	int fd;

	fill(w, 0, 100, CONTENT_TEXT);
	write_type(w, DEVICE_WRITEBACK_ALL);
	object = slot_object(word_of(w, 20), 20);
	fd = open(w->path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	/* In units of 8 bytes; a record has 12 before the payload. */
	object.location = (object.location & ((UINT64_C(1) << 40) - 1)) * 8 + 12 + object.len / 2;
	assert_int_equal(__real_pread64(fd, &byte, 1, (off_t)object.location), 1);
	byte ^= 0x10;
	assert_int_equal(__real_pwrite64(fd, &byte, 1, (off_t)object.location), 1);
	close(fd);
	assert_int_equal(device_read(w->device, found, 20 * PAGE, PAGE), -EIO);
	for (uint64_t page = 0; page < 100; page++)
		if (page != 20)
			assert_page(w->device, page, w->bytes[page]);
	assert_int_equal(stats_of(w->device).backing_read_errors, 1);
	put(w, 20, CONTENT_TEXT);
	world_end(w);
}

/* In a store: what a new process finds, with the right backing store, another, or none. */

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

/* Images. */

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

static int setup(void **state)
{
	on_append = on_read = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all, setup),
		cmocka_unit_test_setup(test_looks, setup),
		cmocka_unit_test_setup(test_types, setup),
		cmocka_unit_test_setup(test_bounds, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_races, setup),
		cmocka_unit_test_setup(test_young, setup),
		cmocka_unit_test_setup(test_read_races, setup),
		cmocka_unit_test_setup(test_part_races, setup),
		cmocka_unit_test_setup(test_short, setup),
		cmocka_unit_test_setup(test_bring_back, setup),
		cmocka_unit_test_setup(test_back_while_cleaned, setup),
		cmocka_unit_test_setup(test_full, setup),
		cmocka_unit_test_setup(test_read_fails, setup),
		cmocka_unit_test_setup(test_write_fails, setup),
		cmocka_unit_test_setup(test_broken, setup),
		cmocka_unit_test_setup(test_recover, setup),
		cmocka_unit_test_setup(test_recover_without, setup),
		cmocka_unit_test_setup(test_replaced, setup),
		cmocka_unit_test_setup(test_recover_damaged, setup),
		cmocka_unit_test_setup(test_save, setup),
		cmocka_unit_test_setup(test_dictionary, setup),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
