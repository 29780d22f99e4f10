/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/request.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "codec/algorithm.h"
#include "common/util.h"
#include "control/envelope.h"
#include "device/settings.h"

#define COMMANDS                                                                               \
	"give stat, map, blocks, compact, idle, recompress, writeback, set, handover, adopt, " \
	"save or "                                                                             \
	"restore"
#define SETTINGS                                                                          \
	"give algorithm, filter, compact, recompress-age, recompress-cpu, writeback-at, " \
	"writeback-age, writeback-limit or mem-limit"

static const char *const names[] = {
	[CONTROL_STAT] = "stat",	   [CONTROL_MAP] = "map",
	[CONTROL_BLOCKS] = "blocks",	   [CONTROL_COMPACT] = "compact",
	[CONTROL_IDLE] = "idle",	   [CONTROL_RECOMPRESS] = "recompress",
	[CONTROL_WRITEBACK] = "writeback", [CONTROL_SET] = "set",
	[CONTROL_HANDOVER] = "handover",   [CONTROL_ADOPT] = "adopt",
	[CONTROL_SAVE] = "save",	   [CONTROL_RESTORE] = "restore",
};

const char *request_command_name(enum control_command command)
{
	return names[command];
}

static int read_cells(struct json_object *arguments, struct control_request *request,
		      struct control_error *error)
{
	struct json_object *cells = NULL;
	char buf[ENVELOPE_QUOTE_SIZE];
	int64_t n;

	if (arguments != NULL) {
		json_object_object_foreach(arguments, key, value)
		{
			if (strcmp(key, "cells") != 0)
				return control_error_set(error, EINVAL,
							 "argument %s: unknown: give cells",
							 envelope_quote_key(key, buf));
			cells = value;
		}
	}
	n = json_object_is_type(cells, json_type_int) ? json_object_get_int64(cells) : 0;
	if (n < 1 || n > CONTROL_CELLS_MAX)
		return control_error_set(error, EINVAL,
					 "argument cells: not one: give a number from 1 to %d",
					 CONTROL_CELLS_MAX);
	request->cells = (unsigned int)n;
	return 0;
}

static int read_blocks(struct json_object *arguments, struct control_request *request,
		       struct control_error *error)
{
	struct json_object *from = NULL;
	char buf[ENVELOPE_QUOTE_SIZE];

	if (arguments != NULL) {
		json_object_object_foreach(arguments, key, value)
		{
			if (strcmp(key, "from") != 0)
				return control_error_set(error, EINVAL,
							 "argument %s: unknown: give from",
							 envelope_quote_key(key, buf));
			from = value;
		}
	}
	if (!json_object_is_type(from, json_type_int) || json_object_get_int64(from) < 0)
		return control_error_set(error, EINVAL,
					 "argument from: not a page: give a number, 0 at first");
	request->from = (uint64_t)json_object_get_int64(from);
	return 0;
}

static int read_idle(struct json_object *arguments, struct control_request *request,
		     struct control_error *error)
{
	struct json_object *seconds = NULL;
	char buf[ENVELOPE_QUOTE_SIZE];

	if (arguments != NULL) {
		json_object_object_foreach(arguments, key, value)
		{
			if (strcmp(key, "seconds") != 0)
				return control_error_set(error, EINVAL,
							 "argument %s: unknown: give seconds",
							 envelope_quote_key(key, buf));
			seconds = value;
		}
	}
	if (!json_object_is_type(seconds, json_type_int) || json_object_get_int64(seconds) < 0)
		return control_error_set(
			error, EINVAL, "argument seconds: not one: give a number, 0 for all pages");
	request->seconds = (uint64_t)json_object_get_int64(seconds);
	return 0;
}

/* The index of VALUE among COUNT words, or -1. */
static int find_word(struct json_object *value, const char *const *words, size_t count)
{
	for (size_t i = 0; control_is_text(value) && i < count; i++)
		if (strcmp(json_object_get_string(value), words[i]) == 0)
			return (int)i;
	return -1;
}

static int read_type(struct json_object *value, struct device_recompress *order,
		     struct control_error *error)
{
	static const char *const types[] = DEVICE_COLD_TYPES;
	int type = find_word(value, types, ARRAY_SIZE(types));

	if (type < 0)
		return control_error_set(
			error, EINVAL, "argument type: not one: give all, idle, huge or huge_idle");
	order->type = (enum device_cold_type)type;
	return 0;
}

