/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/device/backed.h"

#include <stdio.h>

struct rng rng;
void (*on_append)(struct world *w, uint32_t page);
void (*on_read)(struct world *w, uint32_t page);
int read_error, write_error;

static struct world *world;

int __real_backing_append(struct backing *b, uint32_t owner, uint8_t encoding, const void *payload,
			  size_t len, uint64_t cookie, backing_location *ret_location);
int __real_backing_read(struct backing *b, struct backing_fetch *fetches, unsigned int count);
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

void file_make(char path[64])
{
	int fd;

	strcpy(path, "/tmp/zcram-writeback-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

struct backing_options backing_at(const char *path, uint64_t size)
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

struct world *world_of(const struct device_options *options, uint64_t size)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	file_make(w->path);
	w->device = device_make(options);
	open_backing(w, size);
	world = w;
	return w;
}

struct world *world_make(void)
{
	struct device_options options = options_make(PAGES * PAGE);

	return world_of(&options, 8 * MIB);
}

void put(struct world *w, uint64_t page, enum content_kind kind)
{
	content_fill(&rng, kind, w->bytes[page], PAGE);
	write_page(w->device, page, w->bytes[page]);
}

void fill(struct world *w, uint64_t from, uint64_t count, enum content_kind kind)
{
	for (uint64_t page = from; page < from + count; page++)
		put(w, page, kind);
}

void drop(struct world *w, uint64_t page)
{
	memset(w->bytes[page], 0, PAGE);
	assert_int_equal(device_trim(w->device, page * PAGE, PAGE), 0);
}

void check_content(struct world *w)
{
	for (uint64_t page = 0; page < PAGES; page++)
		assert_page(w->device, page, w->bytes[page]);
}

void world_end(struct world *w)
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

slot_word word_of(const struct world *w, uint64_t page)
{
	return slot_peek(&w->device->slots[page]);
}

struct device_written_back write_back(struct world *w, struct device_writeback order)
{
	struct device_written_back done;

	assert_int_equal(device_writeback(w->device, &order, &done), 0);
	return done;
}

uint64_t write_type(struct world *w, enum device_writeback_type type)
{
	return write_back(w, (struct device_writeback){.type = type}).pages;
}

struct backing *backing_of(const struct world *w)
{
	return writeback_backing(w->device->writeback);
}

int backed_setup(void **state)
{
	on_append = on_read = NULL;
	return 0;
}
