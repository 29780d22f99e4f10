/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/columns.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "common/util.h"
#include "ctl/size.h"

enum kind {
	KIND_TEXT,
	KIND_SIZE,
	KIND_NUMBER,
};

/* zramctl's, and after them in the enum's order ours: DEVICE, COMP-RATIO of newer ones, STATE. */
static const struct {
	const char *name;
	enum kind kind;
	double width;
	const char *help;
} infos[COLUMN_COUNT] = {
	[COLUMN_NAME] = {"NAME", KIND_TEXT, 0.15, "name of the zcram device"},
	[COLUMN_DEVICE] = {"DEVICE", KIND_TEXT, 9, "block device that it is attached to"},
	[COLUMN_DISKSIZE] = {"DISKSIZE", KIND_SIZE, 5, "limit on the amount of data"},
	[COLUMN_DATA] = {"DATA", KIND_SIZE, 5, "size of the stored data before compression"},
	[COLUMN_COMPR] = {"COMPR", KIND_SIZE, 5, "the same compressed: the payload"},
	[COLUMN_ALGORITHM] = {"ALGORITHM", KIND_TEXT, 3, "what new data is compressed with"},
	[COLUMN_STREAMS] = {"STREAMS", KIND_NUMBER, 3, "requests that are compressed at a time"},
	[COLUMN_ZERO_PAGES] = {"ZERO-PAGES", KIND_NUMBER, 3,
			       "pages of one repeated word, which take no memory"},
	[COLUMN_TOTAL] = {"TOTAL", KIND_SIZE, 5,
			  "memory that the data takes, with fragmentation and tables"},
	[COLUMN_MEM_LIMIT] = {"MEM-LIMIT", KIND_SIZE, 5, "limit on the memory of the pool"},
	[COLUMN_MEM_USED] = {"MEM-USED", KIND_SIZE, 5, "the most that the pool has had"},
	[COLUMN_MIGRATED] = {"MIGRATED", KIND_NUMBER, 5,
			     "objects moved by compaction and migration"},
	[COLUMN_COMP_RATIO] = {"COMP-RATIO", KIND_NUMBER, 5, "DATA divided by TOTAL"},
	[COLUMN_STATE] = {"STATE", KIND_TEXT, 7,
			  "running, starting, restarting, failing, given-up, unserved, dead, hung, "
			  "denied or failed"},
	[COLUMN_MOUNTPOINT] = {"MOUNTPOINT", KIND_TEXT, 0.10, "where it is mounted, or [SWAP]"},
};

static const enum ctl_column defaults[] = {
	COLUMN_NAME,  COLUMN_DEVICE, COLUMN_ALGORITHM, COLUMN_DISKSIZE,	  COLUMN_DATA,
	COLUMN_COMPR, COLUMN_TOTAL,  COLUMN_STREAMS,   COLUMN_MOUNTPOINT,
};

void ctl_columns_default(struct ctl_columns *ret_columns)
{
	ret_columns->count = ARRAY_SIZE(defaults);
	memcpy(ret_columns->column, defaults, sizeof(defaults));
}

void ctl_columns_all(struct ctl_columns *ret_columns)
{
	ret_columns->count = COLUMN_COUNT;
	for (unsigned int i = 0; i < COLUMN_COUNT; i++)
		ret_columns->column[i] = (enum ctl_column)i;
}

static int find_column(const char *name, size_t len)
{
	for (int i = 0; i < COLUMN_COUNT; i++) {
		if (strncasecmp(infos[i].name, name, len) == 0 && infos[i].name[len] == '\0')
			return i;
	}
	return -ENOENT;
}

int ctl_columns_parse(const char *list, struct ctl_columns *columns, const char **ret_bad,
		      size_t *ret_len)
{
	struct ctl_columns parsed = {.count = 0};

	if (*list == '+') {
		parsed = *columns;
		list++;
	}
	for (;;) {
		size_t len = strcspn(list, ",");
		int column = find_column(list, len);

		if (column < 0) {
			*ret_bad = list;
			*ret_len = len;
			return -ENOENT;
		}
		if (parsed.count == CTL_COLUMNS_MAX)
			return -E2BIG;
		parsed.column[parsed.count++] = (enum ctl_column)column;
		if (list[len] == '\0')
			break;
		list += len + 1;
	}
	*columns = parsed;
	return 0;
}

const char *ctl_column_name(enum ctl_column column)
{
	return infos[column].name;
}

