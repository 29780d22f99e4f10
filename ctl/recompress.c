/* SPDX-License-Identifier: BSD-3-Clause */
/* recompress: have pages compressed again now, in the words of the kernel's zram. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "ctl/ctl.h"
#include "ctl/devices.h"
#include "ctl/size.h"

#define GIVE "give type=, threshold=, max_pages= or algo="

/* zram's words, and the protocol's. */
static const struct {
	const char *key, *member;
	bool number;
} keys[] = {
	{"type", "type", false},
	{"threshold", "threshold", true},
	{"max_pages", "max-pages", true},
	{"algo", "algorithm", false},
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

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

static struct json_object *new_value(const char *text, bool number)
{
	const char *why;
	uint64_t value;

	if (!number)
		return json_object_new_string(text);
	return conf_parse_size(text, &value, &why) == 0 && value <= INT64_MAX
		       ? json_object_new_uint64(value)
		       : NULL;
}

/* Add "KEY=VALUE" to ARGUMENTS. */
static int add_argument(struct json_object *arguments, char *word)
{
	size_t len = strcspn(word, "="), i = 0;
	struct json_object *value;

	while (i < KEYS && (strncmp(keys[i].key, word, len) != 0 || keys[i].key[len] != '\0'))
		i++;
	if (i == KEYS)
		return ctl_misused("recompress: %s: unknown key: " GIVE, word);
	if (word[len] == '\0')
		return ctl_misused("recompress: %s: the value is missing: give %s=VALUE", word,
				   word);
	if (json_object_object_get_ex(arguments, keys[i].member, NULL))
		return ctl_misused("recompress: %s: given twice: give it once", word);
	value = new_value(word + len + 1, keys[i].number);
	if (value == NULL)
		return ctl_misused("recompress: %s: not a number: give one, or one with K, M or G",
				   word);
	json_object_object_add(arguments, keys[i].member, value);
	return CTL_OK;
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
	struct json_object *arguments;
	int status = CTL_OK;

	if (ctl_next_option(args) < 0 || !ctl_operands_fit(args, 1, SIZE_MAX))
		return args->status;
	arguments = json_object_new_object();
	for (size_t i = 1; i < args->count && status == CTL_OK; i++)
		status = add_argument(arguments, args->operands[i]);
	if (status == CTL_OK)
		status = ctl_device_order(args->operands[0], "recompress", arguments, true, report);
	json_object_put(arguments);
	return status;
}

const struct ctl_command ctl_recompress = {
	.name = "recompress",
	.operands = "DEVICE [KEY=VALUE...]",
	.summary = "compress pages again, and keep what got smaller",
	.run = run,
	.help = key_help,
};
