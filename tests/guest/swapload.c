/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * swapload: memory that is larger than the machine's, filled and checked.
 *
 *	swapload MIB THREADS PASSES [SEED [DENSE]]
 *
 * Anonymous memory is filled by several threads with pages as processes have them, each different
 * and known from the seed, its number, and the pass that wrote it. Then, in every pass, each thread
 * visits its pages in random order (in short runs, as programs do): it checks every byte, and writes
 * half of them anew. Of a hundred pages DENSE (0) do not shrink: with 0 zstd makes all of them some 11 times
 * smaller, with 26 3 times. What is wrong is named, with exit status 1. On SIGTERM every thread checks what it
 * has once more, from the next pass on, and that is all.
 */
#include <err.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/lib/content.h"
#include "tests/lib/rng.h"

#define PAGE	     4096
#define CORPUS_PAGES 512
#define RUN	     16 /* pages that are visited one after the other */
#define MAX_THREADS  64

struct load {
	uint8_t *memory;
	uint64_t pages; /* a multiple of RUN for each thread */
	uint64_t seed;
	unsigned int threads, passes;
	unsigned int dense; /* per cent of the pages */
	uint8_t corpus[CORPUS_PAGES][PAGE];
};

static volatile sig_atomic_t enough; /* SIGTERM has come */

static void on_term(int signal)
{
	enough = 1;
}

struct worker {
	pthread_t thread;
	const struct load *load;
	uint64_t first, pages;
};

/* Text, pointers or numbers; now and then what no codec makes smaller. */
static enum content_kind pick_kind(struct rng *rng)
{
	enum content_kind kind;

	do
		kind = content_pick(rng);
	while (kind == CONTENT_ZERO || kind == CONTENT_SAME ||
	       (kind == CONTENT_RANDOM && rng_chance(rng, 70)));
	return kind;
}

/* An array of records that are much alike: a number that grows and a word that is any in each. */
static void make_records(struct rng *rng, uint8_t *page)
{
	size_t size = rng_between(rng, 8, 48) * 8;
	uint64_t number = rng_below(rng, 1 << 20);

	content_fill(rng, pick_kind(rng), page, size);
	for (size_t at = size; at + size <= PAGE; at += size) {
		uint16_t any = (uint16_t)rng_next(rng);

		memcpy(page + at, page, size);
		number++;
		memcpy(page + at, &number, sizeof(number));
		memcpy(page + at + size / 2, &any, sizeof(any));
	}
}

/* Most pages of processes are arrays of records, or used in part; few are full to the brim. */
static void make_corpus(struct load *load)
{
	struct rng rng = rng_make(load->seed);

	for (size_t i = 0; i < CORPUS_PAGES; i++) {
		if (rng_chance(&rng, 60))
			make_records(&rng, load->corpus[i]);
		else
			content_fill(&rng, pick_kind(&rng), load->corpus[i],
				     rng_chance(&rng, 10) ? PAGE : rng_between(&rng, 64, 1600));
	}
}

/* The page as PASS wrote it: one of the corpus turned round, with stamps that make it the only one. */
static void make_page(const struct load *load, uint64_t page, unsigned int pass, uint8_t *buf)
{
	struct rng rng = rng_make(rng_mix(load->seed) ^ rng_mix(page << 16 | pass));
	const uint8_t *from = load->corpus[rng_below(&rng, CORPUS_PAGES)];
	size_t turn = rng_below(&rng, PAGE / 64) * 64;
	uint64_t stamp = rng_next(&rng);

	if (load->dense > 0 && rng_chance(&rng, load->dense)) {
		content_fill(&rng, CONTENT_RANDOM, buf, PAGE);
		return;
	}
	if (rng_chance(&rng, 15)) {
		if (rng_chance(&rng, 60))
			stamp = 0;
		for (size_t at = 0; at < PAGE; at += sizeof(stamp))
			memcpy(buf + at, &stamp, sizeof(stamp));
		return;
	}
	memcpy(buf, from + turn, PAGE - turn);
	memcpy(buf + PAGE - turn, from, turn);
	for (int i = 0; i < 4; i++) {
		memcpy(buf + rng_below(&rng, PAGE / 8) * 8, &stamp, sizeof(stamp));
		stamp += page;
	}
}

/* Half of all pages are written anew in a pass. */
static bool is_rewritten(const struct load *load, uint64_t page, unsigned int pass)
{
	return pass == 0 || rng_mix(load->seed ^ (page << 16 | pass)) & 1;
}

static unsigned int last_written(const struct load *load, uint64_t page, unsigned int before)
{
	unsigned int pass = before - 1;

	while (!is_rewritten(load, page, pass))
		pass--;
	return pass;
}

