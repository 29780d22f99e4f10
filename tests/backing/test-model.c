/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: random operations on a backing store, with recovery in between, against a table that
 * knows what each page has to be. */
#include <errno.h>

#include "tests/backing/fixture.h"

#define PAGES 3000U

struct run {
	struct table table;
	struct backing_options options;
	struct rng rng;
	uint8_t uuid[16];
	char path[256];
	uint32_t hot; /* pages that are worked with now */
};

static void evict(struct run *run, uint32_t page)
{
	int r = table_evict(&run->table, page);

	if (r == -ENOSPC) {
		r = backing_clean(run->table.backing);
		CHECK(r == 0 || r == -EAGAIN, "%s", strerror(-r));
		return;
	}
	CHECK(r == 0 || r == -ENOENT || r == -EALREADY, "%s", strerror(-r));
}

/* A new process: what was not written is in the pool still. */
static void reopen(struct run *run)
{
	backing_close(run->table.backing);
	run->options.recover = run->uuid;
	table_open(&run->table, &run->options);
	table_recover(&run->table);
	table_validate(&run->table);
}

static void operate(struct run *run)
{
	uint32_t page = (uint32_t)rng_below(&run->rng, run->hot);
	uint32_t count = (uint32_t)rng_between(&run->rng, 1, 16);
	uint64_t what = rng_below(&run->rng, 1000);
	struct table *t = &run->table;

	if (what < 250)
		table_write(t, page);
	else if (what < 650)
		evict(run, page);
	else if (what < 850)
		table_read(t, page, (uint32_t)min_u64(count, PAGES - page), what < 700);
	else if (what < 950)
		table_drop(t, page);
	else if (what < 970)
		backing_reap(t->backing);
	else if (what < 990)
		(void)backing_clean(t->backing);
	else if (what < 996)
		backing_flush(t->backing);
	else if (what < 998)
		run->hot = (uint32_t)rng_between(&run->rng, 10, PAGES);
	else if (what < 999)
		reopen(run);
	else
		for (uint32_t i = page; i < page + count && i < PAGES; i++)
			table_drop(t, i);
}

int main(int argc, char **argv)
{
	struct run run = {.hot = PAGES};
	uint64_t ops = test_ops(60000);
	struct backing_stats stats;

	CHECK(argc == 2, "usage: %s auto|threads", argv[0]);
	run.rng = rng_make(test_seed(0));
	table_init(&run.table, PAGES);
	file_make(run.path, rng_between(&run.rng, 8, 80) * 64 * KIB);
	run.options = table_options(&run.table, run.path);
	run.options.engine = strcmp(argv[1], "threads") == 0 ? BACKING_THREADS : BACKING_AUTO;
	run.options.depth = (unsigned int)rng_between(&run.rng, 1, 6);
	run.options.readers = (unsigned int)rng_between(&run.rng, 1, 20);
	table_open(&run.table, &run.options);
	backing_get_uuid(run.table.backing, run.uuid);
	for (uint64_t i = 0; i < ops; i++)
		operate(&run);
	backing_flush(run.table.backing);
	for (uint32_t page = 0; page < PAGES; page += 50)
		CHECK(table_read(&run.table, page, 50, false) == 0, "page %u", page);
	stats = stats_of(&run.table);
	printf("%llu operations, %llu written, %llu moved, %llu refused; of the last process: %llu "
	       "objects, %llu segments cleaned\n",
	       (unsigned long long)ops, (unsigned long long)run.table.stored,
	       (unsigned long long)run.table.moved, (unsigned long long)run.table.refused,
	       (unsigned long long)stats.objects, (unsigned long long)stats.cleaned);
	CHECK(stats.damaged == 0, "damaged");
	table_close(&run.table);
	table_fini(&run.table);
	unlink(run.path);
	return 0;
}
