/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: random operations on devices of several shapes, each compared with a plain array.
 *
 * test-model [SHAPE]: all shapes, or those whose name begins with SHAPE. ZCRAM_TEST_SEED repeats a
 * run; a shape runs alike whether alone or with the others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "tests/lib/allocator.h"
#include "tests/lib/check.h"
#include "tests/lib/content.h"
#include "tests/lib/evictor.h"
#include "tests/lib/model.h"
#include "tests/lib/rng.h"
#include "tests/lib/trainer.h"

#define PAGE		 DEVICE_PAGE_SIZE
#define MAX_PAGES	 64
#define MIB		 (UINT64_C(1) << 20)
#define CORPUS_SIZE	 (8 * MIB)

#define OPS_PER_PHASE	 20000
#define OPS_PER_CHECK	 10000
#define OPS_PER_TRAINING 7000
#define OPS_PER_EVICTION 500

struct shape {
	const char *name;
	const char *algorithm;
	int level;
	enum codec_filter filter;
	uint64_t size;
	uint64_t mem_limit; /* or the least there is, if that is more */
	uint64_t reserve;
	bool start, auto_compact;
	unsigned int streams;
	uint64_t ops;
	bool cold;	  /* what is old is compressed again, by hand and in the background */
	bool trains;	  /* dictionaries */
	uint64_t backing; /* bytes of a backing store; 0: there is none */
};

/* clang-format off */
static const struct shape shapes[] = {
	{"lz4-plain", "lz4", 1, CODEC_FILTER_NONE, 16 * MIB, 0, 0, false, false, 1, 600000, false, false, 0},
	{"lz4-threads", "lz4", 1, CODEC_FILTER_AUTO, 64 * MIB, 0, MIB, true, true, 0, 600000, false, false, 0},
	{"lz4-odd", "lz4", 4, CODEC_FILTER_AUTO, 3 * MIB + 1, 0, 0, true, true, 2, 400000, false, false, 0},
	{"lz4-limit", "lz4", 1, CODEC_FILTER_NONE, 24 * MIB - 511, 6 * MIB, 0, false, false, 1, 400000, false, false, 0},
	{"lz4-limit-threads", "lz4", 1, CODEC_FILTER_AUTO, 24 * MIB, 6 * MIB, 2 * MIB, true, true, 1, 400000, false, false, 0},
	{"lz4-byte", "lz4", 1, CODEC_FILTER_NONE, 1, 0, 0, false, false, 1, 20000, false, false, 0},
	{"lz4-cold", "lz4", 1, CODEC_FILTER_AUTO, 16 * MIB, 0, MIB, true, true, 0, 400000, true, false, 0},
	{"lz4-cold-limit", "lz4", 1, CODEC_FILTER_NONE, 24 * MIB, 6 * MIB, MIB, true, true, 1, 300000, true, false, 0},
	{"lz4-cold-plain", "lz4", 2, CODEC_FILTER_AUTO, 8 * MIB + 77, 0, 0, false, false, 1, 200000, true, false, 0},
	{"zstd-plain", "zstd", 1, CODEC_FILTER_NONE, 16 * MIB - 4095, 0, 0, false, false, 1, 300000, false, false, 0},
	{"zstd-threads", "zstd", 1, CODEC_FILTER_AUTO, 48 * MIB, 0, MIB, true, true, 0, 400000, false, false, 0},
	{"zstd-level-3", "zstd", 3, CODEC_FILTER_AUTO, 5 * MIB + 4096 * 3 + 17, 0, 0, false, false, 1, 100000, false, false, 0},
	{"zstd-limit", "zstd", -1, CODEC_FILTER_AUTO, 16 * MIB, 3 * MIB, 0, true, true, 2, 400000, false, false, 0},
	{"zstd-pages", "zstd", 1, CODEC_FILTER_AUTO, 7 * 4096 + 100, 0, 0, false, false, 1, 50000, false, false, 0},
	{"lz4-dictionaries", "lz4", 1, CODEC_FILTER_AUTO, 12 * MIB + 77, 0, MIB, true, true, 1, 300000, false, true, 0},
	{"zstd-dictionaries", "zstd", 1, CODEC_FILTER_AUTO, 12 * MIB, 4 * MIB, 0, false, false, 2, 300000, false, true, 0},
	{"lz4-backing", "lz4", 1, CODEC_FILTER_AUTO, 16 * MIB, 0, MIB, true, true, 0, 300000, true, false, 4 * MIB},
	{"lz4-backing-plain", "lz4", 1, CODEC_FILTER_AUTO, 8 * MIB + 77, 0, 0, false, false, 1, 200000, false, false, 8 * MIB},
	{"zstd-backing-limit", "zstd", 1, CODEC_FILTER_AUTO, 16 * MIB, 4 * MIB, MIB, true, true, 2, 300000, false, false, 3 * MIB},
	{"zstd-backing-dictionaries", "zstd", 1, CODEC_FILTER_AUTO, 12 * MIB, 0, MIB, true, true, 2, 200000, false, true, 6 * MIB},
};
/* clang-format on */

