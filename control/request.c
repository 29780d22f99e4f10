/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/request.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/util.h"
#include "device/settings.h"

/* As much of what a client wrote as is worth repeating to it. */
#define QUOTE_SIZE 64

#define COMMANDS   "give stat, map, compact, set, handover, adopt, save or restore"
#define SETTINGS   "give algorithm, filter, compact or mem-limit"

static const char *quote_key(const char *key, char buf[QUOTE_SIZE])
{
	return control_quote(key, strlen(key), buf, QUOTE_SIZE);
}

static const char *quote_string(struct json_object *string, char buf[QUOTE_SIZE])
{
	return control_quote(json_object_get_string(string),
			     (size_t)json_object_get_string_len(string), buf, QUOTE_SIZE);
}

/* A string that is all of what C takes it for. */
static bool is_text(struct json_object *value)
{
	return json_object_is_type(value, json_type_string) &&
	       strlen(json_object_get_string(value)) == (size_t)json_object_get_string_len(value);
}

/* The members of the request itself. */
static int check_members(struct json_object *object, struct control_error *error)
{
	struct json_object *version;
	char buf[QUOTE_SIZE];

	json_object_object_foreach(object, key, value)
	{
		(void)value;
		if (strcmp(key, "version") != 0 && strcmp(key, "command") != 0 &&
		    strcmp(key, "arguments") != 0)
			return control_error_set(
				error, EINVAL,
				"request: unknown member %s: give version, command and arguments",
				quote_key(key, buf));
	}
	if (!json_object_object_get_ex(object, "version", &version))
		return control_error_set(error, EINVAL, "version: missing: give version %d",
					 CONTROL_VERSION);
	if (!control_version_is(object, CONTROL_VERSION))
		return control_error_set(
			error, EPROTONOSUPPORT, "version %s: not spoken here: give version %d",
			quote_key(json_object_to_json_string(version), buf), CONTROL_VERSION);
	return 0;
}

/* The command that a request names, and whether it takes arguments. */
static int read_command(struct json_object *object, struct control_request *request,
			struct control_error *error)
{
	static const char *const names[] = {
		[CONTROL_STAT] = "stat",	 [CONTROL_MAP] = "map",
		[CONTROL_COMPACT] = "compact",	 [CONTROL_SET] = "set",
		[CONTROL_HANDOVER] = "handover", [CONTROL_ADOPT] = "adopt",
		[CONTROL_SAVE] = "save",	 [CONTROL_RESTORE] = "restore",
	};
	struct json_object *command;
	char buf[QUOTE_SIZE];

	if (!json_object_object_get_ex(object, "command", &command))
		return control_error_set(error, EINVAL, "command: missing: " COMMANDS);
	if (!is_text(command))
		return control_error_set(error, EINVAL, "command: not a name: " COMMANDS);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(json_object_get_string(command), names[i]) == 0) {
			request->command = (enum control_command)i;
			return 0;
		}
	}
	return control_error_set(error, EOPNOTSUPP, "command %s: unknown: " COMMANDS,
				 quote_string(command, buf));
}

static int check_none(struct json_object *arguments, struct control_error *error)
{
	char buf[QUOTE_SIZE];

	if (arguments == NULL)
		return 0;
	json_object_object_foreach(arguments, key, value)
	{
		(void)value;
		return control_error_set(error, EINVAL,
					 "argument %s: unknown: this command takes none",
					 quote_key(key, buf));
	}
	return 0;
}

static int read_cells(struct json_object *arguments, struct control_request *request,
		      struct control_error *error)
{
	struct json_object *cells = NULL;
	char buf[QUOTE_SIZE];
	int64_t n;

	if (arguments != NULL) {
		json_object_object_foreach(arguments, key, value)
		{
			if (strcmp(key, "cells") != 0)
				return control_error_set(error, EINVAL,
							 "argument %s: unknown: give cells",
							 quote_key(key, buf));
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

static int read_force(struct json_object *arguments, struct control_request *request,
		      struct control_error *error)
{
	char buf[QUOTE_SIZE];

	if (arguments == NULL)
		return 0;
	json_object_object_foreach(arguments, key, value)
	{
		if (strcmp(key, "force") != 0)
			return control_error_set(error, EINVAL, "argument %s: unknown: give force",
						 quote_key(key, buf));
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

static int read_request(struct json_object *object, struct control_request *request,
			struct control_error *error)
{
	struct json_object *arguments = NULL;
	int r;

	r = check_members(object, error);
	if (r == 0)
		r = read_command(object, request, error);
	if (r < 0)
		return r;
	if (json_object_object_get_ex(object, "arguments", &arguments) &&
	    !json_object_is_type(arguments, json_type_object))
		return control_error_set(error, EINVAL, "arguments: not an object");
	switch (request->command) {
	case CONTROL_MAP:
		return read_cells(arguments, request, error);
	case CONTROL_SET:
		return read_settings(arguments, request, error);
	case CONTROL_RESTORE:
		return read_force(arguments, request, error);
	default:
		return check_none(arguments, error);
	}
}

int request_parse(const char *line, size_t len, struct control_request *ret_request,
		  struct control_error *ret_error)
{
	struct control_request request = {0};
	struct json_object *object;
	const char *why;
	int r;

	r = control_parse_object(line, len, &object, &why);
	if (r < 0)
		return control_error_set(ret_error, -r, "request: %s", why);
	r = read_request(object, &request, ret_error);
	json_object_put(object);
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
	char why[SETTINGS_WHY_SIZE], key_buf[QUOTE_SIZE], value_buf[QUOTE_SIZE];
	int r;

	/* The key first: a value of the wrong type may be all right for what was meant. */
	r = settings_set(settings, key, is_text(value) ? json_object_get_string(value) : "", why);
	if (r == -ENOENT)
		return control_error_set(error, EINVAL, "argument %s: unknown: " SETTINGS,
					 quote_key(key, key_buf));
	if (!is_text(value))
		return control_error_set(error, EINVAL,
					 "%s: not a string: give what the parameter is given", key);
	if (r < 0)
		return control_error_set(error, EINVAL, "%s=%s: %s", key,
					 quote_string(value, value_buf), why);
	if (strcmp(key, "mem-limit") == 0 && settings->mem_limit != 0 &&
	    settings->mem_limit < device_min_limit())
		return control_error_set(error, EINVAL,
					 "%s=%s: too small: give at least %" PRIu64
					 " bytes, or 0 for no limit",
					 key, quote_string(value, value_buf), device_min_limit());
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
