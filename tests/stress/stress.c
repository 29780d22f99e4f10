/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: many threads on one device, compaction always at work, settings that change, every
 * byte accounted for.
 *
 * stress THREADS SCALE ITER SEED; SEED 0: a random one. Each of ITER rounds makes a device, of one
 * configuration after the other, half of them with a limit that is met, and runs PHASES times
 * THREADS threads on it. Between phases, when all is quiet, everything is checked: content, extents,
 * counters, the device's own invariants. SCALE is the size: of the device and of the threads' work.
 *
 * The device has three parts:
 *	shared   pages that all threads write and drop whole (shared.h)
 *	sectors  pages of which each thread has sectors of its own: part-page requests must never
 *		 undo a neighbour's
 *	own	 a range for each thread, where it does anything, and knows every byte; it does not
 *		 end on a page's border
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/device-types.h"
#include "tests/lib/allocator.h"
#include "tests/lib/check.h"
#include "tests/lib/content.h"
#include "tests/lib/evictor.h"
#include "tests/lib/model.h"
#include "tests/lib/rng.h"
#include "tests/stress/shared.h"

#define PAGE		 DEVICE_PAGE_SIZE
#define SECTOR		 512
#define SECTORS_PER_PAGE (PAGE / SECTOR)
#define PHASES		 4
#define OWN_MAX		 (16 * PAGE) /* of one request */
#define CORPUS_SIZE	 (2u << 20)
#define EVICTOR_MIN	 (UINT64_C(8) * 64 << 10) /* of segments of 64 KiB, some at least */

struct configuration {
	const char *algorithm;
	enum codec_filter filter;
	bool start, auto_compact, limit;
	unsigned int streams;
	bool store;   /* in memory that outlives the process; at the end it is recovered */
	bool backing; /* with a backing store, that a third of the pages may have room in */
};

static const struct configuration configurations[] = {
	{"lz4", CODEC_FILTER_AUTO, true, true, true, 0, false, true},
	{"lz4", CODEC_FILTER_NONE, false, false, false, 0, true, false},
	{"zstd", CODEC_FILTER_AUTO, true, true, false, 1, true, true},
	{"zstd", CODEC_FILTER_NONE, false, false, true, 2, false, false},
};

struct layout {
	unsigned int threads;
	uint64_t shared_pages, sector_pages;
	uint64_t own_start, own_size; /* bytes; of each thread */
	uint64_t size;
	uint64_t requests; /* of a thread, in a phase */
};

struct round {
	struct layout layout;
	struct model model;
	struct shared shared;
	struct corpus corpus;
	struct rng rng;	      /* of the thread that compacts and sets */
	struct rng evict_rng; /* of the one that writes back */
	struct evictor evictor;
	uint64_t limit;	    /* that the device was made with */
	_Atomic bool quiet; /* the phase's workers have ended */
};

struct worker {
	struct round *round;
	struct model view;
	struct shared_worker shared;
	unsigned int number;
	struct rng rng;
	pthread_t thread;
	uint8_t buf[OWN_MAX];
};

static struct layout layout_make(unsigned int threads, uint64_t scale)
{
	struct layout layout = {
		.threads = threads,
		.shared_pages = SHARED_MAX_PAGES + 4 * scale,
		.sector_pages = 1 + scale,
		.own_size = 16 * scale * PAGE + 1234,
		.requests = 400 * scale,
	};

	layout.own_start = (layout.shared_pages + layout.sector_pages) * PAGE;
	layout.size = layout.own_start + layout.own_size * threads;
	return layout;
}

/* Any change or read of [offset, offset + count), the thread's own. */
static void own_request(struct worker *worker, uint64_t offset, uint64_t count)
{
	uint64_t draw = rng_below(&worker->rng, 100);

	if (draw < 45) {
		model_read(&worker->view, offset, count);
	} else if (draw < 85) {
		corpus_copy(&worker->round->corpus, &worker->rng, worker->buf, count);
		model_write(&worker->view, worker->buf, offset, count);
	} else if (draw < 93) {
		model_trim(&worker->view, offset, count);
	} else {
		model_zero(&worker->view, offset, count);
	}
}