static int read_number(const char *key, struct json_object *value, uint64_t *ret_number,
		       struct control_error *error)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
		return control_error_set(error, EINVAL, "argument %s: not a number", key);
	*ret_number = (uint64_t)json_object_get_int64(value);
	return 0;
}

static int read_method(struct json_object *value, struct device_recompress *order,
		       struct control_error *error)
{
	char why[SETTINGS_WHY_SIZE], buf[ENVELOPE_QUOTE_SIZE];

	if (!control_is_text(value))
		return control_error_set(error, EINVAL, "argument algorithm: not a string");
	if (codec_algorithm_read(json_object_get_string(value), &order->method, why, sizeof(why)) <
	    0)
		return control_error_set(error, EINVAL, "algorithm=%s: %s",
					 envelope_quote_string(value, buf), why);
	order->has_method = true;
	return 0;
}

static int read_recompress(struct json_object *arguments, struct control_request *request,
			   struct control_error *error)
{
	struct device_recompress *order = &request->recompress;
	char buf[ENVELOPE_QUOTE_SIZE];
	int r = 0;

	if (arguments == NULL)
		return 0;
	json_object_object_foreach(arguments, key, value)
	{
		if (strcmp(key, "type") == 0)
			r = read_type(value, order, error);
		else if (strcmp(key, "threshold") == 0)
			r = read_number(key, value, &order->threshold, error);
		else if (strcmp(key, "max-pages") == 0)
			r = read_number(key, value, &order->max_pages, error);
		else if (strcmp(key, "algorithm") == 0)
			r = read_method(value, order, error);
		else
			r = control_error_set(error, EINVAL,
					      "argument %s: unknown: give type, threshold, "
					      "max-pages or algorithm",
					      envelope_quote_key(key, buf));
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_writeback_type(struct json_object *value, struct device_writeback *order,
			       struct control_error *error)
{
	static const char *const types[] = DEVICE_WRITEBACK_TYPES;
	int type = find_word(value, types, ARRAY_SIZE(types));

	if (type < 0)
		return control_error_set(error, EINVAL,
					 "argument type: not one: give all, idle, huge, huge_idle "
					 "or incompressible");
	order->type = (enum device_writeback_type)type;
	return 0;
}

/* [FIRST, LAST]. */
static int read_range(struct json_object *value, struct device_range *ret_range)
{
	struct json_object *first, *last;

	if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) != 2)
		return -EINVAL;
	first = json_object_array_get_idx(value, 0);
	last = json_object_array_get_idx(value, 1);
	if (!json_object_is_type(first, json_type_int) ||
	    !json_object_is_type(last, json_type_int) || json_object_get_int64(first) < 0 ||
	    json_object_get_int64(last) < json_object_get_int64(first))
		return -EINVAL;
	ret_range->first = (uint64_t)json_object_get_int64(first);
	ret_range->last = (uint64_t)json_object_get_int64(last);
	return 0;
}

static int read_ranges(struct json_object *value, struct device_writeback *order,
		       struct control_error *error)
{
	size_t count =
		json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

	if (count == 0 || count > DEVICE_RANGES)
		return control_error_set(error, EINVAL,
					 "argument pages: not one: give 1 to %d of [FIRST,LAST]",
					 DEVICE_RANGES);
	for (size_t i = 0; i < count; i++)
		if (read_range(json_object_array_get_idx(value, i), &order->ranges[i]) < 0)
			return control_error_set(error, EINVAL,
						 "argument pages: not a range: give [FIRST,LAST], "
						 "the numbers of two pages");
	order->ranges_count = (unsigned int)count;
	return 0;
}

static int read_writeback(struct json_object *arguments, struct control_request *request,
			  struct control_error *error)
{
	struct device_writeback *order = &request->writeback;
	char buf[ENVELOPE_QUOTE_SIZE];
	int r = 0;

