/* SPDX-License-Identifier: BSD-3-Clause */
/* writeback: have pages written to the backing store now, in the words of the kernel's zram. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "config/config.h"
#include "ctl/ctl.h"
#include "ctl/devices.h"
#include "ctl/size.h"

#define GIVE "give type=, page_index=, page_indexes=, threshold= or max_pages="

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

/* Digits, and nothing else up to *RET_END. */
static int read_index(const char *text, char **ret_end, uint64_t *ret_index)
{
	errno = 0;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	*ret_index = strtoull(text, ret_end, 10);
	return errno != 0 || *ret_index > INT64_MAX ? -ERANGE : 0;
}

/* "N", or "N-M" if RANGE: [N, M]. NULL: it is not that. */
static struct json_object *new_range(const char *text, bool range)
{
	struct json_object *pair;
	uint64_t first, last;
	char *end;

	if (read_index(text, &end, &first) < 0)
		return NULL;
	last = first;
	if (range && (*end != '-' || read_index(end + 1, &end, &last) < 0))
		return NULL;
	if (*end != '\0' || last < first)
		return NULL;
	pair = json_object_new_array();
	json_object_array_add(pair, json_object_new_uint64(first));
	json_object_array_add(pair, json_object_new_uint64(last));
	return pair;
}

static int add_range(struct json_object *arguments, const char *word, const char *text, bool range)
{
	struct json_object *pages, *pair = new_range(text, range);

	if (pair == NULL)
		return ctl_misused("writeback: %s: not %s", word,
				   range ? "a range of pages: give FIRST-LAST, such as 1-100"
					 : "a page: give its number");
	if (!json_object_object_get_ex(arguments, "pages", &pages)) {
		pages = json_object_new_array();
		json_object_object_add(arguments, "pages", pages);
	}
	json_object_array_add(pages, pair);
	return CTL_OK;
}

static int add_number(struct json_object *arguments, const char *word, const char *member,
		      const char *text)
{
	const char *why;
	uint64_t value;

	if (conf_parse_size(text, &value, &why) < 0 || value > INT64_MAX)
		return ctl_misused("writeback: %s: not a number: give one, or one with K, M or G",
				   word);
	json_object_object_add(arguments, member, json_object_new_uint64(value));
	return CTL_OK;
}

/* zram's words, and the protocol's of those that may be given once. */
static const struct {
	const char *key, *member;
} keys[] = {
	{"type", "type"},     {"threshold", "threshold"}, {"max_pages", "max-pages"},
	{"page_index", NULL}, {"page_indexes", NULL},
};

/* Add "KEY=VALUE" to ARGUMENTS. */
static int add_argument(struct json_object *arguments, const char *word)
{
	size_t len = strcspn(word, "="), i = 0;
	const char *text = word + len + 1, *member;

	while (i < ARRAY_SIZE(keys) &&
	       (strncmp(keys[i].key, word, len) != 0 || keys[i].key[len] != '\0'))
		i++;
	if (i == ARRAY_SIZE(keys))
		return ctl_misused("writeback: %s: unknown key: " GIVE, word);
	if (word[len] == '\0')
		return ctl_misused("writeback: %s: the value is missing: give %s=VALUE", word,
				   word);
	member = keys[i].member;
	if (member == NULL)
		return add_range(arguments, word, text, strcmp(keys[i].key, "page_indexes") == 0);
	if (json_object_object_get_ex(arguments, member, NULL))
		return ctl_misused("writeback: %s: given twice: give it once", word);
	if (strcmp(member, "type") != 0)
		return add_number(arguments, word, member, text);
	json_object_object_add(arguments, member, json_object_new_string(text));
	return CTL_OK;
}

static int report(const struct ctl_device *device, const struct json_object *result)
{
	char text[CTL_SIZE_TEXT];

	printf("%s: %" PRIu64 " pages written back, %s\n", device->name,
	       ctl_stat_number(result, "pages"),
	       ctl_size_human(ctl_stat_number(result, "bytes"), text));
	return ctl_flush();
}

static int call(const char *operand, struct json_object *arguments)
{
	struct json_object *result = NULL;
	struct control_client *client;
	struct ctl_device device;
	char *message = NULL;
	int status = ctl_device_connect(operand, &device, &client);
	int ret;

	if (status != CTL_OK)
		return status;
	control_set_timeout(client, -1); /* it takes as long as the disk */
	ret = control_call(client, "writeback", arguments, &result, &message);
	status = ret < 0 ? ctl_device_failed(&device, ret, message) : report(&device, result);
	json_object_put(result);
	free(message);
	control_close(client);
	ctl_device_clear(&device);
	return status;
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
		status = call(args->operands[0], arguments);
	json_object_put(arguments);
	return status;
}

const struct ctl_command ctl_writeback = {
	.name = "writeback",
	.operands = "DEVICE [KEY=VALUE...]",
	.summary = "write pages to the backing store, out of memory",
	.run = run,
	.help = key_help,
};