static void sector_request(struct worker *worker)
{
	const struct layout *layout = &worker->round->layout;
	uint64_t sectors = layout->sector_pages * SECTORS_PER_PAGE;
	uint64_t groups = sectors / layout->threads;
	uint64_t sector, from, to;

	if (groups == 0)
		return;
	sector = rng_below(&worker->rng, groups) * layout->threads + worker->number;
	from = rng_below(&worker->rng, SECTOR);
	to = rng_between(&worker->rng, from + 1, SECTOR);
	own_request(worker, layout->shared_pages * PAGE + sector * SECTOR + from, to - from);
}

static void range_request(struct worker *worker)
{
	const struct layout *layout = &worker->round->layout;
	uint64_t offset = rng_below(&worker->rng, layout->own_size);
	uint64_t start = layout->own_start + worker->number * layout->own_size;
	uint64_t count =
		rng_chance(&worker->rng, 10) ? rng_between(&worker->rng, 1, OWN_MAX) : PAGE;

	if (rng_chance(&worker->rng, 70) && offset > PAGE)
		offset -= (start + offset) % PAGE;
	if (count > layout->own_size - offset)
		count = layout->own_size - offset;
	own_request(worker, start + offset, count);
}

/* The whole pages of the thread's own range: nobody else changes them. */
static void own_extents(struct worker *worker)
{
	const struct layout *layout = &worker->round->layout;
	uint64_t start = layout->own_start + worker->number * layout->own_size;
	uint64_t end = (start + layout->own_size) / PAGE * PAGE;

	start = (start + PAGE - 1) / PAGE * PAGE;
	model_extents(&worker->view, start, end - start);
}

static void odd_request(struct worker *worker)
{
	struct model *view = &worker->view;

	switch (rng_below(&worker->rng, 3)) {
	case 0:
		CHECK(device_write(view->device, worker->buf, view->size - 1, 2) == -EINVAL,
		      "a write across the end");
		view->expected.invalid_io++;
		break;
	case 1:
		CHECK(device_flush(view->device) == 0, "flush");
		view->expected.flushes++;
		break;
	case 2:
		own_extents(worker);
		break;
	}
}

static void *work(void *opaque)
{
	struct worker *worker = opaque;

	for (uint64_t i = 0; i < worker->round->layout.requests; i++) {
		uint64_t draw = rng_below(&worker->rng, 100);

		if (draw < 40)
			shared_request(&worker->shared);
		else if (draw < 65)
			sector_request(worker);
		else if (draw < 99)
			range_request(worker);
		else
			odd_request(worker);
	}
	return NULL;
}

/* Any method; a limit that is lower by up to an eighth, or none for long. */
static struct device_settings any_settings(struct round *round)
{
	static const char *const names[] = {"lz4", "zstd"};
	struct device_settings settings = {.auto_compact = rng_chance(&round->rng, 50)};
	int level = (int)rng_between(&round->rng, 1, 5);

	CHECK(codec_method_init(&settings.method, names[rng_below(&round->rng, 2)], &level) == 0,
	      "no method");
	if (rng_chance(&round->rng, 50))
		settings.method.filter = CODEC_FILTER_NONE;
	if (rng_chance(&round->rng, 70)) {
		settings.cold = (struct device_cold){
			.methods_count = 1, .type = DEVICE_COLD_ALL, .cpu = 100};
		CHECK(codec_method_init(&settings.cold.methods[0], "zstd", &level) == 0,
		      "no method");
	}
	settings.writeback.at = (unsigned int)rng_below(&round->rng, 101);
	if (round->limit != 0)
		settings.mem_limit =
			round->limit -
			rng_below(&round->rng, round->limit - device_min_limit() + 1) / 8;
	else if (rng_chance(&round->rng, 20))
		settings.mem_limit =
			device_min_limit() + rng_below(&round->rng, round->layout.size);
	return settings;
}

/* Beside requests, compaction, settings; where there are no background threads, here. */
static void recompress(struct round *round)
{
	struct device_recompress order = {
		.type = (enum device_cold_type)rng_below(&round->rng, 4),
		.has_method = true,
		.max_pages = rng_between(&round->rng, 1, 2000),
	};
	struct device_recompressed done;
	int level = (int)rng_between(&round->rng, 1, 5), err;

	CHECK(codec_method_init(&order.method, rng_chance(&round->rng, 20) ? "lz4" : "zstd",
				&level) == 0,
	      "no method");
	err = device_recompress(round->model.device, &order, &done);
	CHECK(err == 0, "recompress: %d", err);
}

