/* SPDX-License-Identifier: BSD-3-Clause */
/* estimate: how well would it compress, by which codec, and how long would that take? */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "config/config.h"
#include "ctl/ctl.h"
#include "ctl/measure.h"
#include "ctl/sample.h"
#include "ctl/size.h"

enum {
	OPT_SYSTEM = 256,
	OPT_SAMPLE,
};

static const struct ctl_option options[] = {
	{OPT_SYSTEM, "system", NULL, "all processes' memory"},
	{OPT_SAMPLE, "sample", "SIZE", "how much to try at most, drawn at random (64M)"},
	{'J', "json", NULL, "print JSON"},
	{0},
};

#define SAMPLE_DEFAULT (UINT64_C(64) << 20)
#define SAMPLE_MAX     (UINT64_C(1) << 40)

/* What is tried. */
static const struct {
	const char *codec;
	int level;
	enum codec_filter filter;
} tries[] = {
	{"lz4", 1, CODEC_FILTER_AUTO},	{"lz4", 1, CODEC_FILTER_NONE},
	{"zstd", 1, CODEC_FILTER_AUTO}, {"zstd", 1, CODEC_FILTER_NONE},
	{"zstd", 3, CODEC_FILTER_AUTO}, {"zstd", 3, CODEC_FILTER_NONE},
};

#define TRIES ARRAY_SIZE(tries)

struct estimate {
	const char *source; /* as given, or NULL: the system */
	bool is_process, json;
	uint64_t sample; /* bytes */
	struct sample_counts counts;
	size_t pages; /* tried */
	struct measure results[TRIES];
};

static int fail(const struct estimate *estimate, int error)
{
	const char *why = strerror(-error);

	if (error == -EACCES || error == -EPERM)
		why = "permission denied: run as root";
	else if (error == -ESPIPE)
		why = "neither a file nor a block device";
	else if (estimate->is_process && error == -ESRCH)
		why = "no such process";
	ctl_complain("estimate: %s: %s", estimate->source ? estimate->source : "--system", why);
	return CTL_FAILURE;
}

static const char *filter_name(size_t i)
{
	return conf_filter_choice
		.words[tries[i].filter == CODEC_FILTER_AUTO ? CONF_FILTER_AUTO : CONF_FILTER_NONE];
}

static void algorithm_name(size_t i, char text[32])
{
	if (strcmp(tries[i].codec, "lz4") == 0)
		snprintf(text, 32, "lz4");
	else
		snprintf(text, 32, "%s(level=%d)", tries[i].codec, tries[i].level);
}

