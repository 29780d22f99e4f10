/* SPDX-License-Identifier: BSD-3-Clause */
/* list: the devices there are, a line each. */
#include <errno.h>
#include <getopt.h>
#include <libsmartcols/libsmartcols.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/columns.h"
#include "ctl/ctl.h"
#include "ctl/devices.h"

enum {
	OPT_OUTPUT_ALL = 256,
	OPT_RAW,
};

static const struct ctl_option options[] = {
	{'b', "bytes", NULL, "print sizes in bytes rather than in human readable format"},
	{'n', "noheadings", NULL, "do not print headings"},
	{'o', "output", "LIST", "columns to print, commas between; +LIST: besides the usual ones"},
	{OPT_OUTPUT_ALL, "output-all", NULL, "print all columns"},
	{OPT_RAW, "raw", NULL, "print columns with a blank between, not aligned"},
	{'J', "json", NULL, "print JSON"},
	{0},
};

struct list {
	struct ctl_columns columns;
	bool bytes, noheadings, raw, json;
};

static int no_memory(void)
{
	ctl_complain("list: %s", strerror(ENOMEM));
	return CTL_FAILURE;
}

static int add_columns(struct libscols_table *table, const struct list *list)
{
	for (size_t i = 0; i < list->columns.count; i++) {
		enum ctl_column column = list->columns.column[i];
		struct libscols_column *cl =
			scols_table_new_column(table, ctl_column_name(column),
					       ctl_column_width(column), ctl_column_flags(column));

		if (!cl)
			return -ENOMEM;
		if (list->json)
			scols_column_set_json_type(cl, ctl_column_is_number(column, list->bytes)
							       ? SCOLS_JSON_NUMBER
							       : SCOLS_JSON_STRING);
	}
	return 0;
}

static int add_device(struct libscols_table *table, const struct list *list,
		      const struct ctl_device *device)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; i < list->columns.count; i++) {
		char *text = ctl_column_text(list->columns.column[i], device, list->bytes,
					     list->raw || list->json);

		if (text && scols_line_refer_data(line, i, text) < 0) {
			free(text);
			return -ENOMEM;
		}
	}
	return 0;
}

static struct libscols_table *make_table(const struct list *list, const struct ctl_device *devices,
					 size_t count)
{
	struct libscols_table *table = scols_new_table();

	if (!table)
		return NULL;
	scols_table_enable_noheadings(table, list->noheadings);
	scols_table_enable_raw(table, list->raw);
	scols_table_enable_json(table, list->json);
	if (scols_table_set_name(table, "devices") < 0 || add_columns(table, list) < 0)
		goto fail;
	for (size_t i = 0; i < count; i++) {
		if (add_device(table, list, &devices[i]) < 0)
			goto fail;
	}
	return table;

fail:
	scols_unref_table(table);
	return NULL;
}

/* libsmartcols prints nothing at all for a table without lines. */
static int print_table(const struct list *list, const struct ctl_device *devices, size_t count)
{
	struct libscols_table *table;
	int ret;

	if (count == 0) {
		if (list->json)
			puts("{\n   \"devices\": []\n}");
		return ctl_flush();
	}
	table = make_table(list, devices, count);
	ret = table ? scols_print_table(table) : -ENOMEM;
	scols_unref_table(table);
	return ret < 0 ? no_memory() : ctl_flush();
}

static int choose_columns(struct list *list, const char *names)
{
	const char *bad;
	size_t len;
	int ret = ctl_columns_parse(names, &list->columns, &bad, &len);
	char known[256];

	if (ret == 0)
		return CTL_OK;
	if (ret == -E2BIG)
		return ctl_misused("list: --output %s: too many columns: give %d at most", names,
				   CTL_COLUMNS_MAX);
	ctl_column_names(known, sizeof(known));
	return ctl_misused("list: --output: %.*s: no such column: give %s", (int)len, bad, known);
}

static int read_options(struct ctl_args *args, struct list *list)
{
	int opt, status;

	while ((opt = ctl_next_option(args)) > 0) {
		switch (opt) {
		case 'b':
			list->bytes = true;
			break;
		case 'n':
			list->noheadings = true;
			break;
		case 'J':
			list->json = true;
			break;
		case OPT_RAW:
			list->raw = true;
			break;
		case OPT_OUTPUT_ALL:
			ctl_columns_all(&list->columns);
			break;
		default:
			status = choose_columns(list, optarg);
			if (status != CTL_OK)
				return status;
		}
	}
	if (opt < 0)
		return args->status;
	if (list->raw && list->json)
		return ctl_misused("list: --raw and --json: give one of them");
	return CTL_OK;
}

static int run(struct ctl_args *args)
{
	struct list list = {0};
	struct ctl_device *devices;
	size_t count;
	int status, failed = CTL_OK;

	ctl_columns_default(&list.columns);
	status = read_options(args, &list);
	if (status != CTL_OK || !args->operands)
		return status; /* a complaint or, without operands, help */
	status = ctl_devices_find(args->operands, args->count, &devices, &count);
	if (status != CTL_OK)
		return status;
	for (size_t i = 0; i < count; i++) {
		if (devices[i].error < 0)
			failed = ctl_device_failed(&devices[i], devices[i].error, devices[i].why);
	}
	if (args->count == 0)
		status = ctl_devices_add_pools(&devices, &count);
	if (status == CTL_OK)
		status = print_table(&list, devices, count);
	ctl_devices_free(devices, count);
	return status != CTL_OK ? status : failed;
}

const struct ctl_command ctl_list = {
	.name = "list",
	.operands = "[DEVICE...]",
	.summary = "the devices there are, a line each",
	.options = options,
	.run = run,
	.help = ctl_columns_help,
};
