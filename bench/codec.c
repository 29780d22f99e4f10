/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram-bench-codec: what pages would be stored as: by each codec and level, with each way to choose
 * a filter, with dictionaries of several sizes. For each input the payload, what share of lz4's it
 * is, and how fast one thread makes and reads it, in its own time: others may be at work.
 *
 * A dictionary is trained from pages of the input that are not among those that are measured.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/input.h"
#include "bench/numbers.h"
#include "codec/codec.h"
#include "codec/dict.h"

#define WORDS	   (PAGE_SIZE / 8)
#define READ_TIMES 3 /* of which the median is taken */

struct way {
	const char *codec;
	int level;
	enum codec_filter filter;
	size_t dict_kib; /* 0: none */
	bool more;	 /* the page's words less, and exclusive-or, those before are tried too */
};

static const struct way ways[] = {
	{"lz4", 1, CODEC_FILTER_NONE, 0, false},   {"lz4", 1, CODEC_FILTER_AUTO, 0, false},
	{"lz4", 1, CODEC_FILTER_TRY, 0, false},	   {"lz4", 1, CODEC_FILTER_TRY, 0, true},
	{"zstd", 1, CODEC_FILTER_AUTO, 0, false},  {"zstd", 1, CODEC_FILTER_TRY, 0, false},
	{"zstd", 1, CODEC_FILTER_TRY, 32, false},  {"zstd", 3, CODEC_FILTER_AUTO, 0, false},
	{"zstd", 3, CODEC_FILTER_TRY, 0, false},   {"zstd", 3, CODEC_FILTER_TRY, 32, false},
	{"zstd", 6, CODEC_FILTER_NONE, 0, false},  {"zstd", 6, CODEC_FILTER_AUTO, 0, false},
	{"zstd", 6, CODEC_FILTER_TRY, 0, false},   {"zstd", 6, CODEC_FILTER_TRY, 0, true},
	{"zstd", 6, CODEC_FILTER_TRY, 4, false},   {"zstd", 6, CODEC_FILTER_TRY, 16, false},
	{"zstd", 6, CODEC_FILTER_AUTO, 32, false}, {"zstd", 6, CODEC_FILTER_TRY, 32, false},
	{"zstd", 9, CODEC_FILTER_TRY, 0, false},   {"zstd", 9, CODEC_FILTER_TRY, 32, false},
};

struct pages {
	const void **page;
	size_t count;
	unsigned char *samples; /* DICT_PAGES_MAX */
};

struct stored {
	unsigned char payload[PAGE_SIZE];
	size_t len;
	uint8_t encoding;
};

static const char *const filter_names[] = {"none", "auto", "try"};

static double thread_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Every so many-th page to be measured, and pages between them, anywhere, to train from. */
static void choose(const struct input *input, uint64_t max_mib, struct pages *ret)
{
	size_t every = input->count / (max_mib * MIB / PAGE_SIZE);
	uint64_t state = 1;

	if (every < 2)
		every = 2;
	ret->count = input->count / every;
	ret->page = malloc(ret->count * sizeof(*ret->page));
	ret->samples = malloc((size_t)DICT_PAGES_MAX * PAGE_SIZE);
	if (!ret->page || !ret->samples)
		errx(EXIT_FAILURE, "no memory");
	for (size_t i = 0; i < ret->count; i++)
		ret->page[i] = input_page(input, i * every);
	for (size_t i = 0; i < DICT_PAGES_MAX; i++) {
		uint64_t at = random_next(&state) % ret->count * every;

		memcpy(ret->samples + i * PAGE_SIZE,
		       input_page(input, at + 1 + random_next(&state) % (every - 1)), PAGE_SIZE);
	}
}

static size_t store(struct codec_stream *stream, const void *page, struct stored *to)
{
	const void *payload;
	uint8_t encoding;
	size_t len = codec_compress(stream, page, &payload, &encoding);

	if (to->len == 0 || len < to->len) {
		memcpy(to->payload, payload, len);
		to->len = len;
		to->encoding = encoding;
	}
	return to->len;
}

/* The slot would have to say which of them it was: this only shows what there is to be had. */
static size_t store_more(struct codec_stream *stream, const void *page, struct stored *to)
{
	uint64_t words[WORDS], less[WORDS], xored[WORDS];

	memcpy(words, page, PAGE_SIZE);
	less[0] = xored[0] = words[0];
	for (size_t i = 1; i < WORDS; i++) {
		less[i] = words[i] - words[i - 1];
		xored[i] = words[i] ^ words[i - 1];
	}
	store(stream, less, to);
	return store(stream, xored, to);
}