static void *compact_and_set(void *opaque)
{
	struct round *round = opaque;
	struct device *device = round->model.device;
	struct device_stats stats;

	while (!atomic_load(&round->quiet)) {
		struct device_settings settings = any_settings(round), found;
		uint64_t idle;

		CHECK(device_idle(device, rng_below(&round->rng, 2), &idle) == 0, "idle");
		CHECK(device_compact(device) == 0, "compact");
		CHECK(device_set(device, &settings) == 0, "set");
		recompress(round);
		device_get_settings(device, &found);
		device_get_stats(device, &stats);
		CHECK(found.method.id == settings.method.id &&
			      stats.mem_limit == settings.mem_limit,
		      "what was set is not in force");
		CHECK(round->limit == 0 || stats.pool_max <= round->limit,
		      "the pool went to %" PRIu64, stats.pool_max);
	}
	return NULL;
}

static void *evict(void *opaque)
{
	struct round *round = opaque;

	while (!atomic_load(&round->quiet))
		evictor_order(round->model.device, &round->evict_rng);
	return NULL;
}

static void run_threads(struct round *round, struct worker *workers)
{
	bool backing = round->evictor.size > 0;
	pthread_t compactor, evictor;

	atomic_store(&round->quiet, false);
	CHECK(pthread_create(&compactor, NULL, compact_and_set, round) == 0, "no thread");
	CHECK(!backing || pthread_create(&evictor, NULL, evict, round) == 0, "no thread");
	for (unsigned int i = 0; i < round->layout.threads; i++)
		CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
		      "no thread");
	for (unsigned int i = 0; i < round->layout.threads; i++)
		pthread_join(workers[i].thread, NULL);
	atomic_store(&round->quiet, true);
	pthread_join(compactor, NULL);
	if (backing)
		pthread_join(evictor, NULL);
}

/*
 * All is quiet. The shared pages are checked by their own rules, and what they hold is then taken
 * over into the model, which compares all the rest.
 */
static void check_all(struct round *round, struct worker *workers)
{
	struct model *model = &round->model;

	shared_check(&workers[0].shared);
	for (unsigned int i = 0; i < round->layout.threads; i++)
		model_collect(model, &workers[i].view);
	model_learn(model, 0, round->layout.shared_pages * PAGE);
	model_check(model);
}

static struct device_options options_of(const struct configuration *c, uint64_t size)
{
	struct device_options options = {
		.size = size,
		.allocator = test_allocator(),
		.mem_limit = c->limit ? size / 4 : 0,
		.reserve = c->start ? size / 16 : 0,
		.auto_compact = c->auto_compact,
		.streams = c->streams,
	};

	CHECK(codec_method_init(&options.method, c->algorithm, NULL) == 0, "%s", c->algorithm);
	options.method.filter = c->filter;
	if (c->limit && options.mem_limit < device_min_limit())
		options.mem_limit = device_min_limit();
	return options;
}