static void check_page(const struct load *load, uint64_t page, unsigned int pass, uint8_t *expected)
{
	const uint8_t *actual = load->memory + page * PAGE;
	unsigned int written = last_written(load, page, pass);
	size_t at = 0;

	make_page(load, page, written, expected);
	if (memcmp(actual, expected, PAGE) == 0)
		return;
	while (actual[at] == expected[at])
		at++;
	errx(EXIT_FAILURE,
	     "pass %u: page %" PRIu64
	     " at byte %zu is %#x, not %#x as pass %u wrote it (seed %" PRIu64 ")",
	     pass, page, at, actual[at], expected[at], written, load->seed);
}

static void visit(const struct worker *worker, unsigned int pass, bool write, const uint32_t *order)
{
	const struct load *load = worker->load;
	uint8_t expected[PAGE];

	for (uint64_t i = 0; i < worker->pages; i++) {
		uint64_t page = worker->first + (uint64_t)order[i / RUN] * RUN + i % RUN;

		if (pass > 0)
			check_page(load, page, pass, expected);
		if (write && is_rewritten(load, page, pass))
			make_page(load, page, pass, load->memory + page * PAGE);
	}
}

static void shuffle(uint32_t *order, uint64_t count, struct rng *rng)
{
	for (uint64_t i = count; i > 1; i--) {
		uint64_t j = rng_below(rng, i);
		uint32_t held = order[i - 1];

		order[i - 1] = order[j];
		order[j] = held;
	}
}

/* The pass behind the last one only checks. */
static void *work(void *opaque)
{
	const struct worker *worker = opaque;
	uint64_t runs = worker->pages / RUN;
	struct rng rng = rng_make(rng_mix(worker->load->seed + worker->first));
	uint32_t *order = malloc(runs * sizeof(*order));
	bool write = true;

	if (order == NULL)
		err(EXIT_FAILURE, "malloc");
	for (uint64_t i = 0; i < runs; i++)
		order[i] = (uint32_t)i;
	for (unsigned int pass = 0; write; pass++) {
		write = pass < worker->load->passes && (pass == 0 || !enough);
		visit(worker, pass, write, order);
		shuffle(order, runs, &rng);
	}
	free(order);
	return NULL;
}

static void run(const struct load *load)
{
	static struct worker workers[MAX_THREADS];
	uint64_t each = load->pages / load->threads;

	for (unsigned int i = 0; i < load->threads; i++) {
		workers[i] = (struct worker){.load = load, .first = i * each, .pages = each};
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			errx(EXIT_FAILURE, "no thread can be made");
	}
	for (unsigned int i = 0; i < load->threads; i++)
		pthread_join(workers[i].thread, NULL);
}

static uint64_t number(const char *name, const char *text, uint64_t max)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0' || value > max)
		errx(EXIT_FAILURE, "%s: %s is not allowed: a number, at most %" PRIu64, name, text,
		     max);
	return value;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static struct load load;
	struct sigaction action = {.sa_handler = on_term, .sa_flags = SA_RESTART};
	struct rusage usage;
	uint64_t mib;
	double since;

	if (argc < 4 || argc > 6)
		errx(EXIT_FAILURE, "usage: %s MIB THREADS PASSES [SEED [DENSE]]", argv[0]);
	mib = number("MIB", argv[1], 1 << 20);
	load.threads = (unsigned int)number("THREADS", argv[2], MAX_THREADS);
	load.passes = (unsigned int)number("PASSES", argv[3], 60000);
	if (mib == 0 || load.threads == 0 || load.passes == 0)
		errx(EXIT_FAILURE, "MIB, THREADS and PASSES must not be 0");
	load.seed = argc >= 5 ? number("SEED", argv[4], UINT64_MAX) : test_seed(0);
	load.dense = argc == 6 ? (unsigned int)number("DENSE", argv[5], 100) : 0;
	load.pages = mib * 256 / load.threads / RUN * RUN * load.threads;
	load.memory = mmap(NULL, load.pages * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (load.memory == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");

	sigaction(SIGTERM, &action, NULL);
	make_corpus(&load);
	since = now();
	run(&load);
	getrusage(RUSAGE_SELF, &usage);
	printf("swapload: seed %" PRIu64 ", %" PRIu64 " MiB, %u threads, %u passes and a check: "
	       "%.1f s, %ld major and %ld minor faults, no byte wrong\n",
	       load.seed, load.pages * PAGE >> 20, load.threads, load.passes, now() - since,
	       usage.ru_majflt, usage.ru_minflt);
	return EXIT_SUCCESS;
}
