/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that work on a table and its backing store all at once. */
#ifndef ZCRAM_TESTS_BACKING_LOAD_H
#define ZCRAM_TESTS_BACKING_LOAD_H

#include "tests/backing/table.h"

struct load {
	struct table *table;
	unsigned int threads; /* that read, write and drop pages, beside the writer that evicts and
				 cleans */
	uint64_t seed;
	uint64_t ops;	/* of the writer */
	uint64_t *done; /* operations of the writer; atomic, the caller's */
};

/* Runs until all is done. Every page that is read is checked. */
void load_run(const struct load *load);

#endif