static int try_all(struct estimate *estimate, const unsigned char *pages, struct progress *progress)
{
	for (size_t i = 0; i < TRIES; i++) {
		struct codec_method method;
		char name[32], what[64];
		int ret;

		algorithm_name(i, name);
		snprintf(what, sizeof(what), "%s, filter=%s", name, filter_name(i));
		ret = codec_method_init(&method, tries[i].codec, &tries[i].level);
		method.filter = tries[i].filter;
		method.max_payload = MEASURE_MAX_PAYLOAD;
		if (ret == 0)
			ret = measure_pages(&method, pages, estimate->pages, what, progress,
					    &estimate->results[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int add_source(struct sample *sample, const struct estimate *estimate)
{
	if (!estimate->source)
		return sample_add_system(sample);
	if (estimate->is_process)
		return sample_add_process(sample, (pid_t)strtol(estimate->source, NULL, 10));
	return sample_add_file(sample, estimate->source);
}

static int measure(struct estimate *estimate)
{
	const unsigned char *pages;
	struct progress progress;
	struct sample *sample;
	int ret;

	progress_start(&progress);
	ret = sample_new(estimate->sample / CTL_PAGE, &progress, &sample);
	if (ret < 0)
		return ret;
	ret = add_source(sample, estimate);
	if (ret == 0)
		ret = sample_read(sample, &pages, &estimate->pages);
	sample_get_counts(sample, &estimate->counts);
	if (ret == 0 && estimate->pages)
		ret = try_all(estimate, pages, &progress);
	progress_end(&progress);
	sample_free(sample);
	return ret;
}

static double percent(uint64_t part, uint64_t whole)
{
	return ctl_ratio(100.0 * (double)part, (double)whole);
}

static void print_summary(const struct estimate *estimate)
{
	const struct sample_counts *counts = &estimate->counts;
	char seen[CTL_SIZE_TEXT], tried[CTL_SIZE_TEXT];

	printf("%" PRIu64 " pages (%s)", counts->seen,
	       ctl_size_human(counts->seen * CTL_PAGE, seen));
	if (!estimate->source)
		printf(" of %" PRIu64 " processes", counts->processes);
	if (estimate->pages < counts->seen)
		printf("; tried: %zu (%s), drawn at random", estimate->pages,
		       ctl_size_human(estimate->pages * CTL_PAGE, tried));
	printf("; same-filled: %.1f%%\n", percent(estimate->results[0].same, estimate->pages));
	if (counts->swapped)
		printf("%" PRIu64 " pages more are swapped out, and left there\n", counts->swapped);
	if (counts->unreadable)
		printf("processes that could not be read: %" PRIu64 " (permission denied)\n",
		       counts->unreadable);
}

static int set_cell(struct libscols_line *line, size_t column, double value, int digits,
		    const char *unit)
{
	char text[32];

	snprintf(text, sizeof(text), "%.*f%s", digits, value, unit);
	return scols_line_set_data(line, column, text);
}

static int add_try(struct libscols_table *table, const struct estimate *estimate, size_t i)
{
	const struct measure *result = &estimate->results[i];
	double scale = ctl_ratio((double)estimate->counts.seen, (double)estimate->pages);
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char name[32], held[CTL_SIZE_TEXT];

	algorithm_name(i, name);
	ctl_size_human((uint64_t)(measure_held(result) * scale), held);
	if (!line || scols_line_set_data(line, 0, name) < 0 ||
	    scols_line_set_data(line, 1, filter_name(i)) < 0 ||
	    set_cell(line, 2, measure_ratio(result), 2, "") < 0 ||
	    scols_line_set_data(line, 3, held) < 0 ||
	    set_cell(line, 4, percent(result->raw, result->pages), 1, "%") < 0 ||
	    set_cell(line, 5, measure_compress_us(result), 1, "") < 0 ||
	    set_cell(line, 6, measure_decompress_us(result), 1, "") < 0)
		return -ENOMEM;
	return 0;
}

static int print_table(const struct estimate *estimate)
{
	static const char *const heads[] = {
		"ALGORITHM",	  "FILTER",	 "RATIO",	  "HELD",
		"INCOMPRESSIBLE", "COMPRESS-US", "DECOMPRESS-US",
	};
	struct libscols_table *table = scols_new_table();
	int ret = table ? 0 : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(heads) && ret == 0; i++) {
		if (!scols_table_new_column(table, heads[i], 0, i < 2 ? 0 : SCOLS_FL_RIGHT))
			ret = -ENOMEM;
	}
	for (size_t i = 0; i < TRIES && ret == 0; i++)
		ret = add_try(table, estimate, i);
	if (ret == 0)
		ret = scols_print_table(table);
	scols_unref_table(table);
	printf("HELD and RATIO: the compressed pages and %d%% for what the pool adds (2 to 4%%); "
	       "times are for one page\n",
	       MEASURE_POOL_PERCENT);
	return ret;
}

static bool add(struct json_object *object, const char *key, struct json_object *value)
{
	if (value && json_object_object_add(object, key, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

static struct json_object *try_json(const struct estimate *estimate, size_t i)
{
	const struct measure *result = &estimate->results[i];
	struct json_object *object = json_object_new_object();
	char name[32];

	algorithm_name(i, name);
	if (object && add(object, "algorithm", json_object_new_string(name)) &&
	    add(object, "filter", json_object_new_string(filter_name(i))) &&
	    add(object, "payload", json_object_new_uint64(result->payload)) &&
	    add(object, "held", json_object_new_uint64((uint64_t)measure_held(result))) &&
	    add(object, "ratio", json_object_new_double(measure_ratio(result))) &&
	    add(object, "incompressible", json_object_new_uint64(result->raw)) &&
	    add(object, "compress-us", json_object_new_double(measure_compress_us(result))) &&
	    add(object, "decompress-us", json_object_new_double(measure_decompress_us(result))))
		return object;
	json_object_put(object);
	return NULL;
}

static int print_json(const struct estimate *estimate)
{
	const struct sample_counts *counts = &estimate->counts;
	struct json_object *object = json_object_new_object(), *list = json_object_new_array();
	bool ok = object && list && add(object, "pages", json_object_new_uint64(counts->seen)) &&
		  add(object, "tried", json_object_new_uint64(estimate->pages)) &&
		  add(object, "same", json_object_new_uint64(estimate->results[0].same)) &&
		  add(object, "swapped", json_object_new_uint64(counts->swapped)) &&
		  add(object, "processes", json_object_new_uint64(counts->processes)) &&
		  add(object, "unreadable", json_object_new_uint64(counts->unreadable));

	for (size_t i = 0; i < TRIES && ok; i++) {
		struct json_object *one = try_json(estimate, i);

		ok = one && json_object_array_add(list, one) == 0;
	}
	ok = ok && json_object_object_add(object, "methods", json_object_get(list)) == 0;
	if (ok)
		puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
								    JSON_C_TO_STRING_SPACED));
	json_object_put(list);
	json_object_put(object);
	return ok ? 0 : -ENOMEM;
}

static int parse_sample(const char *text, uint64_t *ret_bytes)
{
	const char *why;
	uint64_t bytes;

	if (conf_parse_size(text, &bytes, &why) < 0)
		return ctl_misused("estimate: --sample %s: %s", text, why);
	if (bytes < CTL_PAGE || bytes > SAMPLE_MAX)
		return ctl_misused("estimate: --sample %s: out of range: give 4K to 1T", text);
	*ret_bytes = bytes;
	return CTL_OK;
}

/* A word of digits is a process; files of such names are written ./123. */
static bool is_number(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

static int choose_source(struct ctl_args *args, bool system, struct estimate *estimate)
{
	if (system && args->count)
		return ctl_misused("estimate: --system and %s: give one of them",
				   args->operands[0]);
	if (system)
		return CTL_OK;
	if (args->count != 1)
		return ctl_misused("estimate: too %s arguments: give a PID, a FILE, or --system",
				   args->count ? "many" : "few");
	estimate->source = args->operands[0];
	estimate->is_process = is_number(estimate->source);
	return CTL_OK;
}

static int read_options(struct ctl_args *args, struct estimate *estimate)
{
	bool system = false;
	int opt, status = CTL_OK;

	while (status == CTL_OK && (opt = ctl_next_option(args)) != 0) {
		if (opt < 0)
			return args->status;
		if (opt == OPT_SYSTEM)
			system = true;
		else if (opt == OPT_SAMPLE)
			status = parse_sample(optarg, &estimate->sample);
		else
			estimate->json = true;
	}
	return status == CTL_OK ? choose_source(args, system, estimate) : status;
}

static int run(struct ctl_args *args)
{
	struct estimate estimate = {.sample = SAMPLE_DEFAULT};
	int ret, status = read_options(args, &estimate);

	if (status != CTL_OK || !args->operands)
		return status; /* a complaint or, without operands, help */
	ret = measure(&estimate);
	if (ret < 0)
		return fail(&estimate, ret);
	if (estimate.pages == 0) {
		ctl_complain("estimate: %s: no page to try",
			     estimate.source ? estimate.source : "--system");
		return CTL_FAILURE;
	}
	if (estimate.json) {
		ret = print_json(&estimate);
	} else {
		print_summary(&estimate);
		ret = print_table(&estimate);
	}
	return ret < 0 ? fail(&estimate, ret) : ctl_flush();
}

const struct ctl_command ctl_estimate = {
	.name = "estimate",
	.operands = "PID|FILE|--system",
	.summary = "how well memory or a file would compress, and how fast",
	.options = options,
	.run = run,
};
