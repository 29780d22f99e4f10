/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/envelope.h"

#include <errno.h>
#include <string.h>

const char *envelope_quote_key(const char *key, char buf[ENVELOPE_QUOTE_SIZE])
{
	return control_quote(key, strlen(key), buf, ENVELOPE_QUOTE_SIZE);
}

const char *envelope_quote_string(struct json_object *string, char buf[ENVELOPE_QUOTE_SIZE])
{
	return control_quote(json_object_get_string(string),
			     (size_t)json_object_get_string_len(string), buf, ENVELOPE_QUOTE_SIZE);
}

/* The members of the request itself. */
static int check_members(struct json_object *object, struct control_error *error)
{
	struct json_object *version;
	char buf[ENVELOPE_QUOTE_SIZE];

	json_object_object_foreach(object, key, value)
	{
		(void)value;
		if (strcmp(key, "version") != 0 && strcmp(key, "command") != 0 &&
		    strcmp(key, "arguments") != 0)
			return control_error_set(
				error, EINVAL,
				"request: unknown member %s: give version, command and arguments",
				envelope_quote_key(key, buf));
	}
	if (!json_object_object_get_ex(object, "version", &version))
		return control_error_set(error, EINVAL, "version: missing: give version %d",
					 CONTROL_VERSION);
	if (!control_version_is(object, CONTROL_VERSION))
		return control_error_set(
			error, EPROTONOSUPPORT, "version %s: not spoken here: give version %d",
			envelope_quote_key(json_object_to_json_string(version), buf),
			CONTROL_VERSION);
	return 0;
}

static int read_command(struct json_object *object, const struct envelope_commands *commands,
			unsigned int *ret_command, struct control_error *error)
{
	struct json_object *command;
	char buf[ENVELOPE_QUOTE_SIZE];

	if (!json_object_object_get_ex(object, "command", &command))
		return control_error_set(error, EINVAL, "command: missing: %s", commands->allowed);
	if (!control_is_text(command))
		return control_error_set(error, EINVAL, "command: not a name: %s",
					 commands->allowed);
	for (unsigned int i = 0; i < commands->count; i++) {
		if (strcmp(json_object_get_string(command), commands->names[i]) == 0) {
			*ret_command = i;
			return 0;
		}
	}
	return control_error_set(error, EOPNOTSUPP, "command %s: unknown: %s",
				 envelope_quote_string(command, buf), commands->allowed);
}

static int read_object(struct json_object *object, const struct envelope_commands *commands,
		       unsigned int *ret_command, struct json_object **ret_arguments,
		       struct control_error *error)
{
	struct json_object *arguments = NULL;
	int r;

	r = check_members(object, error);
	if (r == 0)
		r = read_command(object, commands, ret_command, error);
	if (r < 0)
		return r;
	if (json_object_object_get_ex(object, "arguments", &arguments) &&
	    !json_object_is_type(arguments, json_type_object))
		return control_error_set(error, EINVAL, "arguments: not an object");
	*ret_arguments = json_object_get(arguments);
	return 0;
}

int envelope_parse(const char *line, size_t len, const struct envelope_commands *commands,
		   unsigned int *ret_command, struct json_object **ret_arguments,
		   struct control_error *ret_error)
{
	struct json_object *object;
	const char *why;
	int r;

	r = control_parse_object(line, len, &object, &why);
	if (r < 0)
		return control_error_set(ret_error, -r, "request: %s", why);
	r = read_object(object, commands, ret_command, ret_arguments, ret_error);
	json_object_put(object);
	return r;
}

int envelope_takes_none(struct json_object *arguments, struct control_error *ret_error)
{
	char buf[ENVELOPE_QUOTE_SIZE];

	if (arguments == NULL)
		return 0;
	json_object_object_foreach(arguments, key, value)
	{
		(void)value;
		return control_error_set(ret_error, EINVAL,
					 "argument %s: unknown: this command takes none",
					 envelope_quote_key(key, buf));
	}
	return 0;
}
