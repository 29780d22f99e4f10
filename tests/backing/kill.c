/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: processes with a backing store are killed, one after the other, at random moments;
 * each goes on with what the last one's slots name.
 *
 *	kill auto|threads|nbd KILLS
 */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/backing/export.h"
#include "tests/backing/fixture.h"
#include "tests/backing/load.h"

#define PAGES 2000U

/* Shared with those that are killed. */
struct shared {
	uint64_t done; /* operations of the writer, atomic */
	uint8_t uuid[16];
};

static void open_next(struct table *table, struct backing_options *options, struct shared *shared)
{
	table_open(table, options);
	if (options->recover)
		table_recover(table);
	else
		backing_get_uuid(table->backing, shared->uuid);
	table_validate(table);
	for (uint32_t page = 0; page < PAGES; page += 50)
		CHECK(table_read(table, page, 50, false) == 0, "page %u", page);
}

static _Noreturn void live(struct table *table, struct backing_options *options,
			   struct shared *shared, uint64_t seed)
{
	const struct load load = {.table = table,
				  .threads = 3,
				  .seed = seed,
				  .ops = UINT64_MAX,
				  .done = &shared->done};

	open_next(table, options, shared);
	load_run(&load);
	_exit(0);
}

static void kill_one(struct table *table, struct backing_options *options, struct shared *shared,
		     struct rng *rng)
{
	uint64_t until = rng_below(rng, 2000), seed = rng_next(rng);
	pid_t pid, ended = 0;
	int status = 0;

	store_relaxed(&shared->done, 0);
	pid = fork();
	CHECK(pid >= 0, "fork");
	if (pid == 0)
		live(table, options, shared, seed);
	while (ended == 0 && load_relaxed(&shared->done) <= until) {
		sched_yield();
		ended = waitpid(pid, &status, WNOHANG);
	}
	if (ended == 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "ended by itself: %#x", status);
}

int main(int argc, char **argv)
{
	/* One thread: of several, nbdkit 1.32 ends by an assertion when one sends on a connection that
	   another has found closed. */
	static const char *const args[] = {"-t", "1", "memory", "4M", NULL};
	struct rng rng = rng_make(test_seed(0));
	struct backing_options options;
	struct export export = {0};
	struct shared *shared;
	struct table table;
	uint64_t kills;
	char path[256];

	CHECK(argc == 3, "usage: %s auto|threads|nbd KILLS", argv[0]);
	kills = test_ops(strtoull(argv[2], NULL, 10));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	CHECK(shared != MAP_FAILED, "no memory");
	table_init(&table, PAGES);
	file_make(path, 4 * MIB);
	options = table_options(&table, path);
	if (strcmp(argv[1], "threads") == 0)
		options.engine = BACKING_THREADS;
	if (strcmp(argv[1], "nbd") == 0) {
		export_init(&export);
		export_start(&export, args);
		options.where = export.uri;
	}
	for (uint64_t i = 0; i < kills; i++) {
		kill_one(&table, &options, shared, &rng);
		options.recover = shared->uuid;
	}
	open_next(&table, &options, shared);
	printf("%llu kills, %llu bytes live at the end\n", (unsigned long long)kills,
	       (unsigned long long)stats_of(&table).live);
	CHECK(stats_of(&table).live > 0, "nothing was written");
	table_close(&table);
	if (export.pid > 0)
		export_fini(&export);
	table_fini(&table);
	unlink(path);
	return 0;
}
