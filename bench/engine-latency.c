/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latency: single 4 KiB reads while the device is idle, and while it compacts and migrates.
 *
 * One thread reads the even pages. The other trims a random three quarters of the odd ones, has
 * the device compact, which moves objects of both, and writes the odd ones again; only the reads
 * that ran beside the compaction count. Since a second busy thread costs something whatever it
 * does (the caches, the clock, the hypervisor), the same reads are also taken beside a thread that
 * compresses pages and leaves the device alone.
 */
#include <err.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/engine.h"
#include "bench/numbers.h"

#define SAMPLES	 300000
#define ROUND_NS UINT64_C(2000000000) /* a round ends by then, full or not */

enum load { IDLE, NEIGHBOUR, COMPACTION, LOADS };
static const char *const load_names[] = {"idle", "neighbour", "compaction"};

struct latency {
	const struct engine *engine;
	struct device *device;
	enum load load;
	atomic_bool counting; /* the load is there now */
	atomic_bool stop;
	uint64_t state;
	uint32_t *samples; /* ns */
	size_t count;
	double p50[LOADS][MAX_ROUNDS], p99[LOADS][MAX_ROUNDS], p999[LOADS][MAX_ROUNDS];
	uint64_t reads[LOADS];
};

static void read_pages(struct latency *latency)
{
	uint64_t pages = latency->engine->input.count, end = now_ns() + ROUND_NS, since, until = 0;
	unsigned char page[PAGE_SIZE];

	latency->count = 0;
	while (latency->count < SAMPLES && until < end) {
		uint64_t i = random_next(&latency->state) % (pages / 2) * 2;
		bool counts = atomic_load(&latency->counting);

		since = now_ns();
		must(device_read(latency->device, page, i * PAGE_SIZE, PAGE_SIZE), "device_read");
		until = now_ns();
		if (memcmp(page, input_page(&latency->engine->input, i), PAGE_SIZE) != 0)
			errx(EXIT_FAILURE, "a page reads back wrong");
		if (counts && atomic_load(&latency->counting))
			latency->samples[latency->count++] = (uint32_t)(until - since);
	}
	atomic_store(&latency->stop, true);
}

static void compress_pages(struct latency *latency)
{
	struct codec_stream *stream = engine_stream(latency->engine);
	const void *payload;
	uint8_t encoding;

	atomic_store(&latency->counting, true);
	for (uint64_t i = 0; !atomic_load(&latency->stop); i++)
		codec_compress(stream, input_page(&latency->engine->input, i), &payload, &encoding);
	codec_stream_free(stream);
}

static void churn(struct latency *latency)
{
	const struct input *input = &latency->engine->input;
	uint64_t state = 1;

	while (!atomic_load(&latency->stop)) {
		for (uint64_t i = 1; i < input->count; i += 2)
			if (random_next(&state) % 4 != 0)
				must(device_trim(latency->device, i * PAGE_SIZE, PAGE_SIZE),
				     "device_trim");
		atomic_store(&latency->counting, true);
		must(device_compact(latency->device), "device_compact");
		atomic_store(&latency->counting, false);
		for (uint64_t i = 1; i < input->count && !atomic_load(&latency->stop); i += 2)
			must(device_write(latency->device, input_page(input, random_next(&state)),
					  i * PAGE_SIZE, PAGE_SIZE),
			     "device_write");
	}
}

static void run_thread(void *opaque, unsigned int thread)
{
	struct latency *latency = opaque;

	if (thread == 0)
		read_pages(latency);
	else if (latency->load == NEIGHBOUR)
		compress_pages(latency);
	else
		churn(latency);
}

static void run_round(struct latency *latency, enum load load, unsigned int round)
{
	latency->load = load;
	atomic_store(&latency->stop, false);
	atomic_store(&latency->counting, load == IDLE);
	run_parallel(load == IDLE ? 1 : 2, run_thread, latency);
	latency->reads[load] += latency->count;
	latency->p50[load][round] = percentile(latency->samples, latency->count, 50);
	latency->p99[load][round] = percentile(latency->samples, latency->count, 99);
	latency->p999[load][round] = percentile(latency->samples, latency->count, 99.9);
}

static double median_ratio(const double *a, const double *b, unsigned int rounds)
{
	double ratios[MAX_ROUNDS];

	for (unsigned int i = 0; i < rounds; i++)
		ratios[i] = a[i] / b[i];
	return median(ratios, rounds);
}

static void report(struct latency *latency)
{
	const struct engine *engine = latency->engine;
	unsigned int rounds = engine->rounds;
	double ratios[LOADS];
	struct device_stats stats;

	device_get_stats(latency->device, &stats);
	for (enum load load = 0; load < LOADS; load++)
		ratios[load] = median_ratio(latency->p999[load], latency->p999[IDLE], rounds);
	for (enum load load = 0; load < LOADS; load++)
		printf("latency allocator=%s algorithm=%s filter=%s load=%s reads=%llu p50_ns=%.0f "
		       "p99_ns=%.0f "
		       "p999_ns=%.0f p999_to_idle=%.2f objects_compacted=%llu "
		       "objects_migrated=%llu\n",
		       engine->allocator_name, engine->algorithm, engine->filter, load_names[load],
		       (unsigned long long)latency->reads[load], median(latency->p50[load], rounds),
		       median(latency->p99[load], rounds), median(latency->p999[load], rounds),
		       ratios[load],
		       load == COMPACTION ? (unsigned long long)stats.objects_compacted : 0,
		       load == COMPACTION ? (unsigned long long)stats.objects_migrated : 0);
}

void measure_latency(const struct engine *engine)
{
	struct latency *latency = calloc(1, sizeof(*latency));

	if (latency)
		latency->samples = calloc(SAMPLES, sizeof(*latency->samples));
	if (!latency || !latency->samples)
		errx(EXIT_FAILURE, "no memory");
	latency->engine = engine;
	latency->device = engine_device(engine, engine->input.count, false);
	must(device_write(latency->device, engine->input.pages, 0, engine->input.count * PAGE_SIZE),
	     "device_write");
	for (unsigned int round = 0; round < engine->rounds; round++)
		for (enum load load = 0; load < LOADS; load++)
			run_round(latency, load, round);
	report(latency);
	engine_device_end(latency->device);
	free(latency->samples);
	free(latency);
}
