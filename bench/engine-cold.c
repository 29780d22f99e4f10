/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cold: a device whose pages go cold, beside the same device that does nothing about it.
 *
 * And a third, that has dictionaries for it too; and a fourth, that writes back besides what the limit
 * has no room for. All are filled with the input and then see the same accesses at the same time, a quarter of them
 * writes of other content: ACCESSES a second, of which page N * u^SKEW of N is chosen, u being uniform,
 * so that a tenth of the pages get three quarters of the accesses, and most get none for long. All but the
 * first have a second algorithm for what has not been touched for the least age that there is, and a tenth of a
 * CPU for it. At the end every page is compared, and then memory, CPU time, and how long reads took: of
 * pages in memory, and of those in the backing store, which take as long as the disk does.
 */
#include <err.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/engine.h"
#include "bench/numbers.h"
#include "device/device-types.h"

#define ACCESSES 500 /* a second */
#define BURST	 5   /* accesses in a row */
#define SKEW	 8
#define AGE	 16 /* seconds */
#define CPU	 10 /* percent */
#define LEVEL	 6

enum contender { PLAIN, COLD, DICTIONARY, STORE, CONTENDERS };

struct cold {
	const struct engine *engine;
	struct device *devices[CONTENDERS];
	uint32_t *content;	       /* which page of the input each page holds */
	unsigned int count;	       /* the first ones, all but STORE where there is no store */
	uint32_t *samples[CONTENDERS]; /* nanoseconds of reads of pages in memory */
	size_t reads[CONTENDERS];
	uint32_t *away; /* and of those that STORE had to fetch */
	size_t reads_away;
	double most_cpu[CONTENDERS]; /* of a second */
};

static void read_page(struct cold *cold, enum contender who, uint64_t page)
{
	static unsigned char buf[PAGE_SIZE];
	bool away = device_is_away(cold->devices[who], page * PAGE_SIZE, PAGE_SIZE);
	uint64_t start = now_ns();
	uint32_t ns;

	must(device_read(cold->devices[who], buf, page * PAGE_SIZE, PAGE_SIZE), "device_read");
	ns = (uint32_t)(now_ns() - start);
	if (away)
		cold->away[cold->reads_away++] = ns;
	else
		cold->samples[who][cold->reads[who]++] = ns;
}

static void access_page(struct cold *cold, uint64_t *state)
{
	const struct input *input = &cold->engine->input;
	double u = (double)(random_next(state) >> 11) / (double)(UINT64_C(1) << 53);
	uint64_t page = (uint64_t)((double)input->count * pow(u, SKEW));
	bool write = random_next(state) % 4 == 0;
	uint64_t from = random_next(state) % input->count;

	if (write)
		cold->content[page] = (uint32_t)from;
	for (unsigned int i = 0; i < cold->count; i++) {
		if (write)
			must(device_write(cold->devices[i], input_page(input, from),
					  page * PAGE_SIZE, PAGE_SIZE),
			     "device_write");
		else
			read_page(cold, i, page);
	}
}

static uint64_t cpu_of(struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	return stats.recompress_ns;
}

/* What each has used since it was CPU, NS ago. */
static void note_cpu(struct cold *cold, uint64_t cpu[CONTENDERS], uint64_t ns)
{
	for (unsigned int i = 0; i < cold->count; i++) {
		uint64_t used = cpu_of(cold->devices[i]);

		cold->most_cpu[i] = fmax(cold->most_cpu[i], (double)(used - cpu[i]) / (double)ns);
		cpu[i] = used;
	}
}

/* The accesses of SECONDS. */
static void run_trace(struct cold *cold, unsigned int seconds)
{
	const struct timespec pause = {.tv_nsec = 1000000000 / ACCESSES * BURST};
	uint64_t state = 1, start = now_ns(), second = start;
	uint64_t cpu[CONTENDERS] = {0};

	while (now_ns() - start < seconds * UINT64_C(1000000000)) {
		uint64_t now = now_ns();

		for (unsigned int i = 0; i < BURST; i++)
			access_page(cold, &state);
		if (now - second >= UINT64_C(1000000000)) {
			note_cpu(cold, cpu, now - second);
			second = now;
		}
		nanosleep(&pause, NULL);
	}
}

static void check_content(const struct cold *cold)
{
	unsigned char page[PAGE_SIZE];

	for (unsigned int i = 0; i < cold->count; i++)
		for (uint64_t at = 0; at < cold->engine->input.count; at++) {
			must(device_read(cold->devices[i], page, at * PAGE_SIZE, PAGE_SIZE),
			     "device_read");
			if (memcmp(page, input_page(&cold->engine->input, cold->content[at]),
				   PAGE_SIZE) != 0)
				errx(EXIT_FAILURE, "page %" PRIu64 " reads back wrong", at);
		}
}

