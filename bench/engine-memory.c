/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory: what the device takes beside its payload, after it is filled, after random overwrites,
 * and after random trims and a compaction.
 *
 * What it takes is the growth of the process's resident size since the device was started, which
 * hides nothing: pool, slots, descriptors and whatever malloc took. The reserve is there at the
 * start, and given beside; what is kept beyond its target counts as held. Where the input is
 * shorter than the device it is stored again: nothing here looks for equal pages, so a copy costs
 * what the first cost.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/engine.h"
#include "bench/numbers.h"

#define THREADS	 2
#define NO_PAGE	 UINT32_MAX
#define POLL_NS	 20000000
#define QUIET	 30  /* polls without a change: idle */
#define MAX_POLL 500 /* 10 s */

struct memory {
	const struct engine *engine;
	struct device *device;
	uint64_t pages;
	uint32_t *content; /* which page of the input each page holds, or NO_PAGE */
	uint64_t rss_start, reserve_start;
};

static uint64_t resident(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	uint64_t kib = 0;

	if (!file)
		err(EXIT_FAILURE, "/proc/self/smaps_rollup");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Rss: %" SCNu64, &kib) == 1)
			break;
	fclose(file);
	return kib << 10;
}

/* The background threads say nothing when they are done: wait until nothing has changed a while. */
static void wait_idle(struct device *device)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	struct device_stats before, now;

	device_get_stats(device, &before);
	for (int quiet = 0, polls = 0; quiet < QUIET && polls < MAX_POLL; polls++) {
		nanosleep(&pause, NULL);
		device_get_stats(device, &now);
		quiet = now.pool == before.pool && now.reserve == before.reserve &&
					now.objects_compacted == before.objects_compacted &&
					now.objects_migrated == before.objects_migrated
				? quiet + 1
				: 0;
		before = now;
	}
}

static void share(const struct memory *memory, unsigned int thread, uint64_t *first,
		  uint64_t *count)
{
	*count = memory->pages / THREADS;
	*first = *count * thread;
}

static void write_page(struct memory *memory, uint64_t page, uint64_t from)
{
	memory->content[page] = (uint32_t)(from % memory->engine->input.count);
	must(device_write(memory->device, input_page(&memory->engine->input, from),
			  page * PAGE_SIZE, PAGE_SIZE),
	     "device_write");
}

static void fill(void *opaque, unsigned int thread)
{
	uint64_t first, count;

	share(opaque, thread, &first, &count);
	for (uint64_t i = first; i < first + count; i++)
		write_page(opaque, i, i);
}

static void overwrite(void *opaque, unsigned int thread)
{
	struct memory *memory = opaque;
	uint64_t first, count, state = thread + 1;

	share(memory, thread, &first, &count);
	for (uint64_t i = 0; i < 2 * count; i++)
		write_page(memory, first + random_next(&state) % count, random_next(&state));
}

static void trim(void *opaque, unsigned int thread)
{
	struct memory *memory = opaque;
	uint64_t first, count;

	share(memory, thread, &first, &count);
	for (uint64_t i = first; i < first + count; i++) {
		if (!input_is_trimmed(i))
			continue;
		memory->content[i] = NO_PAGE;
		must(device_trim(memory->device, i * PAGE_SIZE, PAGE_SIZE), "device_trim");
	}
}

static void compact(void *opaque, unsigned int thread)
{
	struct memory *memory = opaque;

	must(device_compact(memory->device), "device_compact");
}

static void check_content(const struct memory *memory)
{
	static const unsigned char zeros[PAGE_SIZE];
	unsigned char page[PAGE_SIZE];

	for (uint64_t i = 0; i < memory->pages; i++) {
		const void *want = memory->content[i] == NO_PAGE
					   ? zeros
					   : input_page(&memory->engine->input, memory->content[i]);

		must(device_read(memory->device, page, i * PAGE_SIZE, PAGE_SIZE), "device_read");
		if (memcmp(page, want, PAGE_SIZE) != 0)
			errx(EXIT_FAILURE, "page %" PRIu64 " reads back wrong", i);
	}
}

static void report(struct memory *memory, const char *phase, double seconds)
{
	const struct engine *engine = memory->engine;
	struct device_stats stats;
	uint64_t reserve;
	double held;

	wait_idle(memory->device);
	check_content(memory);
	device_get_stats(memory->device, &stats);
	reserve = stats.reserve;
	if (reserve > stats.reserve_target)
		reserve = stats.reserve_target;
	held = (double)resident() - (double)memory->rss_start -
	       ((double)reserve - (double)memory->reserve_start);
	printf("memory allocator=%s algorithm=%s filter=%s target_mib=%" PRIu64
	       " phase=%s pages=%" PRIu64 " payload=%" PRIu64 " pool=%" PRIu64 " metadata=%" PRIu64
	       " reserve=%" PRIu64 " streams=%" PRIu64
	       " held=%.0f held_to_payload=%.4f pool_to_payload=%.4f"
	       " seconds=%.3f\n",
	       engine->allocator_name, engine->algorithm, engine->filter, engine->payload / MIB,
	       phase, memory->pages, stats.payload, stats.pool, stats.metadata, stats.reserve,
	       stats.streams, held, held / (double)stats.payload,
	       (double)stats.pool / (double)stats.payload, seconds);
}

uint64_t engine_pages_for_payload(const struct engine *engine)
{
	struct codec_stream *stream = engine_stream(engine);
	const void *payload;
	uint8_t encoding;
	uint64_t total = 0;

	for (size_t i = 0; i < engine->input.count; i++)
		total += codec_compress(stream, input_page(&engine->input, i), &payload, &encoding);
	codec_stream_free(stream);
	return engine->payload * engine->input.count / total / THREADS * THREADS;
}

void measure_memory(const struct engine *engine)
{
	struct memory memory = {.engine = engine, .pages = engine_pages_for_payload(engine)};
	struct device_stats stats;

	memory.content = malloc(memory.pages * sizeof(*memory.content));
	if (!memory.content)
		errx(EXIT_FAILURE, "no memory");
	memset(memory.content, 0xff, memory.pages * sizeof(*memory.content)); /* resident: ours */

	memory.device = engine_device(engine, memory.pages, true);
	wait_idle(memory.device);
	device_get_stats(memory.device, &stats);
	memory.reserve_start = stats.reserve;
	memory.rss_start = resident();

	report(&memory, "fill", run_parallel(THREADS, fill, &memory));
	report(&memory, "overwrite", run_parallel(THREADS, overwrite, &memory));
	report(&memory, "trim", run_parallel(THREADS, trim, &memory));
	report(&memory, "compact", run_parallel(1, compact, &memory));
	engine_device_end(memory.device);
	free(memory.content);
}
