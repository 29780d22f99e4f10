/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/kill/load.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/lib/check.h"
#include "tests/lib/trainer.h"

#define SECTOR		 512
#define SECTORS_PER_PAGE (PAGE / SECTOR)
#define MAX_STRETCH	 400  /* requests of one mood */
#define COMB		 256  /* pages */
#define MAX_REST_US	 3000 /* of who compacts */

/* What a worker is about, for a while, so that the pool grows, thins out and is cut up. */
struct mood {
	unsigned int dropping; /* of a hundred requests, trims and zeroes */
	unsigned int writing;
	bool everywhere;	      /* or in an eighth of the range */
	enum journal_content content; /* JOURNAL_CONTENTS: any */
};

static const struct mood moods[] = {
	{5, 60, false, JOURNAL_CONTENTS}, {30, 40, false, JOURNAL_CONTENTS},
	{10, 80, true, JOURNAL_CONTENTS}, {80, 10, true, JOURNAL_CONTENTS},
	{10, 80, true, JOURNAL_SIZED},	  {10, 80, true, JOURNAL_SMALL},
	{10, 80, true, JOURNAL_RAW},	  {10, 80, false, JOURNAL_WORD},
};

struct load {
	struct journal *journal;
	struct device *device;
	struct model model; /* what tests/stress/shared.h asks for: the device, and counters */
	uint64_t requests;
	struct rng rng;	      /* of the thread that compacts */
	struct rng train_rng; /* of the one that trains */
	struct rng evict_rng; /* of the one that writes back */
	_Atomic bool quiet;
};

struct worker {
	struct load *load;
	struct request *request;
	struct model view;
	unsigned int number;
	struct rng rng;
	pthread_t thread;
	uint8_t buf[JOURNAL_MAX_COUNT];
};

static enum journal_content pick_content(struct rng *rng)
{
	static const uint8_t share[JOURNAL_CONTENTS] = {
		[JOURNAL_ZEROS] = 4,  [JOURNAL_WORD] = 8,      [JOURNAL_FEW_WORDS] = 6,
		[JOURNAL_TEXT] = 16,  [JOURNAL_POINTERS] = 16, [JOURNAL_INTEGERS] = 14,
		[JOURNAL_SIZED] = 18, [JOURNAL_SMALL] = 8,     [JOURNAL_RAW] = 10,
	};
	uint64_t draw = rng_below(rng, 100);
	unsigned int content = 0;

	while (draw >= share[content])
		draw -= share[content++];
	return content;
}

/* The worker's own bytes: nobody else changes them. */
static void read_own(struct worker *worker, uint64_t offset, uint64_t count)
{
	struct load *load = worker->load;
	int err = device_read(load->device, worker->buf, offset, count);

	CHECK(err == 0, "read of %" PRIu64 " at %" PRIu64 ": %d", count, offset, err);
	CHECK(memcmp(worker->buf, load->journal->bytes + offset, count) == 0,
	      "read of %" PRIu64 " at %" PRIu64 ": not what was written", count, offset);
}

static void change_own(struct worker *worker, enum request_kind kind, uint64_t offset,
		       uint64_t count, enum journal_content content)
{
	struct load *load = worker->load;
	bool writes = kind == REQUEST_WRITE;
	int err;

	journal_intend(load->journal, worker->request, kind, offset, count, content,
		       writes ? worker->buf : NULL);
	if (writes)
		err = device_write(load->device, worker->buf, offset, count);
	else if (kind == REQUEST_TRIM)
		err = device_trim(load->device, offset, count);
	else
		err = device_zero(load->device, offset, count);
	if (err == 0) {
		journal_done(load->journal, worker->request);
		return;
	}
	CHECK(err == -ENOSPC && kind != REQUEST_TRIM,
	      "request %u of %" PRIu64 " at %" PRIu64 ": %d", kind, count, offset, err);
	err = device_read(load->device, worker->buf, offset, count);
	CHECK(err == 0, "read of %" PRIu64 " at %" PRIu64 ": %d", count, offset, err);
	journal_failed(load->journal, worker->request, worker->buf);
}

static void own_request(struct worker *worker, const struct mood *mood, uint64_t offset,
			uint64_t count)
{
	uint64_t draw = rng_below(&worker->rng, 100);
	enum journal_content content =
		mood->content == JOURNAL_CONTENTS ? pick_content(&worker->rng) : mood->content;

	if (draw < mood->dropping)
		change_own(worker, draw % 3 ? REQUEST_TRIM : REQUEST_ZERO, offset, count, content);
	else if (draw < mood->dropping + mood->writing)
		change_own(worker, REQUEST_WRITE, offset, count, content);
	else
		read_own(worker, offset, count);
}

