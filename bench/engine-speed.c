/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Speed: the device beside the codec alone, on the same pages in the same order.
 *
 * The codec alone stores payloads back to back in memory that was touched before, and reads them
 * from there: what a device with no slots, no allocator and no locks would do. The machine's speed
 * drifts, so the contenders take turns within each round, and a ratio is the median of the ratios
 * of the rounds. Both read into, and the device in each of its calls from, the same small buffers.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/engine.h"
#include "bench/numbers.h"

#define MAX_THREADS 2
#define READ_PASSES 4 /* a pass is short: too short for one to be a measurement */

enum contender { CODEC, ENGINE_4K, ENGINE_128K, CONTENDERS };
enum op { FILL, OVERWRITE, READ, OPS };

static const char *const op_names[] = {"fill", "overwrite", "read"};
static const size_t blocks[] = {0, PAGE_SIZE, KIB_128};

/* One thread's share of the codec's work; the payloads lie back to back. */
struct store {
	struct codec_stream *stream;
	unsigned char *memory;
	uint16_t *lengths;
	uint8_t *encodings;
	unsigned char *buf; /* KIB_128 to read into */
};

struct speed {
	const struct engine *engine;
	unsigned int threads;
	struct store stores[MAX_THREADS];
	struct device *device;
	size_t block; /* bytes a call */
	enum op op;
	double mib_s[MAX_THREADS][CONTENDERS][OPS][MAX_ROUNDS];
};

/* The pages that fall to THREAD. */
static void share(const struct speed *speed, unsigned int thread, size_t *first, size_t *count)
{
	*count = speed->engine->input.count / speed->threads;
	*first = *count * thread;
}

static void codec_write(void *opaque, unsigned int thread)
{
	struct speed *speed = opaque;
	struct store *store = &speed->stores[thread];
	unsigned char *at = store->memory;
	size_t first, count;

	share(speed, thread, &first, &count);
	for (size_t i = 0; i < count; i++) {
		const void *payload;
		size_t len =
			codec_compress(store->stream, input_page(&speed->engine->input, first + i),
				       &payload, &store->encodings[i]);

		memcpy(at, payload, len);
		store->lengths[i] = (uint16_t)len;
		at += len;
	}
}

static void codec_read(void *opaque, unsigned int thread)
{
	struct speed *speed = opaque;
	struct store *store = &speed->stores[thread];
	const unsigned char *at = store->memory;
	size_t first, count;

	share(speed, thread, &first, &count);
	for (size_t i = 0; i < count; i++) {
		must(codec_decompress(store->stream, store->encodings[i], at, store->lengths[i],
				      store->buf + i * PAGE_SIZE % KIB_128),
		     "codec_decompress");
		at += store->lengths[i];
	}
}

static void device_write_all(void *opaque, unsigned int thread)
{
	struct speed *speed = opaque;
	const struct input *input = &speed->engine->input;
	/* When overwriting, other content than what is there: payloads of other lengths. */
	size_t shift = speed->op == OVERWRITE ? input->count / 2 / 32 * 32 : 0;
	size_t step = speed->block / PAGE_SIZE, first, count;

	share(speed, thread, &first, &count);
	for (size_t i = first; i < first + count; i += step)
		must(device_write(speed->device, input_page(input, i + shift), i * PAGE_SIZE,
				  speed->block),
		     "device_write");
}

static void device_read_all(void *opaque, unsigned int thread)
{
	struct speed *speed = opaque;
	size_t step = speed->block / PAGE_SIZE, first, count;

	share(speed, thread, &first, &count);
	for (size_t i = first; i < first + count; i += step)
		must(device_read(speed->device, speed->stores[thread].buf + i * PAGE_SIZE % KIB_128,
				 i * PAGE_SIZE, speed->block),
		     "device_read");
}

/* MiB a second of so many PASSES over the input. */
static double timed(struct speed *speed, void (*fn)(void *opaque, unsigned int thread),
		    unsigned int passes)
{
	double seconds = 0;

	for (unsigned int i = 0; i < passes; i++)
		seconds += run_parallel(speed->threads, fn, speed);
	return (double)(speed->engine->input.count * PAGE_SIZE * passes) / (double)MIB / seconds;
}

