/* SPDX-License-Identifier: BSD-3-Clause */
/* set: change what can be changed while a device is in use. */
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/devices.h"

static const char *const keys[] = {
	"algorithm",	"filter",	 "compact",	    "recompress-age", "recompress-cpu",
	"writeback-at", "writeback-age", "writeback-limit", "mem-limit",      NULL};

static void key_help(FILE *out)
{
	fputs("\nKeys, with values as in zcram.conf(5):\n"
	      "  algorithm  lz4, lz4(level=N), zstd or zstd(level=N): for what is written from now "
	      "on\n"
	      "  filter     auto or none: likewise\n"
	      "  compact    auto or off: whether to compact in the background\n"
	      "  recompress-age, recompress-cpu\n"
	      "             how old pages are that the algorithms after the first compress again,\n"
	      "             such as 15m, and the percent of one CPU that may go into it\n"
	      "  writeback-at, writeback-age, writeback-limit\n"
	      "             the percent of mem-limit from which on pages are written to the "
	      "backing\n"
	      "             store, 0: only at it; how old they have to be, such as 15m; how much\n"
	      "             in 24 hours, 0: no limit\n"
	      "  mem-limit  memory for stored pages at most; 0: no limit\n",
	      out);
}

static bool is_key(const char *text, size_t len)
{
	for (size_t i = 0; keys[i]; i++) {
		if (strncmp(keys[i], text, len) == 0 && keys[i][len] == '\0')
			return true;
	}
	return false;
}

/* Add "KEY=VALUE" to ARGUMENTS. The value is the server's to judge. */
static int add_setting(struct json_object *arguments, char *setting)
{
	size_t len = strcspn(setting, "=");
	struct json_object *value;

	if (!is_key(setting, len))
		return ctl_misused("set: %s: unknown key: give algorithm, filter, compact, "
				   "recompress-age, recompress-cpu, writeback-at, writeback-age, "
				   "writeback-limit or mem-limit",
				   setting);
	if (setting[len] == '\0')
		return ctl_misused("set: %s: the value is missing: give %s=VALUE", setting,
				   setting);
	setting[len] = '\0';
	if (json_object_object_get_ex(arguments, setting, NULL))
		return ctl_misused("set: %s=%s: given twice: give it once", setting,
				   setting + len + 1);
	value = json_object_new_string(setting + len + 1);
	if (value && json_object_object_add(arguments, setting, value) == 0)
		return CTL_OK;
	json_object_put(value);
	ctl_complain("set: %s", strerror(ENOMEM));
	return CTL_FAILURE;
}

static int run(struct ctl_args *args)
{
	int opt = ctl_next_option(args), status = CTL_OK;
	struct json_object *arguments;

	if (opt < 0 || !ctl_operands_fit(args, 2, SIZE_MAX))
		return args->status;
	arguments = json_object_new_object();
	for (size_t i = 1; i < args->count && status == CTL_OK; i++)
		status = add_setting(arguments, args->operands[i]);
	if (status == CTL_OK)
		status = ctl_device_order(args->operands[0], "set", arguments, false, NULL);
	json_object_put(arguments);
	return status;
}

const struct ctl_command ctl_set = {
	.name = "set",
	.operands = "DEVICE KEY=VALUE...",
	.summary = "change settings of a device in use",
	.run = run,
	.help = key_help,
};