static void set_cold(const struct engine *engine, struct device *device)
{
	struct device_settings settings;
	int level = LEVEL;

	device_get_settings(device, &settings);
	settings.cold = (struct device_cold){
		.methods_count = 1, .type = DEVICE_COLD_IDLE, .age = AGE, .cpu = CPU};
	must(codec_method_init(&settings.cold.methods[0], "zstd", &level), "zstd");
	if (engine->method.filter != CODEC_FILTER_NONE)
		settings.cold.methods[0].filter = CODEC_FILTER_TRY;
	else
		settings.cold.methods[0].filter = CODEC_FILTER_NONE;
	must(device_set(device, &settings), "device_set");
}

/* A limit of what it holds now: writeback begins at half of that. */
static void set_writeback(struct device *device)
{
	struct device_settings settings;
	struct device_stats stats;

	device_get_stats(device, &stats);
	device_get_settings(device, &settings);
	settings.mem_limit = stats.pool;
	settings.writeback = (struct device_policy){.at = 50, .age = AGE};
	must(device_set(device, &settings), "device_set");
}

/* What a device takes, but for the reserve, which all have. */
static double memory_of(const struct device_stats *stats)
{
	return (double)(stats->pool + stats->metadata + stats->streams + stats->dicts);
}

struct outcome {
	struct device_stats stats;
	double memory, p50, p999, away_p50;
};

static struct outcome outcome_of(struct cold *cold, enum contender who)
{
	struct outcome o;

	device_get_stats(cold->devices[who], &o.stats);
	o.memory = memory_of(&o.stats);
	o.p50 = percentile(cold->samples[who], cold->reads[who], 50);
	o.p999 = percentile(cold->samples[who], cold->reads[who], 99.9);
	o.away_p50 = who == STORE && cold->reads_away > 0
			     ? percentile(cold->away, cold->reads_away, 50)
			     : 0;
	return o;
}

/* WHO, beside the one that does nothing. */
static void report(struct cold *cold, enum contender who, unsigned int seconds)
{
	const struct engine *engine = cold->engine;
	struct outcome before = outcome_of(cold, PLAIN), o = outcome_of(cold, who);

	printf("cold algorithm=%s filter=%s then=zstd level=%d dictionary=%s store=%s pages=%zu "
	       "seconds=%u "
	       "payload_before=%" PRIu64 " payload=%" PRIu64 " memory_before=%.0f memory=%.0f "
	       "less=%.4f recompressed=%" PRIu64 " would_not=%" PRIu64 " with_dictionary=%" PRIu64
	       " cpu_budget=%.2f cpu_mean=%.4f cpu_most=%.4f reads=%zu p50_ns_before=%.0f "
	       "p50_ns=%.0f p999_ns_before=%.0f p999_ns=%.0f written_back=%" PRIu64
	       " backing_written=%" PRIu64 " written_back_payload=%" PRIu64
	       " reads_away=%zu away_p50_ns=%.0f\n",
	       engine->algorithm, engine->filter, LEVEL, who == COLD ? "no" : "yes",
	       who == STORE ? "yes" : "no", engine->input.count, seconds, before.stats.payload,
	       o.stats.payload, before.memory, o.memory, 1 - o.memory / before.memory,
	       o.stats.recompressed, o.stats.recompress_failed, o.stats.pages_dict, CPU / 100.0,
	       (double)o.stats.recompress_ns / 1e9 / seconds, cold->most_cpu[who], cold->reads[who],
	       before.p50, o.p50, before.p999, o.p999, o.stats.written_back,
	       o.stats.backing_written, o.stats.written_back_payload,
	       who == STORE ? cold->reads_away : 0, o.away_p50);
}

static struct device *new_contender(const struct engine *engine, enum contender who)
{
	size_t count = engine->input.count;
	struct device *device = who == STORE ? engine_device_backed(engine, count, engine->where)
					     : engine_device(engine, count, true);

	must(device_write(device, engine->input.pages, 0, count * PAGE_SIZE), "device_write");
	/* No pages are so many: this one never has a dictionary. */
	if (who == COLD)
		device->background.training.least = UINT64_MAX;
	if (who != PLAIN)
		set_cold(engine, device);
	if (who == STORE)
		set_writeback(device);
	return device;
}

static void *have(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory)
		errx(EXIT_FAILURE, "no memory");
	return memory;
}

void measure_cold(const struct engine *engine)
{
	struct cold cold = {.engine = engine, .count = engine->where ? CONTENDERS : STORE};
	size_t accesses = (size_t)ACCESSES * engine->seconds * 2;

	cold.content = have(engine->input.count, sizeof(*cold.content));
	cold.away = have(accesses, sizeof(*cold.away));
	for (size_t i = 0; i < engine->input.count; i++)
		cold.content[i] = (uint32_t)i;
	for (unsigned int i = 0; i < cold.count; i++) {
		cold.samples[i] = have(accesses, sizeof(**cold.samples));
		cold.devices[i] = new_contender(engine, i);
	}
	run_trace(&cold, engine->seconds);
	for (unsigned int i = COLD; i < cold.count; i++)
		report(&cold, i, engine->seconds);
	check_content(&cold);
	for (unsigned int i = 0; i < cold.count; i++) {
		engine_device_end(cold.devices[i]);
		free(cold.samples[i]);
	}
	free(cold.away);
	free(cold.content);
}