	if (arguments == NULL)
		return 0;
	json_object_object_foreach(arguments, key, value)
	{
		if (strcmp(key, "type") == 0)
			r = read_writeback_type(value, order, error);
		else if (strcmp(key, "threshold") == 0)
			r = read_number(key, value, &order->threshold, error);
		else if (strcmp(key, "max-pages") == 0)
			r = read_number(key, value, &order->max_pages, error);
		else if (strcmp(key, "pages") == 0)
			r = read_ranges(value, order, error);
		else
			r = control_error_set(error, EINVAL,
					      "argument %s: unknown: give type, threshold, "
					      "max-pages or pages",
					      envelope_quote_key(key, buf));
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_force(struct json_object *arguments, struct control_request *request,
		      struct control_error *error)
{
	char buf[ENVELOPE_QUOTE_SIZE];

	if (arguments == NULL)
		return 0;
	json_object_object_foreach(arguments, key, value)
	{
		if (strcmp(key, "force") != 0)
			return control_error_set(error, EINVAL, "argument %s: unknown: give force",
						 envelope_quote_key(key, buf));
		if (!json_object_is_type(value, json_type_boolean))
			return control_error_set(error, EINVAL,
						 "argument force: not true or false");
		request->force = json_object_get_boolean(value);
	}
	return 0;
}

static int read_settings(struct json_object *arguments, struct control_request *request,
			 struct control_error *error)
{
	/* All of them are known, and allowed. From where they start does not matter to that. */
	struct device_settings unused = {0};
	int r;

	request->arguments = arguments;
	r = request_settings(request, &unused, error);
	request->arguments = r == 0 ? json_object_get(arguments) : NULL;
	return r;
}

int request_parse(const char *line, size_t len, struct control_request *ret_request,
		  struct control_error *ret_error)
{
	static const struct envelope_commands commands = {
		.names = names,
		.count = ARRAY_SIZE(names),
		.allowed = COMMANDS,
	};
	struct control_request request = {0};
	struct json_object *arguments;
	unsigned int command;
	int r;

	r = envelope_parse(line, len, &commands, &command, &arguments, ret_error);
	if (r < 0)
		return r;
	request.command = (enum control_command)command;
	switch (request.command) {
	case CONTROL_MAP:
		r = read_cells(arguments, &request, ret_error);
		break;
	case CONTROL_BLOCKS:
		r = read_blocks(arguments, &request, ret_error);
		break;
	case CONTROL_IDLE:
		r = read_idle(arguments, &request, ret_error);
		break;
	case CONTROL_RECOMPRESS:
		r = read_recompress(arguments, &request, ret_error);
		break;
	case CONTROL_WRITEBACK:
		r = read_writeback(arguments, &request, ret_error);
		break;
	case CONTROL_SET:
		r = read_settings(arguments, &request, ret_error);
		break;
	case CONTROL_RESTORE:
		r = read_force(arguments, &request, ret_error);
		break;
	default:
		r = envelope_takes_none(arguments, ret_error);
		break;
	}
	json_object_put(arguments);
	if (r == 0)
		*ret_request = request;
	return r;
}

void request_put(struct control_request *request)
{
	json_object_put(request->arguments);
	request->arguments = NULL;
}

static int set_one(struct device_settings *settings, const char *key, struct json_object *value,
		   struct control_error *error)
{
	char why[SETTINGS_WHY_SIZE], key_buf[ENVELOPE_QUOTE_SIZE], value_buf[ENVELOPE_QUOTE_SIZE];
	int r;

	/* The key first: a value of the wrong type may be all right for what was meant. */
	r = settings_set(settings, key, control_is_text(value) ? json_object_get_string(value) : "",
			 why);
	if (r == -ENOENT)
		return control_error_set(error, EINVAL, "argument %s: unknown: " SETTINGS,
					 envelope_quote_key(key, key_buf));
	if (!control_is_text(value))
		return control_error_set(error, EINVAL,
					 "%s: not a string: give what the parameter is given", key);
	if (r < 0)
		return control_error_set(error, EINVAL, "%s=%s: %s", key,
					 envelope_quote_string(value, value_buf), why);
	if (strcmp(key, "mem-limit") == 0 && settings->mem_limit != 0 &&
	    settings->mem_limit < device_min_limit())
		return control_error_set(
			error, EINVAL,
			"%s=%s: too small: give at least %" PRIu64 " bytes, or 0 for no limit", key,
			envelope_quote_string(value, value_buf), device_min_limit());
	return 0;
}

int request_settings(const struct control_request *request, struct device_settings *settings,
		     struct control_error *ret_error)
{
	struct device_settings changed = *settings;

	if (request->arguments == NULL)
		return 0;
	json_object_object_foreach(request->arguments, key, value)
	{
		int r = set_one(&changed, key, value, ret_error);

		if (r < 0)
			return r;
	}
	*settings = changed;
	return 0;
}
