/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the bytes of a backing store are changed in any way, header and records too, and then it is read,
 * cleaned, and opened again: an object is what it was, or cannot be read, and nothing else comes of it.
 *
 * An input is a list of changes: where (3 bytes), how many (1), and the bytes.
 */
#include <errno.h>
#include <fcntl.h>

#include "tests/backing/fixture.h"

#define PAGES 400U
#define SIZE  MIB
#define HEAD  4 /* bytes before those of a change */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct table table;
	struct backing_options options;
	int file;
	char path[64];
	uint8_t uuid[16];
};

static void begin(struct world *w)
{
	table_init(&w->table, PAGES);
	w->file = memfd_create("fuzz-damage", MFD_CLOEXEC);
	CHECK(w->file >= 0 && ftruncate(w->file, SIZE) == 0, "no file in memory");
	snprintf(w->path, sizeof(w->path), "/proc/self/fd/%d", w->file);
	w->options = table_options(&w->table, w->path);
	w->options.engine = BACKING_THREADS;
	table_open(&w->table, &w->options);
	backing_get_uuid(w->table.backing, w->uuid);
	/* In several parts, and of each segment a third is live. */
	for (uint32_t page = 0; page < PAGES; page++) {
		table_write(&w->table, page);
		CHECK(table_evict(&w->table, page) == 0, "evict");
		if (page % 37 == 0)
			CHECK(backing_flush(w->table.backing) == 0, "flush");
	}
	CHECK(backing_flush(w->table.backing) == 0, "flush");
	for (uint32_t page = 0; page < PAGES; page++)
		if (page % 3)
			table_drop(&w->table, page);
}

static void damage(struct world *w, const uint8_t *data, size_t size)
{
	while (size > HEAD) {
		uint64_t at = (data[0] | (uint64_t)data[1] << 8 | (uint64_t)data[2] << 16) % SIZE;
		size_t n = min_u64(min_u64(data[3] % 32U + 1, size - HEAD), SIZE - at);

		CHECK(pwrite(w->file, data + HEAD, n, (off_t)at) == (ssize_t)n, "pwrite");
		data += HEAD + n;
		size -= HEAD + n;
	}
}

/* How many cannot be read; what can be, table_read() compares. */
static unsigned int read_all(struct world *w)
{
	unsigned int bad = 0;

	for (uint32_t page = 0; page < PAGES; page += 50)
		bad += table_read(&w->table, page, 50, false);
	return bad;
}

static void clean_all(struct world *w)
{
	for (int i = 0; i < 20; i++) {
		int r = backing_clean(w->table.backing);

		CHECK(r == 0 || r == -EAGAIN || r == -EIO, "clean: %d", r);
	}
	CHECK(backing_flush(w->table.backing) == 0, "flush");
	table_validate(&w->table);
}

static void open_again(struct world *w)
{
	char why[BACKING_WHY] = "";
	int r;

	backing_close(w->table.backing);
	w->table.backing = NULL;
	w->options.recover = w->uuid;
	r = backing_open(&w->options, &w->table.backing, why);
	CHECK((r == 0) == (why[0] == '\0') && (r == 0 || r == -ESTALE), "open: %d, %s", r, why);
	if (r == 0)
		table_recover(&w->table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w;
	unsigned int before;

	begin(&w);
	damage(&w, data, size);
	before = read_all(&w);
	clean_all(&w);
	CHECK(read_all(&w) == before, "more or less can be read after cleaning");
	open_again(&w);
	if (w.table.backing) {
		CHECK(read_all(&w) == before, "more or less can be read by the next process");
		clean_all(&w);
		CHECK(read_all(&w) == before, "more or less can be read after cleaning again");
		backing_close(w.table.backing);
	}
	close(w.file);
	table_fini(&w.table);
	return 0;
}