int ctl_column_flags(enum ctl_column column)
{
	if (column == COLUMN_MOUNTPOINT)
		return SCOLS_FL_TRUNC;
	return infos[column].kind == KIND_TEXT ? 0 : SCOLS_FL_RIGHT;
}

double ctl_column_width(enum ctl_column column)
{
	return infos[column].width;
}

bool ctl_column_is_number(enum ctl_column column, bool bytes)
{
	return infos[column].kind == KIND_NUMBER || (infos[column].kind == KIND_SIZE && bytes);
}

void ctl_column_names(char *buf, size_t size)
{
	size_t len = 0;

	for (int i = 0; i < COLUMN_COUNT && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "",
					infos[i].name);
}

void ctl_columns_help(FILE *out)
{
	fputs("\nColumns:\n", out);
	for (int i = 0; i < COLUMN_COUNT; i++)
		fprintf(out, "  %10s  %s\n", infos[i].name, infos[i].help);
}

/* "[SWAP]", and mount points, with commas between. */
static char *use_text(int index)
{
	struct attach_use use = {0};
	char *text = NULL;
	size_t size;
	FILE *out;

	if (index < 0 || attach_use(NULL, index, &use) < 0)
		return NULL;
	out = open_memstream(&text, &size);
	if (out) {
		const char *between = "";

		if (use.swap) {
			fputs("[SWAP]", out);
			between = ",";
		}
		for (size_t i = 0; i < use.mount_count; i++) {
			fprintf(out, "%s%s", between, use.mounts[i]);
			between = ",";
		}
		fclose(out);
	}
	attach_use_free(&use);
	if (text && *text == '\0') {
		free(text);
		text = NULL;
	}
	return text;
}

static uint64_t size_value(enum ctl_column column, const struct json_object *stat)
{
	switch (column) {
	case COLUMN_DISKSIZE:
		return ctl_stat_number(stat, "size");
	case COLUMN_DATA:
		return ctl_stat_data(stat);
	case COLUMN_COMPR:
		return ctl_stat_counter(stat, "payload");
	case COLUMN_TOTAL:
		return ctl_stat_total(stat);
	case COLUMN_MEM_LIMIT:
		return ctl_stat_number(stat, "mem-limit");
	default:
		return ctl_stat_counter(stat, "pool_max");
	}
}

static uint64_t number_value(enum ctl_column column, const struct json_object *stat)
{
	switch (column) {
	case COLUMN_STREAMS:
		return ctl_stat_number(stat, "streams");
	case COLUMN_ZERO_PAGES:
		return ctl_stat_counter(stat, "pages_same");
	default:
		return ctl_stat_counter(stat, "objects_compacted") +
		       ctl_stat_counter(stat, "objects_migrated");
	}
}

static char *size_text(uint64_t size, bool bytes)
{
	char buf[CTL_SIZE_TEXT];

	ctl_size_text(size, bytes, buf);
	return strdup(buf);
}

static char *stat_text(enum ctl_column column, const struct json_object *stat, bool bytes)
{
	char buf[CTL_SIZE_TEXT];

	if (infos[column].kind == KIND_SIZE)
		return size_text(size_value(column, stat), bytes);
	if (column == COLUMN_COMP_RATIO) {
		if (ctl_stat_data(stat) == 0)
			return NULL;
		snprintf(buf, sizeof(buf), "%.2f",
			 ctl_ratio((double)ctl_stat_data(stat), (double)ctl_stat_total(stat)));
	} else {
		snprintf(buf, sizeof(buf), "%" PRIu64, number_value(column, stat));
	}
	return strdup(buf);
}

char *ctl_column_text(enum ctl_column column, const struct ctl_device *device, bool bytes,
		      bool plain)
{
	char *text = NULL;

	switch (column) {
	case COLUMN_NAME:
		if (plain || device->error == 0)
			return strdup(device->name);
		return asprintf(&text, "%s (%s)", device->name, ctl_device_state(device)) < 0
			       ? NULL
			       : text;
	case COLUMN_DEVICE:
		if (device->index < 0)
			return NULL;
		return asprintf(&text, "/dev/nbd%d", device->index) < 0 ? NULL : text;
	case COLUMN_STATE:
		return strdup(ctl_device_state(device));
	case COLUMN_MOUNTPOINT:
		return use_text(device->index);
	case COLUMN_ALGORITHM:
		return device->stat ? strdup(ctl_stat_text(device->stat, "algorithm")) : NULL;
	case COLUMN_TOTAL:
		if (device->left > 0)
			return size_text(device->left, bytes);
		break;
	default:
		break;
	}
	return device->stat ? stat_text(column, device->stat, bytes) : NULL;
}
