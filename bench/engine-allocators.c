/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Allocators: zbud beside zspages, with the same pages written, overwritten, read and trimmed.
 *
 * They take turns within each round, and a ratio is the median of the ratios of the rounds. What is
 * held is the pool beside the payload, without what is kept in reserve. At last half of the pool is to come
 * free by writeback.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/engine.h"
#include "bench/numbers.h"
#include "device/device-types.h"
#include "device/writeback.h"

#define MAX_THREADS 2
#define READ_PASSES 4 /* a pass is short: too short for one to be a measurement */

enum op { FILL, OVERWRITE, READ, OPS };
static const char *const op_names[] = {"fill", "overwrite", "read"};

enum phase { FILLED, OVERWRITTEN, TRIMMED, COMPACTED, PHASES };
static const char *const phase_names[] = {"fill", "overwrite", "trim", "compact"};

/* Of writeback: what came free of what was to, at once and with compaction, and the payload that was written. */
enum relief { AT_ONCE, THEN_COMPACTED, WRITTEN, RELIEFS };
static const char *const relief_names[] = {"relieved", "relieved-compacted", "written"};

struct allocators {
	struct engine engine; /* its allocator is the one at work */
	struct device *device;
	unsigned int threads;
	enum op op;
	double mib_s[OPS][ZS_KINDS][MAX_ROUNDS];
	double pool_to_payload[PHASES][ZS_KINDS][MAX_ROUNDS];
	double relief[RELIEFS][ZS_KINDS][MAX_ROUNDS];
	double moved_to_freed[ZS_KINDS][MAX_ROUNDS], compact_ms[ZS_KINDS][MAX_ROUNDS];
};

static void write_some(struct allocators *a, uint64_t first, uint64_t count)
{
	const struct input *input = &a->engine.input;
	uint64_t state = first + 1;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t page = first + i, from = page;

		if (a->op == OVERWRITE) {
			page = first + random_next(&state) % count;
			from = random_next(&state);
		}
		must(device_write(a->device, input_page(input, from), page * PAGE_SIZE, PAGE_SIZE),
		     "device_write");
	}
}

static void read_some(struct allocators *a, uint64_t first, uint64_t count)
{
	unsigned char page[PAGE_SIZE];
	uint64_t state = first + 1;

	for (uint64_t i = 0; i < READ_PASSES * count; i++)
		must(device_read(a->device, page, (first + random_next(&state) % count) * PAGE_SIZE,
				 PAGE_SIZE),
		     "device_read");
}

static void run_thread(void *opaque, unsigned int thread)
{
	struct allocators *a = opaque;
	uint64_t count = a->engine.input.count / a->threads;

	if (a->op == READ)
		read_some(a, count * thread, count);
	else
		write_some(a, count * thread, count);
}

static void measure_op(struct allocators *a, enum op op, unsigned int round)
{
	double mib = (double)(a->engine.input.count / a->threads * a->threads * PAGE_SIZE) /
		     (double)MIB * (op == READ ? READ_PASSES : 1);

	a->op = op;
	a->mib_s[op][a->engine.allocator][round] = mib / run_parallel(a->threads, run_thread, a);
}

static void measure_pool(struct allocators *a, enum phase phase, unsigned int round)
{
	struct device_stats stats;

	device_get_stats(a->device, &stats);
	a->pool_to_payload[phase][a->engine.allocator][round] =
		(double)stats.pool / (double)stats.payload;
}

/* What a page costs to free: objects moved, of which the time is most. */
static void measure_compaction(struct allocators *a, unsigned int round)
{
	struct device_stats before, after;
	uint64_t start;

	device_get_stats(a->device, &before);
	start = now_ns();
	must(device_compact(a->device), "device_compact");
	a->compact_ms[a->engine.allocator][round] = (double)(now_ns() - start) / 1e6;
	device_get_stats(a->device, &after);
	a->moved_to_freed[a->engine.allocator][round] =
		(double)(after.objects_compacted - before.objects_compacted) /
		((double)(before.pool - after.pool) / PAGE_SIZE);
}

/* To a file in memory, which costs less than a disk: what is written is counted, and not how fast. */
static void open_backing(struct device *device, int file)
{
	char where[64], why[BACKING_WHY];
	const struct backing_options options = {
		.where = where, .name = "bench", .segment_size = 1 << 20};

	snprintf(where, sizeof(where), "/proc/self/fd/%d", file);
	if (device_open_backing(device, &options, why) < 0)
		errx(EXIT_FAILURE, "backing store: %s", why);
}