struct run {
	struct model model;
	struct corpus corpus;
	struct rng rng;
	struct trainer trainer;
	struct evictor evictor;
	uint64_t trained, retired; /* dictionaries */
	unsigned int dropping;	   /* how many of a hundred operations are trims and zeroes */
	uint8_t buf[MAX_PAGES * PAGE];
};

struct range {
	uint64_t offset;
	size_t count;
};

/*
 * Half of all operations meet in an eighth of the device, so that they overlap; some are where the
 * device ends.
 */
static uint64_t pick_offset(struct run *run)
{
	uint64_t size = run->model.size, draw = rng_below(&run->rng, 100);

	if (draw < 50)
		return rng_below(&run->rng, (size + 7) / 8);
	if (draw < 52)
		return size - rng_between(&run->rng, 1, min_u64(size, 2 * PAGE));
	return rng_below(&run->rng, size);
}

/* Mostly one page, whole or in part; now and then up to MAX_PAGES, on page borders or anywhere. */
static struct range pick_range(struct run *run)
{
	uint64_t draw = rng_below(&run->rng, 100);
	uint64_t offset = pick_offset(run);
	uint64_t count;

	if (draw < 60) {
		offset -= offset % PAGE;
		count = PAGE;
	} else if (draw < 84) {
		count = rng_between(&run->rng, 1, PAGE);
	} else if (draw < 94) {
		offset -= offset % PAGE;
		count = PAGE * rng_between(&run->rng, 2, 8);
	} else if (draw < 99) {
		count = rng_between(&run->rng, 1, 8 * PAGE);
	} else {
		count = rng_between(&run->rng, 1, MAX_PAGES * PAGE);
	}
	return (struct range){offset, min_u64(count, run->model.size - offset)};
}

static void one_operation(struct run *run)
{
	struct range range = pick_range(run);
	uint64_t draw = rng_below(&run->rng, 100);

	if (draw < run->dropping) {
		if (draw % 2 == 0)
			model_trim(&run->model, range.offset, range.count);
		else
			model_zero(&run->model, range.offset, range.count);
	} else if (draw < 55) {
		corpus_copy(&run->corpus, &run->rng, run->buf, range.count);
		model_write(&run->model, run->buf, range.offset, range.count);
	} else if (draw < 99) {
		model_read(&run->model, range.offset, range.count);
	} else {
		model_extents(&run->model, range.offset, range.count);
	}
}

/* Ages are nobody's content. */
static void mark_idle(struct run *run)
{
	uint64_t pages;

	CHECK(device_idle(run->model.device, rng_below(&run->rng, 100), &pages) == 0, "idle");
}

static void recompress(struct run *run, bool cold)
{
	struct device_recompress order = {
		.type = (enum device_cold_type)rng_below(&run->rng, 4),
		.threshold = rng_below(&run->rng, 3000),
		.max_pages = rng_below(&run->rng, 2) * rng_below(&run->rng, 1000),
	};
	struct device_recompressed done;
	int err = device_recompress(run->model.device, &order, &done);

	CHECK(err == (cold ? 0 : -ENOENT), "recompress: %d", err);
	CHECK(order.max_pages == 0 || done.pages <= order.max_pages, "too many pages");
}

/* Fill up, then thin out, and so on, so that the pool grows and shrinks. */
static void next_phase(struct run *run, bool cold)
{
	static const unsigned int dropping[] = {4, 30, 10, 50};

	run->dropping = dropping[rng_below(&run->rng, 4)];
	mark_idle(run);
	recompress(run, cold);
	if (rng_chance(&run->rng, 50))
		CHECK(device_compact(run->model.device) == 0, "compact");
	if (rng_chance(&run->rng, 10)) {
		model_trim(&run->model, 0, run->model.size);
		CHECK(device_compact(run->model.device) == 0, "compact");
	}
}

/* Nothing of which may be seen. Now and then all of it, so that older generations go. */
static void train(struct run *run)
{
	uint64_t pages = run->model.size / PAGE;
	bool all = rng_chance(&run->rng, 40);
	uint64_t first = all ? 0 : rng_below(&run->rng, pages);
	uint64_t count = all ? pages : rng_below(&run->rng, pages - first);
	int err = rng_chance(&run->rng, 50) ? trainer_train(&run->trainer)
					    : trainer_add(&run->trainer);

	CHECK(err > 0 || err == -EBUSY || err == -ENODATA, "training: %d", err);
	run->trained += err > 0;
	for (uint64_t page = first; page < first + count; page++) {
		err = trainer_recompress(&run->trainer, page);
		CHECK(err == 0 || err == -ENOSPC, "recompressing: %d", err);
	}
	run->retired += dicts_retire(run->model.device);
}