static void *store_of(const struct configuration *c, uint64_t size)
{
	void *store;

	if (!c->store)
		return NULL;
	store = mmap(NULL, device_store_size(size), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(store != MAP_FAILED, "mmap");
	return store;
}

static struct device *device_of(struct round *round, const struct configuration *c, void *store)
{
	uint64_t size = round->layout.size;
	struct device_options options = options_of(c, size);
	struct device *device;
	int err;

	options.store = store;
	options.store_size = store ? device_store_size(size) : 0;
	err = device_new(&options, &device);

	CHECK(err == 0, "device_new: %d", err);
	/* Dictionaries come and go, as often as there is time for it. */
	device->background.training.least = DICT_PAGES_MIN;
	device->background.training.turnover = 1;
	device->limit.hold_ms = 5; /* the limit is met thousands of times */
	if (round->evictor.size > 0)
		evictor_open(&round->evictor, device, &round->evict_rng);
	if (c->start) {
		err = device_start(device);
		CHECK(err == 0, "device_start: %d", err);
	}
	return device;
}

/* What a new process would find: every byte, and nothing but that. */
static void recover(struct round *round, const struct configuration *c, void *store)
{
	struct model *model = &round->model;
	struct device_recovery found;
	const char *why = "";

	if (!store)
		return;
	device_stop(model->device);
	device_free(model->device);
	model->device = device_of(round, c, store);
	device_get_recovery(model->device, &found);
	CHECK(found.damaged == 0 && found.cells_freed == 0,
	      "%" PRIu64 " pages damaged, %" PRIu64 " cells freed", found.damaged,
	      found.cells_freed);
	CHECK(device_validate(model->device, &why) == 0, "not valid: %s", why);
	model_read(model, 0, model->size);
}

/* How many were trained so far. */
static uint64_t dictionaries(const struct device *device)
{
	unsigned int newest = dicts_newest(device);

	return newest ? load_relaxed(&device->dicts.sequence[newest - 1]) : 0;
}

static void report_backing(struct round *round)
{
	struct device_stats s;

	device_get_stats(round->model.device, &s);
	if (round->evictor.size > 0)
		printf("%" PRIu64 " pages written back, %" PRIu64 " read there, %" PRIu64
		       " moved by cleaning, %" PRIu64 " brought back\n",
		       s.written_back, s.backing_reads, s.backing_moved, s.brought_back);
}

static void run_round(const struct configuration *c, const struct layout *layout, uint64_t seed)
{
	struct round round = {.layout = *layout};
	struct worker *workers = calloc(layout->threads, sizeof(*workers));
	struct rng rng = rng_make(seed);
	void *store = store_of(c, layout->size);

	CHECK(workers, "no memory");
	corpus_init(&round.corpus, &rng, CORPUS_SIZE);
	round.rng = rng_make(rng_next(&rng));
	round.evict_rng = rng_make(rng_next(&rng));
	if (c->backing)
		evictor_init(&round.evictor, max_u64(layout->size / 3, EVICTOR_MIN));
	model_init(&round.model, device_of(&round, c, store));
	round.limit = options_of(c, layout->size).mem_limit;
	round.model.mem_limit = round.limit != 0 ? round.limit : UINT64_MAX;
	shared_init(&round.shared, seed, layout->shared_pages, layout->threads,
		    layout->requests * PHASES);
	for (unsigned int i = 0; i < layout->threads; i++) {
		workers[i].round = &round;
		workers[i].number = i;
		workers[i].rng = rng_make(rng_next(&rng));
		model_view(&workers[i].view, &round.model);
		shared_worker_init(&workers[i].shared, &round.shared, &workers[i].view, i,
				   rng_make(rng_next(&rng)));
	}
	for (unsigned int phase = 0; phase < PHASES; phase++) {
		run_threads(&round, workers);
		check_all(&round, workers);
	}
	printf("%s%s%s: %" PRIu64 " writes and zeroes found no room, %" PRIu64 " dictionaries\n",
	       c->algorithm, c->start ? ", threads" : "", c->limit ? ", limit" : "",
	       round.model.errors, dictionaries(round.model.device));
	fflush(stdout);
	for (unsigned int i = 0; i < layout->threads; i++)
		model_fini(&workers[i].view);
	shared_fini(&round.shared);
	report_backing(&round);
	recover(&round, c, store);
	model_fini(&round.model);
	if (c->backing)
		evictor_fini(&round.evictor);
	if (store)
		munmap(store, device_store_size(layout->size));
	corpus_fini(&round.corpus);
	free(workers);
}

int main(int argc, char **argv)
{
	unsigned long threads = argc > 1 ? strtoul(argv[1], NULL, 0) : 4;
	unsigned long scale = argc > 2 ? strtoul(argv[2], NULL, 0) : 25;
	unsigned long rounds = argc > 3 ? strtoul(argv[3], NULL, 0) : 4;
	uint64_t seed = test_seed(argc > 4 ? strtoull(argv[4], NULL, 0) : 0);
	struct layout layout;

	if (threads == 0 || threads > 100 || scale == 0 || rounds == 0) {
		fprintf(stderr, "stress THREADS SCALE ITER SEED\n");
		return EXIT_FAILURE;
	}
	layout = layout_make((unsigned int)threads, scale);
	for (unsigned long i = 0; i < rounds; i++)
		run_round(&configurations[i % 4], &layout, rng_mix(seed + i));
	return EXIT_SUCCESS;
}
