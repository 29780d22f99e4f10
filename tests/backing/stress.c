/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: many threads read, write and drop pages while one writes them back and cleans.
 *
 *	stress auto|threads|nbd THREADS OPS
 */
#include "tests/backing/export.h"
#include "tests/backing/fixture.h"
#include "tests/backing/load.h"

#define PAGES 2000U

int main(int argc, char **argv)
{
	static const char *const args[] = {"memory", "3M", NULL};
	struct backing_options options;
	struct export export = {0};
	struct backing_stats stats;
	uint64_t done = 0;
	struct table table;
	struct load load;
	char path[256];

	CHECK(argc == 4, "usage: %s auto|threads|nbd THREADS OPS", argv[0]);
	load = (struct load){
		.table = &table,
		.seed = test_seed(0),
		.threads = (unsigned int)strtoul(argv[2], NULL, 10),
		.ops = test_ops(strtoull(argv[3], NULL, 10)),
		.done = &done,
	};
	table_init(&table, PAGES);
	/* So small that it is full most of the time. */
	file_make(path, 3 * MIB);
	options = table_options(&table, path);
	options.readers = 6;
	if (strcmp(argv[1], "threads") == 0)
		options.engine = BACKING_THREADS;
	if (strcmp(argv[1], "nbd") == 0) {
		export_init(&export);
		export_start(&export, args);
		options.where = export.uri;
	}
	table_open(&table, &options);
	load_run(&load);
	stats = stats_of(&table);
	printf("%llu operations: %llu stored, %llu moved, %llu refused, %llu read, %llu segments "
	       "cleaned\n",
	       (unsigned long long)done, (unsigned long long)table.stored,
	       (unsigned long long)table.moved, (unsigned long long)table.refused,
	       (unsigned long long)stats.reads, (unsigned long long)stats.cleaned);
	CHECK(table.stored > 0 && table.moved > 0 && stats.reads > 0, "too little was done");
	CHECK(stats.damaged + stats.failed_reads + stats.failed_writes == 0, "failures");
	table_close(&table);
	if (export.pid > 0)
		export_fini(&export);
	table_fini(&table);
	unlink(path);
	return 0;
}
