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

/* The arguments that a command takes. */
struct argument {
	const char *key;
	/* VALUE: NULL: it is required, and missing. */
	int (*read)(const char *key, struct json_object *value, struct control_request *request,
		    struct control_error *error);
	bool required;
};

#define ARGUMENTS_MAX 4

struct arguments {
	const char *allowed; /* as a message says it */
	struct argument list[ARGUMENTS_MAX];
};

/* A number from 0 on. */
static int read_number(const char *key, struct json_object *value, const char * not,
		       uint64_t *ret_number, struct control_error *error)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
		return control_error_set(error, EINVAL, "argument %s: %s", key, not );
	*ret_number = (uint64_t)json_object_get_int64(value);
	return 0;
}

static int read_cells(const char *key, struct json_object *value, struct control_request *request,
		      struct control_error *error)
{
	int64_t n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;

	if (n < 1 || n > CONTROL_CELLS_MAX)
		return control_error_set(error, EINVAL,
					 "argument %s: not one: give a number from 1 to %d", key,
					 CONTROL_CELLS_MAX);
	request->cells = (unsigned int)n;
	return 0;
}

static int read_from(const char *key, struct json_object *value, struct control_request *request,
		     struct control_error *error)
{
	return read_number(key, value, "not a page: give a number, 0 at first", &request->from,
			   error);
}

static int read_seconds(const char *key, struct json_object *value, struct control_request *request,
			struct control_error *error)
{
	return read_number(key, value, "not one: give a number, 0 for all pages", &request->seconds,
			   error);
}

static int read_force(const char *key, struct json_object *value, struct control_request *request,
		      struct control_error *error)
{
	if (!json_object_is_type(value, json_type_boolean))
		return control_error_set(error, EINVAL, "argument %s: not true or false", key);
	request->force = json_object_get_boolean(value);
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

static int read_cold_type(const char *key, struct json_object *value,
			  struct control_request *request, struct control_error *error)
{
	static const char *const types[] = DEVICE_COLD_TYPES;
	int type = find_word(value, types, ARRAY_SIZE(types));

	if (type < 0)
		return control_error_set(error, EINVAL,
					 "argument %s: not one: give all, idle, huge or huge_idle",
					 key);
	request->recompress.type = (enum device_cold_type)type;
	return 0;
}

static int read_writeback_type(const char *key, struct json_object *value,
			       struct control_request *request, struct control_error *error)
{
	static const char *const types[] = DEVICE_WRITEBACK_TYPES;
	int type = find_word(value, types, ARRAY_SIZE(types));

	if (type < 0)
		return control_error_set(error, EINVAL,
					 "argument %s: not one: give all, idle, huge, huge_idle "
					 "or incompressible",
					 key);
	request->writeback.type = (enum device_writeback_type)type;
	return 0;
}

/* These two are of recompress and of writeback: a request is one of them. */
static int read_threshold(const char *key, struct json_object *value,
			  struct control_request *request, struct control_error *error)
{
	int r = read_number(key, value, "not a number", &request->recompress.threshold, error);

	request->writeback.threshold = request->recompress.threshold;
	return r;
}

static int read_max_pages(const char *key, struct json_object *value,
			  struct control_request *request, struct control_error *error)
{
	int r = read_number(key, value, "not a number", &request->recompress.max_pages, error);

	request->writeback.max_pages = request->recompress.max_pages;
	return r;
}

static int read_method(const char *key, struct json_object *value, struct control_request *request,
		       struct control_error *error)
{
	struct device_recompress *order = &request->recompress;
	char why[SETTINGS_WHY_SIZE], buf[ENVELOPE_QUOTE_SIZE];

	if (!control_is_text(value))
		return control_error_set(error, EINVAL, "argument %s: not a string", key);
	if (codec_algorithm_read(json_object_get_string(value), &order->method, why, sizeof(why)) <
	    0)
		return control_error_set(error, EINVAL, "%s=%s: %s", key,
					 envelope_quote_string(value, buf), why);
	order->has_method = true;
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

static int read_pages(const char *key, struct json_object *value, struct control_request *request,
		      struct control_error *error)
{
	struct device_writeback *order = &request->writeback;
	size_t count =
		json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

	if (count == 0 || count > DEVICE_RANGES)
		return control_error_set(error, EINVAL,
					 "argument %s: not one: give 1 to %d of [FIRST,LAST]", key,
					 DEVICE_RANGES);
	for (size_t i = 0; i < count; i++)
		if (read_range(json_object_array_get_idx(value, i), &order->ranges[i]) < 0)
			return control_error_set(error, EINVAL,
						 "argument %s: not a range: give [FIRST,LAST], "
						 "the numbers of two pages",
						 key);
	order->ranges_count = (unsigned int)count;
	return 0;
}

/* By command. */
static const struct arguments arguments_of[] = {
	[CONTROL_MAP] = {"give cells", {{"cells", read_cells, true}}},
	[CONTROL_BLOCKS] = {"give from", {{"from", read_from, true}}},
	[CONTROL_IDLE] = {"give seconds", {{"seconds", read_seconds, true}}},
	[CONTROL_RECOMPRESS] = {"give type, threshold, max-pages or algorithm",
				{{"type", read_cold_type, false},
				 {"threshold", read_threshold, false},
				 {"max-pages", read_max_pages, false},
				 {"algorithm", read_method, false}}},
	[CONTROL_WRITEBACK] = {"give type, threshold, max-pages or pages",
			       {{"type", read_writeback_type, false},
				{"threshold", read_threshold, false},
				{"max-pages", read_max_pages, false},
				{"pages", read_pages, false}}},
	[CONTROL_RESTORE] = {"give force", {{"force", read_force, false}}},
};

static const struct argument *find_argument(const struct arguments *of, const char *key)
{
	for (size_t i = 0; i < ARGUMENTS_MAX && of->list[i].key != NULL; i++)
		if (strcmp(of->list[i].key, key) == 0)
			return &of->list[i];
	return NULL;
}

/* Those of request->command. */
static int read_arguments(struct json_object *arguments, struct control_request *request,
			  struct control_error *error)
{
	const struct arguments *of = &arguments_of[request->command];
	char buf[ENVELOPE_QUOTE_SIZE];

	/* Of NULL there are none. */
	if (arguments != NULL) {
		json_object_object_foreach(arguments, key, value)
		{
			const struct argument *argument = find_argument(of, key);
			int r;

			if (argument == NULL)
				return control_error_set(error, EINVAL, "argument %s: unknown: %s",
							 envelope_quote_key(key, buf), of->allowed);
			r = argument->read(key, value, request, error);
			if (r < 0)
				return r;
		}
	}
	/* The first, if any, is the one that is required. */
	if (of->list[0].required && !json_object_object_get_ex(arguments, of->list[0].key, NULL))
		return of->list[0].read(of->list[0].key, NULL, request, error);
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
	if (request.command == CONTROL_SET)
		r = read_settings(arguments, &request, ret_error);
	else if (request.command < ARRAY_SIZE(arguments_of) &&
		 arguments_of[request.command].allowed != NULL)
		r = read_arguments(arguments, &request, ret_error);
	else
		r = envelope_takes_none(arguments, ret_error);
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