/* Bytes of a sector, in a page whose other sectors are others'. */
static void sector_request(struct worker *worker, const struct mood *mood)
{
	const struct journal *j = worker->load->journal;
	uint64_t groups = JOURNAL_SECTOR_PAGES * SECTORS_PER_PAGE / j->threads;
	uint64_t sector = rng_below(&worker->rng, groups) * j->threads + worker->number;
	uint64_t from = rng_below(&worker->rng, SECTOR);
	uint64_t to = rng_between(&worker->rng, from + 1, SECTOR);

	own_request(worker, mood, JOURNAL_SHARED_PAGES * PAGE + sector * SECTOR + from, to - from);
}

/* Mostly a page, whole or in part; now and then up to JOURNAL_MAX_COUNT, on page borders or not. */
static void range_request(struct worker *worker, const struct mood *mood)
{
	struct rng *rng = &worker->rng;
	uint64_t start = journal_part_start(worker->load->journal, worker->number);
	uint64_t size = journal_part_size(worker->load->journal);
	uint64_t offset = rng_below(rng, mood->everywhere ? size : size / 8);
	uint64_t draw = rng_below(rng, 100), count = PAGE;

	if (draw >= 60 && draw < 80)
		count = rng_between(rng, 1, PAGE);
	else if (draw >= 80 && draw < 92)
		count = PAGE * rng_between(rng, 2, 8);
	else if (draw >= 92 && draw < 99)
		count = rng_between(rng, 1, 8 * PAGE);
	else if (draw >= 99)
		count = rng_between(rng, 1, JOURNAL_MAX_COUNT);
	if (draw < 60 || (draw >= 80 && draw < 92))
		offset -= offset % PAGE;
	own_request(worker, mood, start + offset, min_u64(count, size - offset));
}

/* Pages that do not shrink, side by side, and every second of them dropped. */
static void comb(struct worker *worker)
{
	uint64_t start = journal_part_start(worker->load->journal, worker->number) / PAGE;
	uint64_t pages = min_u64(COMB, journal_part_size(worker->load->journal) / PAGE);
	uint64_t first =
		start + rng_below(&worker->rng,
				  journal_part_size(worker->load->journal) / PAGE - pages + 1);

	for (uint64_t i = 0; i + 8 <= pages; i += 8)
		change_own(worker, REQUEST_WRITE, (first + i) * PAGE, 8 * PAGE, JOURNAL_RAW);
	for (uint64_t i = 0; i < pages; i += 2)
		change_own(worker, REQUEST_TRIM, (first + i) * PAGE, PAGE, JOURNAL_ZEROS);
}

static void shared_race(struct worker *worker)
{
	struct shared_worker *w = &worker->load->journal->worker[worker->number];

	/* There are tickets for many kills, but not for any number. */
	if (w->next < w->shared->requests / 2)
		shared_request(w);
}

static void *work(void *opaque)
{
	struct worker *worker = opaque;
	const struct mood *mood = moods;
	uint64_t stretch = 0;

	for (uint64_t i = 0; worker->load->requests == 0 || i < worker->load->requests; i++) {
		uint64_t draw = rng_below(&worker->rng, 100);

		if (stretch-- == 0) {
			mood = &moods[rng_below(&worker->rng, ARRAY_SIZE(moods))];
			stretch = rng_between(&worker->rng, 1, MAX_STRETCH);
			if (rng_chance(&worker->rng, 10))
				comb(worker);
		}
		if (draw < 20)
			shared_race(worker);
		else if (draw < 30)
			sector_request(worker, mood);
		else
			range_request(worker, mood);
	}
	return NULL;
}

static void set_any(struct load *load)
{
	static const char *const names[] = {"lz4", "zstd"};
	struct device_settings settings;
	int level = (int)rng_between(&load->rng, 1, 3);

	device_get_settings(load->device, &settings);
	CHECK(codec_method_init(&settings.method, names[rng_below(&load->rng, 2)], &level) == 0,
	      "no method");
	if (rng_chance(&load->rng, 50))
		settings.method.filter = CODEC_FILTER_NONE;
	CHECK(device_set(load->device, &settings) == 0, "set");
}

static void mark_idle(struct load *load)
{
	uint64_t pages;

	CHECK(device_idle(load->device, rng_below(&load->rng, 2), &pages) == 0, "idle");
}

static void *compact_and_set(void *opaque)
{
	struct load *load = opaque;

	do {
		usleep((useconds_t)rng_below(&load->rng, MAX_REST_US));
		if (rng_chance(&load->rng, 20))
			set_any(load);
		CHECK(device_compact(load->device) == 0, "compact");
		mark_idle(load);
		device_get_stats(load->device, &load->journal->stats);
	} while (!atomic_load(&load->quiet));
	return NULL;
}

