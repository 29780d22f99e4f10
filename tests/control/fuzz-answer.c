/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: whatever line a server sends, to the client it is a result, an error with a message
 * that is fit to print, or no answer at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"
#include "tests/control/fuzz-seeds.h"
#include "tests/lib/check.h"

const char *const fuzz_seeds[] = {
	"{\"version\":1,\"result\":{}}",
	"{\"version\":1,\"result\":{\"before\":{\"pool\":18446744073709551615},\"after\":{}}}",
	"{\"version\":1,\"result\":{\"live\":[0,255,7],\"held\":[]}}",
	"{\"version\":1,\"result\":{\"connections\":[{\"region\":5,\"ring\":6,\"socket\":7}]}}",
	"{\"version\":1,\"error\":{\"errno\":\"EINVAL\",\"message\":\"filter=x: not a choice\"}}",
	"{\"version\":1,\"error\":{\"errno\":\"EBUSY\",\"message\":\"\\u001b\\n\\u00e9\"}}",
	NULL,
};

static void check_error(const struct control_error *error)
{
	CHECK(error->number > 0, "%d", error->number);
	CHECK(strlen(error->message) < sizeof(error->message), "too long");
	for (const char *c = error->message; *c != '\0'; c++)
		CHECK(*c >= ' ' && *c <= '~', "byte %d in a message", *c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of its very length, so that reading past its end is seen. */
	char *line = malloc(size ? size : 1);
	struct json_object *result = NULL;
	struct control_error error;
	int r;

	CHECK(line != NULL, "no memory");
	memcpy(line, data, size);
	r = control_parse_answer(line, size, &result, &error);
	free(line);
	CHECK(r == 0 || r == 1 || r == -EPROTO, "%d", r);
	CHECK((r == 0) == json_object_is_type(result, json_type_object), "%d", r);
	if (r == 1)
		check_error(&error);
	json_object_put(result);
	return 0;
}