static void add_dict(struct dict_table *table, const struct pages *pages, const struct way *way)
{
	unsigned char bytes[DICT_SIZE_MAX];
	struct dict *dict;
	size_t len;
	int r = dict_train(pages->samples, DICT_PAGES_MAX, way->level, bytes, way->dict_kib << 10,
			   &len);

	if (r == 0)
		r = dict_new(bytes, len, &dict);
	if (r == 0)
		dict_table_set(table, 1, dict);
	else if (r != -ENODATA)
		errx(EXIT_FAILURE, "dictionary: %s", strerror(-r));
}

static struct codec_stream *make_stream(const struct way *way, struct dict_table *table)
{
	struct codec_method method;
	struct codec_stream *stream;

	if (codec_method_init(&method, way->codec, &way->level) < 0)
		errx(EXIT_FAILURE, "no method");
	method.filter = way->filter;
	if (codec_stream_new(&method, &stream) < 0)
		errx(EXIT_FAILURE, "no stream");
	codec_stream_set_dicts(stream, table);
	if (codec_stream_use_dict(stream, 1) < 0)
		errx(EXIT_FAILURE, "no memory for a dictionary");
	return stream;
}

static double read_all(struct codec_stream *stream, const struct pages *pages,
		       const struct stored *stored, bool check)
{
	unsigned char page[PAGE_SIZE];
	double start = thread_seconds();

	for (size_t i = 0; i < pages->count; i++) {
		if (codec_decompress(stream, stored[i].encoding, stored[i].payload, stored[i].len,
				     page) < 0 ||
		    (check && memcmp(page, pages->page[i], PAGE_SIZE) != 0))
			errx(EXIT_FAILURE, "page %zu does not come back", i);
	}
	return thread_seconds() - start;
}

static void measure(const struct pages *pages, const struct way *way, double *lz4)
{
	struct stored *stored = calloc(pages->count, sizeof(*stored));
	double mib = (double)pages->count * PAGE_SIZE / (double)MIB, made, times[READ_TIMES];
	struct dict_table table = {0};
	struct codec_stream *stream;
	uint64_t sum = 0;
	double start;

	if (!stored)
		errx(EXIT_FAILURE, "no memory");
	if (way->dict_kib)
		add_dict(&table, pages, way);
	stream = make_stream(way, &table);
	start = thread_seconds();
	for (size_t i = 0; i < pages->count; i++) {
		size_t len = store(stream, pages->page[i], &stored[i]);

		sum += way->more ? store_more(stream, pages->page[i], &stored[i]) : len;
	}
	made = thread_seconds() - start;
	for (unsigned int i = 0; i < READ_TIMES; i++)
		times[i] = read_all(stream, pages, stored, i == 0 && !way->more);
	if (*lz4 == 0)
		*lz4 = (double)sum;
	printf("codec algorithm=%s level=%d filter=%s%s dictionary_kib=%zu payload_mib=%.2f"
	       " of_lz4=%.3f compress_mib_s=%.0f decompress_mib_s=%.0f\n",
	       way->codec, way->level, filter_names[way->filter], way->more ? "+xor+delta" : "",
	       dict_table_get(&table, 1) ? way->dict_kib : 0, (double)sum / (double)MIB,
	       (double)sum / *lz4, mib / made, mib / median(times, READ_TIMES));
	fflush(stdout);
	codec_stream_free(stream);
	dict_free((struct dict *)dict_table_get(&table, 1));
	free(stored);
}

int main(int argc, char **argv)
{
	uint64_t mib = 48;
	int opt;

	while ((opt = getopt(argc, argv, "m:")) != -1) {
		if (opt != 'm')
			break;
		mib = parse_number("-m", optarg);
	}
	if (opt != -1 || optind == argc) {
		fputs("usage: zcram-bench-codec [-m MIB] INPUT...\n"
		      "  -m MIB  measure about so much of each, evenly from all of it; 48 by "
		      "default\n",
		      stderr);
		return EXIT_FAILURE;
	}
	for (; optind < argc; optind++) {
		struct input input;
		struct pages pages;
		double lz4 = 0;

		input_load(&input, argv[optind], 0);
		choose(&input, mib, &pages);
		printf("input %s pages=%zu mib=%.1f\n", argv[optind], pages.count,
		       (double)pages.count * PAGE_SIZE / (double)MIB);
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
			measure(&pages, &ways[i], &lz4);
		free(pages.page);
		free(pages.samples);
	}
	return EXIT_SUCCESS;
}
