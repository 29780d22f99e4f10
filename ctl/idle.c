/* SPDX-License-Identifier: BSD-3-Clause */
/* idle: mark pages as such that nobody needs for now, until they are touched. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "ctl/ctl.h"
#include "ctl/devices.h"

/* The operand's seconds, 0 for "all". */
static int read_age(const char *text, uint64_t *ret_seconds)
{
	uint64_t seconds = 0;
	const char *why;
	int r = strcmp(text, "all") == 0 ? 0 : conf_parse_time(text, &seconds, &why);

	if (r < 0)
		return ctl_misused("idle: %s: %s; or all", text, why);
	if (seconds > INT64_MAX)
		return ctl_misused("idle: %s: too large: give less", text);
	*ret_seconds = seconds;
	return CTL_OK;
}

static int report(const struct ctl_device *device, const struct json_object *result)
{
	printf("%s: %" PRIu64 " pages are idle\n", device->name, ctl_stat_number(result, "pages"));
	return ctl_flush();
}

/* It takes as long as the slot table is. */
static int call(const char *operand, uint64_t seconds)
{
	struct json_object *arguments = json_object_new_object();
	int status;

	json_object_object_add(arguments, "seconds", json_object_new_uint64(seconds));
	status = ctl_device_order(operand, "idle", arguments, true, report);
	json_object_put(arguments);
	return status;
}

static int run(struct ctl_args *args)
{
	uint64_t seconds = 0;
	int status;

	if (ctl_next_option(args) < 0 || !ctl_operands_fit(args, 2, 2))
		return args->status;
	status = read_age(args->operands[1], &seconds);
	return status != CTL_OK ? status : call(args->operands[0], seconds);
}

static void age_help(FILE *out)
{
	fputs("\nAGE is a time, in seconds or with s, m, h or d: what has surely not been read or\n"
	      "written for so long is marked idle. all: everything in the pool is.\n",
	      out);
}

const struct ctl_command ctl_idle = {
	.name = "idle",
	.operands = "DEVICE all|AGE",
	.summary = "mark pages idle, until they are touched",
	.run = run,
	.help = age_help,
};
