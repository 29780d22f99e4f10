/* SPDX-License-Identifier: BSD-3-Clause */
/* A control server in this process, over a device, and short ways to ask it. */
#ifndef ZCRAM_TESTS_CONTROL_SERVING_H
#define ZCRAM_TESTS_CONTROL_SERVING_H

#include "control/server.h"
#include "tests/control/fixture.h"

#define MIB	    UINT64_C(1048576)
#define DEVICE_SIZE (64 * MIB)

/* Long enough that no test ever sees it pass. */
#define PATIENT 3600000

struct serving {
	struct device *device;
	struct control_server *server;
};

static inline struct device *serving_device(void)
{
	struct device_options options = {.size = DEVICE_SIZE, .auto_compact = true, .streams = 3};
	struct device *device = NULL;

	assert_int_equal(codec_method_init(&options.method, "zstd", NULL), 0);
	assert_int_equal(device_new(&options, &device), 0);
	return device;
}

static inline int serving_new(struct device *device, unsigned int patience,
			      struct control_server **ret_server)
{
	struct control_server_options options = {
		.path = fixture_path,
		.name = "zcram7",
		.device = device,
		.version = "1.2.3",
		.patience = patience,
	};

	return control_server_new(&options, ret_server);
}

static inline struct serving serving_begin(unsigned int patience)
{
	struct serving serving = {.device = serving_device()};

	assert_int_equal(serving_new(serving.device, patience, &serving.server), 0);
	assert_int_equal(control_server_start(serving.server), 0);
	return serving;
}

static inline void serving_end(struct serving *serving)
{
	const char *why = "";

	control_server_stop(serving->server);
	control_server_free(serving->server);
	if (device_validate(serving->device, &why) != 0)
		fail_msg("not valid: %s", why);
	device_free(serving->device);
}

/* The next line, which must be an error; its message must have TEXT in it. */
static inline void expect_error(int fd, int number, const char *text)
{
	struct json_object *result = NULL;
	struct control_error error;
	char *line = raw_line(fd);

	assert_non_null(line);
	assert_int_equal(control_parse_answer(line, strlen(line), &result, &error), 1);
	assert_int_equal(error.number, number);
	if (strstr(error.message, text) == NULL)
		fail_msg("'%s' is not in '%s'", text, error.message);
	free(line);
}

/* The next line, which must be a result, to be put. */
static inline struct json_object *expect_result(int fd)
{
	struct json_object *result = NULL;
	struct control_error error;
	char *line = raw_line(fd);

	assert_non_null(line);
	if (control_parse_answer(line, strlen(line), &result, &error) != 0)
		fail_msg("'%s' is no result", line);
	free(line);
	return result;
}

#define STAT "{\"version\":1,\"command\":\"stat\"}\n"

static inline struct json_object *ask(int fd, const char *request)
{
	raw_print(fd, request);
	return expect_result(fd);
}

/* It is served: it gets an answer to stat. */
static inline void assert_served(int fd)
{
	json_object_put(ask(fd, STAT));
}

static inline void assert_closed(int fd)
{
	assert_null(raw_line(fd));
}

static inline uint64_t member_u64(struct json_object *object, const char *name)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, name, &member) ||
	    !json_object_is_type(member, json_type_int))
		fail_msg("there is no number %s", name);
	return json_object_get_uint64(member);
}

static inline const char *member_text(struct json_object *object, const char *name)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, name, &member) ||
	    !json_object_is_type(member, json_type_string))
		fail_msg("there is no string %s", name);
	return json_object_get_string(member);
}

#endif
