/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the backing store share: a file to have one in, and a table of slots. */
#ifndef ZCRAM_TESTS_BACKING_FIXTURE_H
#define ZCRAM_TESTS_BACKING_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/backing/table.h"
#include "tests/lib/check.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

/* An empty file of SIZE bytes in the directory for temporary files; PATH: of at least 256 bytes. */
static inline void file_make(char *path, uint64_t size)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(path, 256, "%s/zcram-backing-XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(path);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "%s", path);
	close(fd);
}

/* A table of empty pages that a kill leaves alone. */
static inline void table_init(struct table *table, uint32_t pages)
{
	*table = (struct table){.pages = pages};
	table->slots = mmap(NULL, pages * sizeof(uint64_t), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(table->slots != MAP_FAILED, "no memory");
}

static inline void table_fini(struct table *table)
{
	munmap(table->slots, table->pages * sizeof(uint64_t));
}

/* Small segments, so that there are many. */
static inline struct backing_options table_options(struct table *table, const char *where)
{
	return (struct backing_options){
		.where = where,
		.name = "test",
		.segment_size = 64 * KIB,
		.ops = table_ops(table),
	};
}

static inline void table_open(struct table *table, const struct backing_options *options)
{
	char why[BACKING_WHY] = "";
	int r = backing_open(options, &table->backing, why);

	CHECK(r == 0, "%s: %s (%s)", options->where, strerror(-r), why);
}

/* Write it all, validate, and close. */
static inline void table_close(struct table *table)
{
	backing_flush(table->backing);
	table_validate(table);
	backing_close(table->backing);
	table->backing = NULL;
}

static inline struct backing_stats stats_of(const struct table *table)
{
	struct backing_stats stats;

	backing_get_stats(table->backing, &stats);
	return stats;
}

#endif
