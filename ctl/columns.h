/* SPDX-License-Identifier: BSD-3-Clause */
/* columns: what can be shown of a device in the list, and which of it a user wants. */
#ifndef ZCRAM_CTL_COLUMNS_H
#define ZCRAM_CTL_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ctl/devices.h"

enum ctl_column {
	COLUMN_NAME,
	COLUMN_DEVICE,
	COLUMN_DISKSIZE,
	COLUMN_DATA,
	COLUMN_COMPR,
	COLUMN_ALGORITHM,
	COLUMN_STREAMS,
	COLUMN_ZERO_PAGES,
	COLUMN_TOTAL,
	COLUMN_MEM_LIMIT,
	COLUMN_MEM_USED,
	COLUMN_MIGRATED,
	COLUMN_COMP_RATIO,
	COLUMN_STATE,
	COLUMN_MOUNTPOINT,
	COLUMN_COUNT,
};

/* A choice of columns; one may be in it twice. */
#define CTL_COLUMNS_MAX (2 * COLUMN_COUNT)

struct ctl_columns {
	enum ctl_column column[CTL_COLUMNS_MAX];
	size_t count;
};

void ctl_columns_default(struct ctl_columns *ret_columns);
void ctl_columns_all(struct ctl_columns *ret_columns);

/*
 * Read LIST: names with commas between, in either case; with a "+" before it they come behind the
 * columns that are already there. -ENOENT: an unknown name, which begins at *ret_bad, and is
 * *ret_len long; -E2BIG: too many.
 */
int ctl_columns_parse(const char *list, struct ctl_columns *columns, const char **ret_bad,
		      size_t *ret_len);

const char *ctl_column_name(enum ctl_column column);

/* For libsmartcols: its flags, width hint, and whether it is a number when sizes are in BYTES. */
int ctl_column_flags(enum ctl_column column);
double ctl_column_width(enum ctl_column column);
bool ctl_column_is_number(enum ctl_column column, bool bytes);

/* The names, with commas between, in BUF. */
void ctl_column_names(char *buf, size_t size);

/* A line for each column. */
void ctl_columns_help(FILE *out);

/*
 * What stands in DEVICE's line: malloc'd, or NULL where there is nothing to say, or no memory.
 * PLAIN: for programs, without marks. May read /sys and /proc.
 */
char *ctl_column_text(enum ctl_column column, const struct ctl_device *device, bool bytes,
		      bool plain);

#endif