/* Recompress COUNT pages from FIRST on, until the load ends: their content stays what it is. */
static void recompress(struct load *load, struct trainer *trainer, uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count && !atomic_load(&load->quiet); i++) {
		int err = trainer_recompress(trainer, (first + i) % load->journal->pages);

		CHECK(err == 0 || err == -ENOSPC, "recompressing: %d", err);
	}
}

/* All that stands in the pool, by any codec, so that it goes both ways. */
static void recompress_some(struct load *load)
{
	struct device_recompress order = {
		.type = (enum device_cold_type)rng_below(&load->train_rng, 4),
		.has_method = true,
		.max_pages = 500,
	};
	struct device_recompressed done;
	int level = (int)rng_between(&load->train_rng, 1, 5), err;

	CHECK(codec_method_init(&order.method, rng_chance(&load->train_rng, 30) ? "lz4" : "zstd",
				&level) == 0,
	      "no method");
	err = device_recompress(load->device, &order, &done);
	CHECK(err == 0, "recompress: %d", err);
}

/*
 * Train, use, and retire when all pages have the newest dictionary; from wherever a kill left it. And
 * have the device do the same by itself: on this thread, for there is one trainer at a time.
 */
static void *train(void *opaque)
{
	struct load *load = opaque;
	uint64_t pages = load->journal->pages;
	struct trainer trainer;

	load->device->background.training.least = DICT_PAGES_MIN;
	load->device->background.training.turnover = 1;

	trainer_init(&trainer, load->device, "zstd", 1);
	do {
		uint64_t draw = rng_below(&load->train_rng, 100);
		int err = draw < 20   ? trainer_train(&trainer)
			  : draw < 70 ? trainer_add(&trainer)
				      : 0;

		CHECK(err >= 0 || err == -EBUSY || err == -ENODATA, "training: %d", err);
		load->journal->trained += err > 0;
		if (err == -EBUSY || rng_chance(&load->train_rng, 50))
			recompress(load, &trainer, 0, pages);
		else
			recompress(load, &trainer, rng_below(&load->train_rng, pages),
				   rng_below(&load->train_rng, pages / 8));
		load->journal->retired += dicts_retire(load->device);
		if (rng_chance(&load->train_rng, 50))
			recompress_some(load);
	} while (!atomic_load(&load->quiet));
	trainer_fini(&trainer);
	return NULL;
}

/* Pages leave for the backing store, and come back when they are read. */
static void *evict(void *opaque)
{
	struct load *load = opaque;

	do {
		usleep((useconds_t)rng_below(&load->evict_rng, MAX_REST_US));
		evictor_order(load->device, &load->evict_rng);
	} while (!atomic_load(&load->quiet));
	return NULL;
}

static void worker_init(struct worker *worker, struct load *load, unsigned int number,
			struct rng *rng)
{
	struct shared_worker *w = &load->journal->worker[number];

	worker->load = load;
	worker->number = number;
	worker->request = &load->journal->request[number];
	worker->view = load->model;
	worker->rng = rng_make(rng_next(rng));
	w->model = &worker->view;
	w->rng = rng_make(rng_next(rng));
}

static struct worker workers[JOURNAL_MAX_THREADS];

void load_here(struct journal *j, struct device *device, uint64_t seed, uint64_t requests)
{
	struct rng rng = rng_make(seed);
	struct load load = {
		.journal = j,
		.device = device,
		.model = {.device = device, .size = j->size},
		.requests = requests,
	};

	worker_init(&workers[0], &load, 0, &rng);
	work(&workers[0]);
}

void load_run(struct journal *j, struct device *device, uint64_t seed, uint64_t requests)
{
	struct rng rng = rng_make(seed);
	struct load load = {
		.journal = j,
		.device = device,
		.model = {.device = device, .size = j->size},
		.requests = requests,
	};
	pthread_t compactor, trainer, evictor;

	load.rng = rng_make(rng_next(&rng));
	load.train_rng = rng_make(rng_next(&rng));
	load.evict_rng = rng_make(rng_next(&rng));
	CHECK(pthread_create(&compactor, NULL, compact_and_set, &load) == 0 &&
		      pthread_create(&trainer, NULL, train, &load) == 0 &&
		      pthread_create(&evictor, NULL, evict, &load) == 0,
	      "no thread");
	for (unsigned int i = 0; i < j->threads; i++) {
		worker_init(&workers[i], &load, i, &rng);
		CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
		      "no thread");
	}
	for (unsigned int i = 0; i < j->threads; i++)
		pthread_join(workers[i].thread, NULL);
	atomic_store(&load.quiet, true);
	pthread_join(compactor, NULL);
	pthread_join(trainer, NULL);
	pthread_join(evictor, NULL);
}