static struct device_options options_of(const struct shape *shape)
{
	struct device_options options = {
		.size = shape->size,
		.allocator = test_allocator(),
		.mem_limit = shape->mem_limit,
		.reserve = shape->reserve,
		.auto_compact = shape->auto_compact,
		.streams = shape->streams,
	};

	CHECK(codec_method_init(&options.method, shape->algorithm, &shape->level) == 0, "%s",
	      shape->algorithm);
	options.method.filter = shape->filter;
	if (shape->cold) {
		int level = 3;

		options.cold = (struct device_cold){
			.methods_count = 1, .type = DEVICE_COLD_ALL, .cpu = 100};
		CHECK(codec_method_init(&options.cold.methods[0], "zstd", &level) == 0, "zstd");
		options.cold.methods[0].filter = shape->filter;
	}
	if (options.mem_limit != 0 && options.mem_limit < device_min_limit())
		options.mem_limit = device_min_limit();
	return options;
}

static struct device *device_of(struct run *run, const struct shape *shape)
{
	struct device_options options = options_of(shape);
	struct device *device;
	int err = device_new(&options, &device);

	CHECK(err == 0, "device_new: %d", err);
	device->background.training.least = DICT_PAGES_MIN;
	device->limit.hold_ms = 5; /* the limit is met thousands of times */
	if (shape->backing > 0) {
		evictor_init(&run->evictor, shape->backing);
		evictor_open(&run->evictor, device, &run->rng);
	}
	if (shape->start) {
		err = device_start(device);
		CHECK(err == 0, "device_start: %d", err);
	}
	return device;
}

/* All of it was made use of, and is given back. */
static void end_backing(struct run *run, bool all)
{
	struct device_stats s;

	device_get_stats(run->model.device, &s);
	printf("%" PRIu64 " pages written back, %" PRIu64 " read there, %" PRIu64
	       " moved by cleaning, %" PRIu64 " brought back\n",
	       s.written_back, s.backing_reads, s.backing_moved, s.brought_back);
	CHECK(!all || (s.written_back > 0 && s.backing_reads > 0), "nothing was written back");
	model_trim(&run->model, 0, run->model.size);
	model_check(&run->model);
	CHECK(evictor_live(run->model.device) == 0, "something is live");
}

/* Was there no room, or was some made where it can be written back? */
static bool was_met(const struct run *run, const struct shape *shape)
{
	struct device_stats s;

	device_get_stats(run->model.device, &s);
	return run->model.errors > 0 || (shape->backing > 0 && s.writes_slowed > 0);
}

static void run_shape(const struct shape *shape, uint64_t seed)
{
	static struct run run;
	uint64_t ops = test_ops(shape->ops);

	run.rng = rng_make(seed ^ rng_mix((uint64_t)(shape - shapes) + 1));
	run.dropping = 4;
	corpus_init(&run.corpus, &run.rng, CORPUS_SIZE);
	model_init(&run.model, device_of(&run, shape));
	run.trained = run.retired = 0;
	if (shape->trains)
		trainer_init(&run.trainer, run.model.device, "zstd", 2);
	for (uint64_t op = 0; op < ops; op++) {
		one_operation(&run);
		if (op % OPS_PER_PHASE == OPS_PER_PHASE - 1)
			next_phase(&run, shape->cold);
		if (shape->backing > 0 && op % OPS_PER_EVICTION == OPS_PER_EVICTION - 1)
			evictor_order(run.model.device, &run.rng);
		if (shape->trains && op % OPS_PER_TRAINING == OPS_PER_TRAINING - 1)
			train(&run);
		if (op % OPS_PER_CHECK == OPS_PER_CHECK - 1)
			model_check(&run.model);
	}
	model_check(&run.model);
	CHECK(shape->mem_limit == 0 || ops < shape->ops || was_met(&run, shape),
	      "the limit was never met");
	printf("%s: %" PRIu64 " operations, %" PRIu64 " found no room\n", shape->name, ops,
	       run.model.errors);
	fflush(stdout);
	CHECK(!shape->cold || ops < shape->ops || dicts_newest(run.model.device) > 0,
	      "no dictionary was ever trained");
	if (shape->trains) {
		printf("%" PRIu64 " dictionaries, %" PRIu64 " retired\n", run.trained, run.retired);
		CHECK(ops < shape->ops || run.retired > 0, "no dictionary was ever retired");
		trainer_fini(&run.trainer);
	}
	if (shape->backing > 0)
		end_backing(&run, ops >= shape->ops);
	model_fini(&run.model);
	if (shape->backing > 0)
		evictor_fini(&run.evictor);
	corpus_fini(&run.corpus);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";
	uint64_t seed = test_seed(0);
	bool any = false;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (strncmp(shapes[i].name, only, strlen(only)) != 0)
			continue;
		any = true;
		run_shape(&shapes[i], seed);
	}
	if (!any)
		fprintf(stderr, "test-model: no shape begins with '%s'\n", only);
	return any ? EXIT_SUCCESS : EXIT_FAILURE;
}
