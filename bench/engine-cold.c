/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cold: a device whose pages go cold, beside the same device that does nothing about it.
 *
 * And a third, that has dictionaries for it too.
 * All are filled with the input and then see the same accesses at the same time, a quarter of them
 * writes of other content: ACCESSES a second, of which page N * u^SKEW of N is chosen, u being uniform,
 * so that a tenth of the pages get three quarters of the accesses, and most get none for long. Two have a
 * second algorithm for what has not been touched for the least age that there is, and a tenth of a CPU
 * for it. At the end every page is compared, and then memory, CPU time, and how long reads took.
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

enum contender { PLAIN, COLD, DICTIONARY, CONTENDERS };

struct cold {
	const struct engine *engine;
	struct device *devices[CONTENDERS];
	uint32_t *content; /* which page of the input each page holds */
	uint32_t *samples[CONTENDERS];
	size_t reads;
	double most_cpu[CONTENDERS]; /* of a second */
};

static void access_page(struct cold *cold, uint64_t *state)
{
	static unsigned char buf[PAGE_SIZE];
	const struct input *input = &cold->engine->input;
	double u = (double)(random_next(state) >> 11) / (double)(UINT64_C(1) << 53);
	uint64_t page = (uint64_t)((double)input->count * pow(u, SKEW));
	bool write = random_next(state) % 4 == 0;
	uint64_t from = random_next(state) % input->count;

	if (write)
		cold->content[page] = (uint32_t)from;
	for (unsigned int i = 0; i < CONTENDERS; i++) {
		uint64_t start = now_ns();

		if (write) {
			must(device_write(cold->devices[i], input_page(input, from),
					  page * PAGE_SIZE, PAGE_SIZE),
			     "device_write");
			continue;
		}
		must(device_read(cold->devices[i], buf, page * PAGE_SIZE, PAGE_SIZE),
		     "device_read");
		cold->samples[i][cold->reads] = (uint32_t)(now_ns() - start);
	}
	cold->reads += !write;
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
	for (unsigned int i = 0; i < CONTENDERS; i++) {
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

	for (unsigned int i = 0; i < CONTENDERS; i++)
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

/* What a device takes, but for the reserve, which all have. */
static double memory_of(const struct device_stats *stats)
{
	return (double)(stats->pool + stats->metadata + stats->streams + stats->dicts);
}

struct outcome {
	struct device_stats stats;
	double memory, p50, p999;
};

static struct outcome outcome_of(struct cold *cold, enum contender who)
{
	struct outcome o;

	device_get_stats(cold->devices[who], &o.stats);
	o.memory = memory_of(&o.stats);
	o.p50 = percentile(cold->samples[who], cold->reads, 50);
	o.p999 = percentile(cold->samples[who], cold->reads, 99.9);
	return o;
}

/* WHO, beside the one that does nothing. */
static void report(struct cold *cold, enum contender who, unsigned int seconds)
{
	const struct engine *engine = cold->engine;
	struct outcome before = outcome_of(cold, PLAIN), o = outcome_of(cold, who);

	printf("cold algorithm=%s filter=%s then=zstd level=%d dictionary=%s pages=%zu seconds=%u "
	       "payload_before=%" PRIu64 " payload=%" PRIu64 " memory_before=%.0f memory=%.0f "
	       "less=%.4f recompressed=%" PRIu64 " would_not=%" PRIu64 " with_dictionary=%" PRIu64
	       " cpu_budget=%.2f cpu_mean=%.4f cpu_most=%.4f reads=%zu p50_ns_before=%.0f "
	       "p50_ns=%.0f p999_ns_before=%.0f p999_ns=%.0f\n",
	       engine->algorithm, engine->filter, LEVEL, who == DICTIONARY ? "yes" : "no",
	       engine->input.count, seconds, before.stats.payload, o.stats.payload, before.memory,
	       o.memory, 1 - o.memory / before.memory, o.stats.recompressed,
	       o.stats.recompress_failed, o.stats.pages_dict, CPU / 100.0,
	       (double)o.stats.recompress_ns / 1e9 / seconds, cold->most_cpu[who], cold->reads,
	       before.p50, o.p50, before.p999, o.p999);
}

void measure_cold(const struct engine *engine)
{
	struct cold cold = {.engine = engine};
	size_t count = engine->input.count;

	cold.content = malloc(count * sizeof(*cold.content));
	for (unsigned int i = 0; i < CONTENDERS; i++) {
		cold.samples[i] =
			calloc((size_t)ACCESSES * engine->seconds * 2, sizeof(**cold.samples));
		if (!cold.samples[i])
			errx(EXIT_FAILURE, "no memory");
		cold.devices[i] = engine_device(engine, count, true);
		must(device_write(cold.devices[i], engine->input.pages, 0, count * PAGE_SIZE),
		     "device_write");
	}
	if (!cold.content)
		errx(EXIT_FAILURE, "no memory");
	for (size_t i = 0; i < count; i++)
		cold.content[i] = (uint32_t)i;
	/* No pages are so many: this one never has a dictionary. */
	cold.devices[COLD]->background.training.least = UINT64_MAX;
	set_cold(engine, cold.devices[COLD]);
	set_cold(engine, cold.devices[DICTIONARY]);
	run_trace(&cold, engine->seconds);
	report(&cold, COLD, engine->seconds);
	report(&cold, DICTIONARY, engine->seconds);
	check_content(&cold);
	for (unsigned int i = 0; i < CONTENDERS; i++) {
		engine_device_end(cold.devices[i]);
		free(cold.samples[i]);
	}
	free(cold.content);
}