/* A speed is worth nothing when the content is wrong. */
static void check_content(const struct speed *speed)
{
	const struct input *input = &speed->engine->input;
	unsigned char page[PAGE_SIZE];

	for (size_t i = 0; i < input->count; i++) {
		must(device_read(speed->device, page, i * PAGE_SIZE, PAGE_SIZE), "device_read");
		if (memcmp(page, input_page(input, i), PAGE_SIZE) != 0)
			errx(EXIT_FAILURE, "page %zu reads back wrong", i);
	}
}

static void run_contender(struct speed *speed, enum contender who, unsigned int round)
{
	double(*mib_s)[MAX_ROUNDS] = speed->mib_s[speed->threads - 1][who];

	if (who == CODEC) {
		mib_s[FILL][round] = mib_s[OVERWRITE][round] = timed(speed, codec_write, 1);
		mib_s[READ][round] = timed(speed, codec_read, READ_PASSES);
		return;
	}
	speed->block = blocks[who];
	speed->device = engine_device(speed->engine, speed->engine->input.count, true);
	speed->op = FILL;
	mib_s[FILL][round] = timed(speed, device_write_all, 1);
	mib_s[READ][round] = timed(speed, device_read_all, READ_PASSES);
	if (round == 0)
		check_content(speed);
	speed->op = OVERWRITE;
	mib_s[OVERWRITE][round] = timed(speed, device_write_all, 1);
	engine_device_end(speed->device);
}

static double median_of(const double *values, unsigned int rounds)
{
	double copy[MAX_ROUNDS];

	memcpy(copy, values, rounds * sizeof(*copy));
	return median(copy, rounds);
}

static double median_ratio(const double *a, const double *b, unsigned int rounds)
{
	double ratios[MAX_ROUNDS];

	for (unsigned int i = 0; i < rounds; i++)
		ratios[i] = a[i] / b[i];
	return median(ratios, rounds);
}

static void print_speed(struct speed *speed, enum contender who, enum op op)
{
	const struct engine *engine = speed->engine;
	unsigned int rounds = engine->rounds;

	for (unsigned int t = 0; t < MAX_THREADS; t++) {
		double *ours = speed->mib_s[t][who][op], *codec = speed->mib_s[t][CODEC][op];

		printf("speed allocator=%s algorithm=%s filter=%s op=%s block=%zu threads=%u "
		       "engine_mib_s=%.0f codec_mib_s=%.0f engine_to_codec=%.3f",
		       engine->allocator_name, engine->algorithm, engine->filter, op_names[op],
		       blocks[who], t + 1, median_of(ours, rounds), median_of(codec, rounds),
		       median_ratio(ours, codec, rounds));
		if (t == 1)
			printf(" engine_two_to_one=%.2f codec_two_to_one=%.2f",
			       median_ratio(ours, speed->mib_s[0][who][op], rounds),
			       median_ratio(codec, speed->mib_s[0][CODEC][op], rounds));
		printf("\n");
	}
}

static void *touched(size_t size)
{
	void *memory = malloc(size);

	if (!memory)
		errx(EXIT_FAILURE, "no memory");
	memset(memory, 1, size);
	return memory;
}

static void open_store(struct store *store, const struct engine *engine)
{
	size_t pages = engine->input.count;

	store->stream = engine_stream(engine);
	store->memory = touched(pages * PAGE_SIZE);
	store->lengths = touched(pages * sizeof(*store->lengths));
	store->encodings = touched(pages);
	store->buf = touched(KIB_128);
}

static void close_store(struct store *store)
{
	codec_stream_free(store->stream);
	free(store->memory);
	free(store->lengths);
	free(store->encodings);
	free(store->buf);
}

void measure_speed(const struct engine *engine)
{
	struct speed *speed = touched(sizeof(*speed));

	speed->engine = engine;
	for (unsigned int i = 0; i < MAX_THREADS; i++)
		open_store(&speed->stores[i], engine);
	for (unsigned int round = 0; round < engine->rounds; round++)
		for (speed->threads = 1; speed->threads <= MAX_THREADS; speed->threads++)
			/* Each begins in its turn, so that none always comes first. */
			for (unsigned int i = 0; i < CONTENDERS; i++)
				run_contender(speed, (round + i) % CONTENDERS, round);
	for (enum op op = 0; op < OPS; op++)
		for (enum contender who = ENGINE_4K; who < CONTENDERS; who++)
			print_speed(speed, who, op);
	for (unsigned int i = 0; i < MAX_THREADS; i++)
		close_store(&speed->stores[i]);
	free(speed);
}
