/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/protocol.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/util.h"

/* The deepest that is ever sent is a statistic: answer, result, stats, number. */
#define MAX_DEPTH 8

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

int control_error_set(struct control_error *error, int number, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	error->number = number;
	return -number;
}

const char *control_quote(const char *text, size_t len, char *buf, size_t size)
{
	size_t n = min_u64(len, size - 1);

	for (size_t i = 0; i < n; i++)
		buf[i] = is_printable(text[i]) ? text[i] : '?';
	buf[n] = '\0';
	return buf;
}

/* What the parser's state is after the line. NULL: it was one JSON value. */
static const char *parse_failure(struct json_tokener *tokener)
{
	switch (json_tokener_get_error(tokener)) {
	case json_tokener_success:
		return NULL;
	case json_tokener_continue:
		return "not JSON: it ends too early";
	case json_tokener_error_depth:
		return "not accepted: nested too deeply";
	case json_tokener_error_parse_utf8_string:
		return "not JSON: it is not UTF-8";
	default:
		return "not JSON";
	}
}

int control_parse_object(const char *line, size_t len, struct json_object **ret_object,
			 const char **ret_why)
{
	struct json_tokener *tokener;
	struct json_object *object;
	const char *why;

	/* The parser would take a NUL for the end, and not look behind it. */
	if (memchr(line, '\0', len) != NULL) {
		*ret_why = "not JSON: there is a NUL byte in it";
		return -EINVAL;
	}
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (tokener == NULL) {
		*ret_why = "no memory to parse it";
		return -ENOMEM;
	}
	/* Strict: nothing but blanks may stand behind the value, too. */
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, line, (int)len);
	why = parse_failure(tokener);
	if (why == NULL && !json_object_is_type(object, json_type_object))
		why = "not an object";
	json_tokener_free(tokener);
	if (why != NULL) {
		json_object_put(object);
		*ret_why = why;
		return -EINVAL;
	}
	*ret_object = object;
	return 0;
}

static const struct {
	const char *name;
	int number;
} errnos[] = {
	{"EPERM", EPERM},	    {"EIO", EIO},
	{"EAGAIN", EAGAIN},	    {"ENOMEM", ENOMEM},
	{"EBUSY", EBUSY},	    {"EINVAL", EINVAL},
	{"ENOSPC", ENOSPC},	    {"ENOTCONN", ENOTCONN},
	{"EMSGSIZE", EMSGSIZE},	    {"EPROTONOSUPPORT", EPROTONOSUPPORT},
	{"EOPNOTSUPP", EOPNOTSUPP}, {"ENOTEMPTY", ENOTEMPTY},
	{"EBADMSG", EBADMSG},	    {"EPROTO", EPROTO},
	{"ENODATA", ENODATA},	    {"ETIMEDOUT", ETIMEDOUT},
	{"ENOENT", ENOENT},	    {"ESTALE", ESTALE},
};

const char *control_errno_name(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++) {
		if (errnos[i].number == number)
			return errnos[i].name;
	}
	return "EIO";
}

int control_errno_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++) {
		if (strcmp(errnos[i].name, name) == 0)
			return errnos[i].number;
	}
	return EIO;
}

bool control_add(struct json_object *object, const char *key, struct json_object *value)
{
	if (object != NULL && value != NULL && json_object_object_add(object, key, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

/* {"version":1,KEY:MEMBER} */
static struct json_object *answer_make(const char *key, struct json_object *member)
{
	struct json_object *answer = json_object_new_object();
	bool ok = control_add(answer, "version", json_object_new_int(CONTROL_VERSION));

	ok &= control_add(answer, key, member);
	if (ok)
		return answer;
	json_object_put(answer);
	return NULL;
}

struct json_object *control_answer_result(struct json_object *result)
{
	return answer_make("result", result);
}

struct json_object *control_answer_error(const struct control_error *error)
{
	struct json_object *object = json_object_new_object();
	char message[CONTROL_MESSAGE_SIZE];
	bool ok;

	control_quote(error->message, strlen(error->message), message, sizeof(message));
	ok = control_add(object, "errno",
			 json_object_new_string(control_errno_name(error->number)));
	ok &= control_add(object, "message", json_object_new_string(message));
	if (ok)
		return answer_make("error", object);
	json_object_put(object);
	return NULL;
}

/* The string that is OBJECT's member KEY, or NULL. */
static struct json_object *member_string(struct json_object *object, const char *key)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, key, &member) ||
	    !json_object_is_type(member, json_type_string))
		return NULL;
	return member;
}

static int parse_error(struct json_object *object, struct control_error *ret_error)
{
	struct json_object *name = member_string(object, "errno");
	struct json_object *message = member_string(object, "message");

	if (name == NULL || message == NULL)
		return -EPROTO;
	ret_error->number = control_errno_number(json_object_get_string(name));
	control_quote(json_object_get_string(message), (size_t)json_object_get_string_len(message),
		      ret_error->message, sizeof(ret_error->message));
	return 1;
}

bool control_is_text(struct json_object *value)
{
	return json_object_is_type(value, json_type_string) &&
	       strlen(json_object_get_string(value)) == (size_t)json_object_get_string_len(value);
}

bool control_version_is(struct json_object *object, int version)
{
	struct json_object *member;

	return json_object_object_get_ex(object, "version", &member) &&
	       json_object_is_type(member, json_type_int) &&
	       json_object_get_int64(member) == version;
}

int control_parse_answer(const char *line, size_t len, struct json_object **ret_result,
			 struct control_error *ret_error)
{
	struct json_object *answer, *result, *error;
	const char *why;
	int r;

	r = control_parse_object(line, len, &answer, &why);
	if (r < 0)
		return r == -ENOMEM ? r : -EPROTO;
	r = -EPROTO;
	if (control_version_is(answer, CONTROL_VERSION)) {
		bool has_result = json_object_object_get_ex(answer, "result", &result);
		bool has_error = json_object_object_get_ex(answer, "error", &error);

		if (has_result && !has_error && json_object_is_type(result, json_type_object)) {
			*ret_result = json_object_get(result);
			r = 0;
		} else if (has_error && !has_result) {
			r = parse_error(error, ret_error);
		}
	}
	json_object_put(answer);
	return r;
}
