/* SPDX-License-Identifier: BSD-3-Clause */
/* writeback: have pages written to the backing store now. */
#include <inttypes.h>

#include "common/util.h"
#include "ctl/order.h"
#include "ctl/size.h"

static void key_help(FILE *out)
{
	fputs("\nKeys, all of which may be left out:\n"
	      "  type          idle, huge (stored as they are), huge_idle, incompressible (huge, "
	      "and\n"
	      "                recompression could not help) or all, which is so without it\n"
	      "  page_index    the page with this number, or\n"
	      "  page_indexes  those from one number to another, such as 1-100; both may be given\n"
	      "                several times\n"
	      "  threshold     of pages that are stored in so many bytes at least\n"
	      "  max_pages     write so many pages at most\n",
	      out);
}

static int report(const struct ctl_device *device, const struct json_object *result)
{
	char text[CTL_SIZE_TEXT];

	printf("%s: %" PRIu64 " pages written back, %s\n", device->name,
	       ctl_stat_number(result, "pages"),
	       ctl_size_human(ctl_stat_number(result, "bytes"), text));
	return ctl_flush();
}

static int run(struct ctl_args *args)
{
	static const struct ctl_key keys[] = {
		{"type", "type", CTL_KEY_TEXT},
		{"page_index", "pages", CTL_KEY_PAGE},
		{"page_indexes", "pages", CTL_KEY_PAGES},
		{"threshold", "threshold", CTL_KEY_NUMBER},
		{"max_pages", "max-pages", CTL_KEY_NUMBER},
	};
	static const struct ctl_order order = {
		.command = "writeback",
		.give = "give type=, page_index=, page_indexes=, threshold= or max_pages=",
		.keys = keys,
		.keys_count = ARRAY_SIZE(keys),
		.report = report,
	};

	return ctl_order_run(&order, args);
}

const struct ctl_command ctl_writeback = {
	.name = "writeback",
	.operands = "DEVICE [KEY=VALUE...]",
	.summary = "write pages to the backing store, out of memory",
	.run = run,
	.help = key_help,
};
