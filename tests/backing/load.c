/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/backing/load.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "common/util.h"
#include "tests/lib/check.h"

#define THREADS_MAX 16U

/*
 * Neither side is to run away from the other, whoever is scheduled: then nothing that is evicted
 * would ever be written, or there would be nothing to evict. The workers do once to thrice as much
 * as the writer, but for these.
 */
#define AHEAD 500U

struct worker {
	const struct load *load;
	unsigned int number;
	const uint32_t *stop; /* atomic, like the next */
	uint64_t *done;	      /* by all workers */
	pthread_t thread;
};

static void use(const struct load *load, struct rng *rng)
{
	struct table *t = load->table;
	uint32_t page = (uint32_t)rng_below(rng, t->pages);
	uint32_t count = (uint32_t)min_u64(rng_between(rng, 1, 8), t->pages - page);
	uint64_t what = rng_below(rng, 100);

	if (what < 30)
		table_write(t, page);
	else if (what < 85)
		CHECK(table_read(t, page, count, what < 40) == 0, "page %u", page);
	else
		table_drop(t, page);
}

static void *work(void *opaque)
{
	struct worker *w = opaque;
	struct rng rng = rng_make(rng_mix(w->load->seed + w->number + 1));

	while (!load_relaxed(w->stop)) {
		if (load_relaxed(w->done) > 3 * load_relaxed(w->load->done) + AHEAD) {
			sched_yield();
			continue;
		}
		use(w->load, &rng);
		add_relaxed(w->done, 1);
	}
	return NULL;
}

/* The writer's thread. */
static void write_back(const struct load *load, struct rng *rng)
{
	struct table *t = load->table;
	uint64_t what = rng_below(rng, 1000);
	int r = 0;

	if (what < 940)
		r = table_evict(t, (uint32_t)rng_below(rng, t->pages));
	else if (what < 960)
		backing_reap(t->backing);
	else if (what < 995)
		r = backing_clean(t->backing);
	else
		r = backing_flush(t->backing);
	if (r == -ENOSPC)
		r = backing_clean(t->backing);
	CHECK(r == 0 || r == -ENOENT || r == -EALREADY || r == -EAGAIN, "%s", strerror(-r));
	add_relaxed(load->done, 1);
}

void load_run(const struct load *load)
{
	struct worker workers[THREADS_MAX];
	struct rng rng = rng_make(rng_mix(load->seed));
	uint64_t done = 0;
	uint32_t stop = 0;

	CHECK(load->threads <= THREADS_MAX, "threads");
	for (unsigned int i = 0; i < load->threads; i++) {
		workers[i] =
			(struct worker){.load = load, .number = i, .stop = &stop, .done = &done};
		CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "thread");
	}
	for (uint64_t i = 0; i < load->ops; i++) {
		while (i > load_relaxed(&done) + AHEAD)
			sched_yield();
		write_back(load, &rng);
	}
	store_relaxed(&stop, 1);
	for (unsigned int i = 0; i < load->threads; i++)
		pthread_join(workers[i].thread, NULL);
}
