/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/zram.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/util.h"
#include "ctl/ctl.h"
#include "ctl/size.h"

#define COLUMNS_MAX 9

/* In place of a statistic: what the pages with content would take, uncompressed, those in the backing store too. */
#define DATA "data"

/*
 * A file of one line: the statistic that stands in each column, in units of so many bytes, or whatever it
 * counts. One that a server lacks is 0.
 */
static const struct stat_file {
	const char *name;
	uint64_t unit;
	const char *columns[COLUMNS_MAX + 1];
} stat_files[] = {
	/* orig_data_size, compr_data_size, mem_used_total, mem_limit, mem_used_max, same_pages,
	   pages_compacted, huge_pages, huge_pages_since */
	{"mm_stat",
	 1,
	 {DATA, "payload", "pool", "mem_limit", "pool_max", "pages_same", "pages_compacted",
	  "pages_raw", "pages_raw_since"}},
	/* The third is 0 in kernels since 6.4, which see no such requests any more. */
	{"io_stat", 1, {"failed_reads", "failed_writes", "invalid_io", "notify_free"}},
	/* bd_count, bd_reads, bd_writes. zram has a block for each page; here pages share them. */
	{"bd_stat", 4096, {"backing_live", "backing_read_bytes", "backing_written"}},
};

#define BLOCK_STATE "block_state"

/* NULL: it is none of one line. */
static const struct stat_file *find_stat_file(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(stat_files); i++)
		if (strcmp(stat_files[i].name, name) == 0)
			return &stat_files[i];
	return NULL;
}

bool ctl_zram_is_file(const char *name)
{
	return strcmp(name, BLOCK_STATE) == 0 || find_stat_file(name) != NULL;
}

static uint64_t stored_bytes(const struct json_object *stat)
{
	return ctl_stat_data(stat) + ctl_stat_counter(stat, "pages_backing") * CTL_PAGE;
}

void ctl_zram_print_stat(FILE *out, const char *name, const struct json_object *stat)
{
	const struct stat_file *file = find_stat_file(name);

	for (size_t i = 0; file && file->columns[i]; i++) {
		const char *column = file->columns[i];
		uint64_t number = strcmp(column, DATA) == 0 ? stored_bytes(stat)
							    : ctl_stat_counter(stat, column);

		fprintf(out, "%s%8" PRIu64, i > 0 ? " " : "", div_round_up(number, file->unit));
	}
	fputc('\n', out);
}

/* Of each page there are a letter of what it is, a mark, and its class of ages (control/protocol.h). */
#define PAGE_CHARACTERS 3

/* When it was touched last, at the latest: its class says how long ago that is at least. */
static uint64_t touched(char class, const struct json_object *stat, uint64_t now)
{
	const char *digits = "0123456789abcdef", *digit = strchr(digits, class);
	uint64_t seconds;

	if (!digit || class == '\0')
		return 0;
	seconds = ctl_stat_age(stat, (size_t)(digit - digits), "seconds");
	return seconds < now ? now - seconds : 0;
}

/* The last class, of which the pages are idle. */
static bool is_idle(char class)
{
	return class == 'f';
}

void ctl_zram_print_blocks(FILE *out, uint64_t from, const char *blocks,
			   const struct json_object *stat, uint64_t now)
{
	size_t count = strlen(blocks) / PAGE_CHARACTERS;

	for (size_t i = 0; i < count; i++) {
		const char *page = blocks + i * PAGE_CHARACTERS;

		if (page[0] == '.')
			continue;
		fprintf(out, "%12" PRIu64 " %12" PRIu64 ".000000 %c%c%c%c%c%c\n", from + i,
			touched(page[2], stat, now), page[0] == 's' ? 's' : '.',
			page[0] == 'w' ? 'w' : '.', page[0] == 'h' ? 'h' : '.',
			is_idle(page[2]) ? 'i' : '.', page[1] == 'r' ? 'r' : '.',
			page[1] == 'n' ? 'n' : '.');
	}
}

static uint64_t seconds_since_boot(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec;
}

/* Ask for the pages from *FROM on, print them, and move it behind them. 1: there are no more. */
static int print_some(struct ctl_device *device, struct control_client *client, uint64_t *from)
{
	struct json_object *arguments = json_object_new_object(), *result = NULL;
	char *message = NULL;
	const char *blocks;
	uint64_t first;
	int r;

	json_object_object_add(arguments, "from", json_object_new_uint64(*from));
	r = control_call(client, "blocks", arguments, &result, &message);
	json_object_put(arguments);
	if (r < 0) {
		ctl_device_failed(device, r, message);
		free(message);
		return r;
	}
	first = ctl_stat_number(result, "from");
	blocks = ctl_stat_text(result, "blocks");
	ctl_zram_print_blocks(stdout, first, blocks, device->stat, seconds_since_boot());
	/* One that says the same over and over is not asked for ever. */
	r = strlen(blocks) < PAGE_CHARACTERS || first < *from;
	*from = first + strlen(blocks) / PAGE_CHARACTERS;
	json_object_put(result);
	return r;
}

static int print_block_state(struct ctl_device *device, struct control_client *client)
{
	uint64_t from = 0;
	int r;

	do
		r = print_some(device, client, &from);
	while (r == 0 && !ferror(stdout));
	return r < 0 ? CTL_FAILURE : ctl_flush();
}

int ctl_zram_print(struct ctl_device *device, struct control_client *client, const char *file)
{
	ctl_device_query(device, client);
	if (device->error < 0)
		return ctl_device_failed(device, device->error, device->why);
	if (!json_object_is_type(device->stat, json_type_object))
		return ctl_device_failed(device, -EPROTO, NULL);
	if (strcmp(file, BLOCK_STATE) == 0)
		return print_block_state(device, client);
	ctl_zram_print_stat(stdout, file, device->stat);
	return ctl_flush();
}
