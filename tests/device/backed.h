/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of writeback share: a device with a backing store in a file, and what its pages hold.
 *
 * The linker has the room's calls come by here (tests/device/meson.build), so that something can happen between any
 * two of them.
 */
#ifndef ZCRAM_TESTS_BACKED_H
#define ZCRAM_TESTS_BACKED_H

#include <errno.h>
#include <unistd.h>

#include "device/device-types.h"
#include "tests/device/fixture.h"

#define PAGES 600

struct world {
	struct device *device;
	char path[64];
	uint8_t bytes[PAGES][PAGE];
};

/* Of all content; the program's to begin. */
extern struct rng rng;

/* Called when an object was appended, and when objects were read: once, of the world that was made last. */
extern void (*on_append)(struct world *w, uint32_t page);
extern void (*on_read)(struct world *w, uint32_t page);

/* errno of the store's reads and writes to come; 0: they succeed. Atomic. */
extern int read_error, write_error;

/* Past what is above. */
ssize_t __real_pread64(int fd, void *buf, size_t n, off_t offset);
ssize_t __real_pwrite64(int fd, const void *buf, size_t n, off_t offset);

/* Of each test: nothing is to happen. */
int backed_setup(void **state);

/* An empty file; PATH is its name. */
void file_make(char path[64]);
struct backing_options backing_at(const char *path, uint64_t size);
/* A device like OPTIONS, of PAGES, with a store of SIZE bytes. */
struct world *world_of(const struct device_options *options, uint64_t size);
struct world *world_make(void);
void put(struct world *w, uint64_t page, enum content_kind kind);
void fill(struct world *w, uint64_t from, uint64_t count, enum content_kind kind);
void drop(struct world *w, uint64_t page);
void check_content(struct world *w);
/* Validates, and sees that nothing of what was stored is left in the store. */
void world_end(struct world *w);
slot_word word_of(const struct world *w, uint64_t page);
/* By hand: what was done. */
struct device_written_back write_back(struct world *w, struct device_writeback order);
uint64_t write_type(struct world *w, enum device_writeback_type type);
struct backing *backing_of(const struct world *w);

#endif
