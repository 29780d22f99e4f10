/* SPDX-License-Identifier: BSD-3-Clause */
/* recompress: have pages compressed again now. */
#include <inttypes.h>

#include "common/util.h"
#include "ctl/order.h"
#include "ctl/size.h"

static void key_help(FILE *out)
{
	fputs("\nKeys, all of which may be left out:\n"
	      "  type       idle, huge (stored as they are) or huge_idle: of these pages only\n"
	      "  threshold  of pages that are stored in so many bytes at least\n"
	      "  max_pages  try so many pages at most\n"
	      "  algo       by this algorithm, such as zstd(level=9); else by those of the "
	      "device,\n"
	      "             and what they could not make smaller is left out\n",
	      out);
}

static int report(const struct ctl_device *device, const struct json_object *result)
{
	char text[CTL_SIZE_TEXT];

	printf("%s: %" PRIu64 " pages tried, %" PRIu64 " smaller, %s saved\n", device->name,
	       ctl_stat_number(result, "pages"), ctl_stat_number(result, "saved"),
	       ctl_size_human(ctl_stat_number(result, "bytes"), text));
	return ctl_flush();
}

static int run(struct ctl_args *args)
{
	static const struct ctl_key keys[] = {
		{"type", "type", CTL_KEY_TEXT},
		{"threshold", "threshold", CTL_KEY_NUMBER},
		{"max_pages", "max-pages", CTL_KEY_NUMBER},
		{"algo", "algorithm", CTL_KEY_TEXT},
	};
	static const struct ctl_order order = {
		.command = "recompress",
		.give = "give type=, threshold=, max_pages= or algo=",
		.keys = keys,
		.keys_count = ARRAY_SIZE(keys),
		.report = report,
	};

	return ctl_order_run(&order, args);
}

const struct ctl_command ctl_recompress = {
	.name = "recompress",
	.operands = "DEVICE [KEY=VALUE...]",
	.summary = "compress pages again, and keep what got smaller",
	.run = run,
	.help = key_help,
};