/* Of half of the pool, which is asked for, what comes free by writeback alone, and by compaction after it. */
static void measure_relief(struct allocators *a, unsigned int round)
{
	int file = memfd_create("backing", MFD_CLOEXEC);
	struct device_stats before, after, compacted;
	uint64_t asked, idle;

	if (file < 0 || ftruncate(file, (off_t)(a->engine.input.count * PAGE_SIZE + 64 * MIB)) < 0)
		err(EXIT_FAILURE, "memfd");
	open_backing(a->device, file);
	must(device_idle(a->device, 0, &idle), "device_idle");
	device_get_stats(a->device, &before);
	asked = before.pool / 2;
	writeback_relieve(a->device, asked, 1, 0, NULL);
	device_get_stats(a->device, &after);
	must(device_compact(a->device), "device_compact");
	device_get_stats(a->device, &compacted);
	a->relief[AT_ONCE][a->engine.allocator][round] =
		(double)(before.pool - after.pool) / (double)asked;
	a->relief[THEN_COMPACTED][a->engine.allocator][round] =
		(double)(before.pool - compacted.pool) / (double)asked;
	a->relief[WRITTEN][a->engine.allocator][round] =
		(double)(before.payload - after.payload) / (double)asked;
	close(file);
}

static void run_round(struct allocators *a, enum zs_kind kind, unsigned int round)
{
	a->engine.allocator = kind;
	a->device = engine_device(&a->engine, a->engine.input.count, false);
	measure_op(a, FILL, round);
	measure_pool(a, FILLED, round);
	measure_op(a, OVERWRITE, round);
	measure_pool(a, OVERWRITTEN, round);
	measure_op(a, READ, round);
	for (uint64_t i = 0; i < a->engine.input.count; i++)
		if (input_is_trimmed(i))
			must(device_trim(a->device, i * PAGE_SIZE, PAGE_SIZE), "device_trim");
	measure_pool(a, TRIMMED, round);
	measure_compaction(a, round);
	measure_pool(a, COMPACTED, round);
	measure_relief(a, round);
	engine_device_end(a->device);
}

/* Both, and the median of the ratios. The medians come last: to find one sorts the rounds. */
static void print_pair(const char *name, double values[ZS_KINDS][MAX_ROUNDS], unsigned int rounds)
{
	double ratios[MAX_ROUNDS], ratio;

	for (unsigned int i = 0; i < rounds; i++)
		ratios[i] = values[ZS_ZBUD][i] / values[ZS_ZSPAGE][i];
	ratio = median(ratios, rounds);
	printf(" zspage_%s=%.3f zbud_%s=%.3f zbud_to_zspage=%.3f\n", name,
	       median(values[ZS_ZSPAGE], rounds), name, median(values[ZS_ZBUD], rounds), ratio);
}

static void report(struct allocators *a)
{
	char head[128];

	snprintf(head, sizeof(head), "allocators algorithm=%s filter=%s threads=%u",
		 a->engine.algorithm, a->engine.filter, a->threads);
	for (enum op op = 0; op < OPS; op++) {
		printf("%s what=%s", head, op_names[op]);
		print_pair("mib_s", a->mib_s[op], a->engine.rounds);
	}
	for (enum phase phase = 0; phase < PHASES; phase++) {
		printf("%s what=held-%s", head, phase_names[phase]);
		print_pair("pool_to_payload", a->pool_to_payload[phase], a->engine.rounds);
	}
	printf("%s what=moved", head);
	print_pair("objects_a_page", a->moved_to_freed, a->engine.rounds);
	printf("%s what=compaction", head);
	print_pair("ms", a->compact_ms, a->engine.rounds);
	for (enum relief what = 0; what < RELIEFS; what++) {
		printf("%s what=%s", head, relief_names[what]);
		print_pair("to_asked", a->relief[what], a->engine.rounds);
	}
}

void measure_allocators(const struct engine *engine)
{
	for (unsigned int threads = 1; threads <= MAX_THREADS; threads++) {
		struct allocators *a = calloc(1, sizeof(*a));

		if (!a)
			errx(EXIT_FAILURE, "no memory");
		a->engine = *engine;
		a->threads = threads;
		for (unsigned int round = 0; round < engine->rounds; round++)
			for (enum zs_kind kind = 0; kind < ZS_KINDS; kind++)
				run_round(a, (kind + round) % ZS_KINDS, round);
		report(a);
		free(a);
	}
}
