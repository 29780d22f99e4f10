/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery: how long a new process takes to find a device in the store of one that was killed, and
 * how much memory of its own. In every other round it has been waiting, and is prepared for it.
 */
#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/engine.h"
#include "bench/numbers.h"

struct world {
	const struct engine *engine;
	struct device_options options;
	uint64_t pages;
};

static struct device *make_device(const struct world *w, bool ahead)
{
	struct device_options options = w->options;
	struct device *device;

	options.ahead = ahead;
	must(device_new(&options, &device), "device_new");
	if (ahead) {
		must(device_prefault_ahead(device), "device_prefault_ahead");
		must(device_take_over(device), "device_take_over");
	}
	return device;
}

/* Filled in order, half of it written again at random, and killed as it is. */
static void fill(const struct world *w)
{
	const struct input *input = &w->engine->input;
	struct device *device = make_device(w, false);
	uint64_t state = 1;

	must(device_start(device), "device_start");
	for (uint64_t i = 0; i < w->pages + w->pages / 2; i++) {
		uint64_t page = i < w->pages ? i : random_next(&state) % w->pages;

		must(device_write(device, input_page(input, i), page * PAGE_SIZE, PAGE_SIZE),
		     "device_write");
	}
	raise(SIGKILL);
}

static void recover(const struct world *w, unsigned int round)
{
	bool ahead = round % 2 == 0;
	struct device *device = make_device(w, ahead);
	struct device_recovery found;
	struct device_stats stats;
	const char *why;

	device_get_recovery(device, &found);
	device_get_stats(device, &stats);
	printf("recover allocator=%s algorithm=%s round=%u ahead=%d pages=%" PRIu64
	       " payload=%" PRIu64 " damaged=%" PRIu64 " freed=%" PRIu64 " metadata=%" PRIu64
	       " seconds=%.3f\n",
	       w->engine->allocator_name, w->engine->algorithm, round, ahead, found.pages,
	       stats.payload, found.damaged, found.cells_freed, stats.metadata,
	       (double)found.ns / 1e9);
	fflush(stdout);
	if (device_validate(device, &why) < 0)
		errx(EXIT_FAILURE, "not valid: %s", why);
	_exit(EXIT_SUCCESS);
}

static void in_child(const struct world *w, unsigned int round)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	if (pid == 0 && round == 0)
		fill(w);
	if (pid == 0)
		recover(w, round);
	if (waitpid(pid, &status, 0) < 0)
		err(EXIT_FAILURE, "waitpid");
	if (round > 0 && status != 0)
		errx(EXIT_FAILURE, "recovery failed");
}

void measure_recovery(const struct engine *engine)
{
	struct world w = {.engine = engine, .pages = engine_pages_for_payload(engine)};

	w.options = (struct device_options){
		.allocator = engine->allocator,
		.size = w.pages * PAGE_SIZE,
		.reserve = 8 * MIB,
		.method = engine->method,
	};
	w.options.store_size = device_store_size(w.options.size);
	w.options.store = mmap(NULL, w.options.store_size, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w.options.store == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");
	for (unsigned int round = 0; round <= engine->rounds; round++)
		in_child(&w, round);
	munmap(w.options.store, w.options.store_size);
}
