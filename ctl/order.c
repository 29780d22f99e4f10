/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/order.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

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

static struct json_object *new_number(const char *text)
{
	const char *why;
	uint64_t value;

	return conf_parse_size(text, &value, &why) == 0 && value <= INT64_MAX
		       ? json_object_new_uint64(value)
		       : NULL;
}

/* NULL: it is not one. */
static struct json_object *new_value(enum ctl_key_type type, const char *text)
{
	switch (type) {
	case CTL_KEY_NUMBER:
		return new_number(text);
	case CTL_KEY_PAGE:
	case CTL_KEY_PAGES:
		return new_range(text, type == CTL_KEY_PAGES);
	case CTL_KEY_TEXT:
		break;
	}
	return json_object_new_string(text);
}

static const char *const nots[] = {
	[CTL_KEY_NUMBER] = "a number: give one, or one with K, M or G",
	[CTL_KEY_PAGE] = "a page: give its number",
	[CTL_KEY_PAGES] = "a range of pages: give FIRST-LAST, such as 1-100",
};

/* VALUE is one of several. */
static void add_to_array(struct json_object *arguments, const char *member,
			 struct json_object *value)
{
	struct json_object *array;

	if (!json_object_object_get_ex(arguments, member, &array)) {
		array = json_object_new_array();
		json_object_object_add(arguments, member, array);
	}
	json_object_array_add(array, value);
}

static const struct ctl_key *find_key(const struct ctl_order *order, const char *word, size_t len)
{
	for (size_t i = 0; i < order->keys_count; i++)
		if (strlen(order->keys[i].key) == len && memcmp(order->keys[i].key, word, len) == 0)
			return &order->keys[i];
	return NULL;
}

/* Add "KEY=VALUE" to ARGUMENTS. */
static int add_argument(const struct ctl_order *order, struct json_object *arguments,
			const char *word)
{
	size_t len = strcspn(word, "=");
	const struct ctl_key *key = find_key(order, word, len);
	struct json_object *value;
	bool many;

	if (key == NULL)
		return ctl_misused("%s: %s: unknown key: %s", order->command, word, order->give);
	if (word[len] == '\0')
		return ctl_misused("%s: %s: the value is missing: give %s=VALUE", order->command,
				   word, word);
	many = key->type == CTL_KEY_PAGE || key->type == CTL_KEY_PAGES;
	if (!many && json_object_object_get_ex(arguments, key->member, NULL))
		return ctl_misused("%s: %s: given twice: give it once", order->command, word);
	value = new_value(key->type, word + len + 1);
	if (value == NULL)
		return ctl_misused("%s: %s: not %s", order->command, word, nots[key->type]);
	if (many)
		add_to_array(arguments, key->member, value);
	else
		json_object_object_add(arguments, key->member, value);
	return CTL_OK;
}

int ctl_order_run(const struct ctl_order *order, struct ctl_args *args)
{
	struct json_object *arguments;
	int status = CTL_OK;

	if (ctl_next_option(args) < 0 || !ctl_operands_fit(args, 1, SIZE_MAX))
		return args->status;
	arguments = json_object_new_object();
	for (size_t i = 1; i < args->count && status == CTL_OK; i++)
		status = add_argument(order, arguments, args->operands[i]);
	if (status == CTL_OK)
		status = ctl_device_order(args->operands[0], order->command, arguments, true,
					  order->report);
	json_object_put(arguments);
	return status;
}
