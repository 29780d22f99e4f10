/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: lines that are JSON objects and lines that are not, answers as both sides see them,
 * and requests with every kind of mistake, each refused in a line that says what is allowed.
 */
#include "control/request.h"
#include "tests/control/fixture.h"

#define COMMANDS                                                                               \
	"give stat, map, blocks, compact, idle, recompress, writeback, set, handover, adopt, " \
	"save or "                                                                             \
	"restore"

/* Lines. */

static void assert_object(const char *line, size_t len)
{
	struct json_object *object = NULL;
	const char *why = "";

	if (control_parse_object(line, len, &object, &why) != 0)
		fail_msg("'%s' is refused: %s", line, why);
	assert_true(json_object_is_type(object, json_type_object));
	json_object_put(object);
}

static void assert_no_object(const char *line, size_t len, const char *expected)
{
	struct json_object *object = NULL;
	const char *why = NULL;

	assert_int_equal(control_parse_object(line, len, &object, &why), -EINVAL);
	assert_null(object);
	assert_non_null(strstr(why, expected));
}

static void test_objects(void **state)
{
	static const char *const lines[] = {
		"{}",
		" {} ",
		"{\"a\":1}\r",
		"{\"a\":{\"b\":[1,2,\"\\u0000\"]}}",
		"{\"\":\"\xc3\xa9\"}",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_object(lines[i], strlen(lines[i]));
}

static void test_no_objects(void **state)
{
	static const struct {
		const char *line, *why;
	} lines[] = {
		{"", "ends too early"},
		{" ", "ends too early"},
		{"{", "ends too early"},
		{"{\"a\":\"", "ends too early"},
		{"}", "not JSON"},
		{"stat", "not JSON"},
		{"{a:1}", "not JSON"},
		{"{\"a\":1,}", "not JSON"},
		{"{\"a\":01}", "not JSON"},
		{"{\"a\":/**/1}", "not JSON"},
		{"{}{}", "not JSON"},
		{"{} x", "not JSON"},
		{"{}]", "not JSON"},
		{"[]", "not an object"},
		{"[{}]", "not an object"},
		{"\"a\"", "not an object"},
		{"1 ", "not an object"},
		{"null ", "not an object"},
		{"{\"\xff\":1}", "not UTF-8"},
		{"{\"a\":\"\xc3\"}", "not UTF-8"},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_no_object(lines[i].line, strlen(lines[i].line), lines[i].why);
	assert_no_object("{}\0", 3, "NUL byte");
	assert_no_object("{\"a\0\":1}", 8, "NUL byte");
	/* What stands behind the length given is not looked at. */
	assert_object("{}garbage", 2);
}

static void test_depth(void **state)
{
	char line[4096];

	assert_object("{\"a\":[[[[[1]]]]]}", 17);
	memset(line, '[', sizeof(line));
	assert_no_object(line, sizeof(line), "nested too deeply");
	memcpy(line, "{\"a\":", 5);
	assert_no_object(line, sizeof(line), "nested too deeply");
	for (size_t i = 0; i + 5 <= sizeof(line); i += 5)
		memcpy(line + i, "{\"a\":", 5);
	assert_no_object(line, sizeof(line) / 5 * 5, "nested too deeply");
}

static void test_quote(void **state)
{
	char buf[8];

	assert_string_equal(control_quote("zstd", 4, buf, sizeof(buf)), "zstd");
	assert_string_equal(control_quote("a\nb\033[\xc3\xa9", 7, buf, sizeof(buf)), "a?b?[??");
	assert_string_equal(control_quote("0123456789", 10, buf, sizeof(buf)), "0123456");
	assert_string_equal(control_quote("", 0, buf, sizeof(buf)), "");
	assert_string_equal(control_quote("a\0b", 3, buf, sizeof(buf)), "a?b");
}

static void test_errno_names(void **state)
{
	static const int numbers[] = {EPERM,  EIO,    EAGAIN,	EBUSY,		 EINVAL,
				      ENOMEM, ENOSPC, EMSGSIZE, EPROTONOSUPPORT, EOPNOTSUPP};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_int_equal(control_errno_number(control_errno_name(numbers[i])), numbers[i]);
	assert_string_equal(control_errno_name(EBUSY), "EBUSY");
	assert_string_equal(control_errno_name(EXDEV), "EIO");
	assert_string_equal(control_errno_name(0), "EIO");
	assert_int_equal(control_errno_number("EWHAT"), EIO);
	assert_int_equal(control_errno_number(""), EIO);
}

/* Answers. */

/* Print an answer, which is put, and parse it as the client does. */
static int answer_through(struct json_object *answer, struct json_object **ret_result,
			  struct control_error *ret_error)
{
	const char *text;
	int r;

	assert_non_null(answer);
	text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN);
	assert_null(strchr(text, '\n'));
	r = control_parse_answer(text, strlen(text), ret_result, ret_error);
	json_object_put(answer);
	return r;
}

static void test_answers(void **state)
{
	struct json_object *result = json_object_new_object(), *found = NULL;
	struct control_error error, got = {0};

	assert_true(control_add(result, "pool", json_object_new_uint64(UINT64_MAX)));
	assert_int_equal(answer_through(control_answer_result(result), &found, &got), 0);
	assert_true(json_object_get_uint64(json_object_object_get(found, "pool")) == UINT64_MAX);
	json_object_put(found);

	assert_int_equal(control_error_set(&error, EBUSY, "%s:\nbusy", "compact"), -EBUSY);
	assert_int_equal(answer_through(control_answer_error(&error), &found, &got), 1);
	assert_int_equal(got.number, EBUSY);
	assert_string_equal(got.message, "compact:?busy");
	/* A message that is too long is cut. */
	control_error_set(&error, EINVAL, "%0600d", 7);
	assert_int_equal(answer_through(control_answer_error(&error), &found, &got), 1);
	assert_int_equal(strlen(got.message), CONTROL_MESSAGE_SIZE - 1);
}

static void test_no_memory(void **state)
{
	struct json_object *object = json_object_new_object();

	assert_false(control_add(object, "a", NULL));
	assert_false(control_add(NULL, "a", json_object_new_int(1)));
	assert_int_equal(json_object_object_length(object), 0);
	json_object_put(object);
	assert_null(control_answer_result(NULL));
}

static void test_bad_answers(void **state)
{
	static const char *const lines[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"version\":1}",
		"{\"version\":2,\"result\":{}}",
		"{\"version\":\"1\",\"result\":{}}",
		"{\"version\":4294967297,\"result\":{}}",
		"{\"result\":{}}",
		"{\"version\":1,\"result\":null}",
		"{\"version\":1,\"result\":[]}",
		"{\"version\":1,\"result\":{},\"error\":{\"errno\":\"EIO\",\"message\":\"\"}}",
		"{\"version\":1,\"error\":{}}",
		"{\"version\":1,\"error\":null}",
		"{\"version\":1,\"error\":{\"errno\":\"EIO\"}}",
		"{\"version\":1,\"error\":{\"errno\":5,\"message\":\"\"}}",
		"{\"version\":1,\"error\":{\"errno\":\"EIO\",\"message\":[]}}",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct json_object *result = NULL;
		struct control_error error;

		assert_int_equal(control_parse_answer(lines[i], strlen(lines[i]), &result, &error),
				 -EPROTO);
		assert_null(result);
	}
}

/* Requests. */

static struct control_request good(const char *line)
{
	struct control_request request;
	struct control_error error;

	if (request_parse(line, strlen(line), &request, &error) != 0)
		fail_msg("'%s' is refused: %s", line, error.message);
	return request;
}

static void bad(const char *line, int number, const char *message)
{
	struct control_request request;
	struct control_error error = {0};

	assert_int_equal(request_parse(line, strlen(line), &request, &error), -number);
	assert_int_equal(error.number, number);
	assert_string_equal(error.message, message);
}

static void test_requests(void **state)
{
	struct control_request request;

	assert_int_equal(good("{\"version\":1,\"command\":\"stat\"}").command, CONTROL_STAT);
	assert_int_equal(good("{\"command\":\"compact\",\"arguments\":{},\"version\":1}").command,
			 CONTROL_COMPACT);
	request = good("{\"version\":1,\"command\":\"map\",\"arguments\":{\"cells\":4096}}");
	assert_int_equal(request.command, CONTROL_MAP);
	assert_int_equal(request.cells, 4096);
	request = good("{\"version\":1,\"command\":\"map\",\"arguments\":{\"cells\":1}}");
	assert_int_equal(request.cells, 1);
	request = good("{\"version\":1,\"command\":\"blocks\",\"arguments\":{\"from\":8192}}");
	assert_int_equal(request.command, CONTROL_BLOCKS);
	assert_int_equal(request.from, 8192);
	assert_int_equal(good("{\"version\":1,\"command\":\"handover\"}").command,
			 CONTROL_HANDOVER);
	assert_int_equal(good("{\"version\":1,\"command\":\"adopt\",\"arguments\":{}}").command,
			 CONTROL_ADOPT);
	request = good("{\"version\":1,\"command\":\"set\"}");
	assert_int_equal(request.command, CONTROL_SET);
	assert_null(request.arguments);
	request = good("{\"version\":1,\"command\":\"set\",\"arguments\":{\"filter\":\"none\"}}");
	assert_int_equal(json_object_object_length(request.arguments), 1);
	request_put(&request);
}

static void test_bad_requests(void **state)
{
	bad("stat", EINVAL, "request: not JSON");
	bad("[]", EINVAL, "request: not an object");
	bad("{}", EINVAL, "version: missing: give version 1");
	bad("{\"version\":2,\"command\":\"stat\"}", EPROTONOSUPPORT,
	    "version 2: not spoken here: give version 1");
	bad("{\"version\":\"1\",\"command\":\"stat\"}", EPROTONOSUPPORT,
	    "version \"1\": not spoken here: give version 1");
	bad("{\"version\":null,\"command\":\"stat\"}", EPROTONOSUPPORT,
	    "version null: not spoken here: give version 1");
	bad("{\"version\":1,\"command\":\"stat\",\"id\":7}", EINVAL,
	    "request: unknown member id: give version, command and arguments");
	bad("{\"version\":1}", EINVAL, "command: missing: " COMMANDS);
	bad("{\"version\":1,\"command\":1}", EINVAL, "command: not a name: " COMMANDS);
	bad("{\"version\":1,\"command\":\"stat\\u0000\"}", EINVAL,
	    "command: not a name: " COMMANDS);
	bad("{\"version\":1,\"command\":\"sta\\nt\"}", EOPNOTSUPP,
	    "command sta?t: unknown: " COMMANDS);
	bad("{\"version\":1,\"command\":\"stat\",\"arguments\":[]}", EINVAL,
	    "arguments: not an object");
	bad("{\"version\":1,\"command\":\"stat\",\"arguments\":null}", EINVAL,
	    "arguments: not an object");
	bad("{\"version\":1,\"command\":\"stat\",\"arguments\":{\"a\":1}}", EINVAL,
	    "argument a: unknown: this command takes none");
	bad("{\"version\":1,\"command\":\"compact\",\"arguments\":{\"a\":1}}", EINVAL,
	    "argument a: unknown: this command takes none");
	bad("{\"version\":1,\"command\":\"idle\"}", EINVAL,
	    "argument seconds: not one: give a number, 0 for all pages");
	bad("{\"version\":1,\"command\":\"idle\",\"arguments\":{\"seconds\":-1}}", EINVAL,
	    "argument seconds: not one: give a number, 0 for all pages");
	bad("{\"version\":1,\"command\":\"idle\",\"arguments\":{\"seconds\":\"all\"}}", EINVAL,
	    "argument seconds: not one: give a number, 0 for all pages");
	bad("{\"version\":1,\"command\":\"idle\",\"arguments\":{\"age\":1}}", EINVAL,
	    "argument age: unknown: give seconds");
	bad("{\"version\":1,\"command\":\"handover\",\"arguments\":{\"pid\":1}}", EINVAL,
	    "argument pid: unknown: this command takes none");
	bad("{\"version\":1,\"command\":\"adopt\",\"arguments\":{\"pid\":1}}", EINVAL,
	    "argument pid: unknown: this command takes none");
}

static void test_bad_map(void **state)
{
	static const char *const cells[] = {
		"0",	      "-1",    "4097",
		"1.5",	      "\"8\"", "null",
		"[]",	      "1e2",   "99999999999999999999",
		"4294967297",
	};
	char line[128];

	bad("{\"version\":1,\"command\":\"map\"}", EINVAL,
	    "argument cells: not one: give a number from 1 to 4096");
	bad("{\"version\":1,\"command\":\"map\",\"arguments\":{\"cell\":1}}", EINVAL,
	    "argument cell: unknown: give cells");
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		snprintf(line, sizeof(line),
			 "{\"version\":1,\"command\":\"map\",\"arguments\":{\"cells\":%s}}",
			 cells[i]);
		bad(line, EINVAL, "argument cells: not one: give a number from 1 to 4096");
	}
}

static void test_bad_blocks(void **state)
{
	static const char *const froms[] = {"-1", "1.5", "\"8\"", "null", "[]", "{}"};
	char line[128];

	bad("{\"version\":1,\"command\":\"blocks\"}", EINVAL,
	    "argument from: not a page: give a number, 0 at first");
	bad("{\"version\":1,\"command\":\"blocks\",\"arguments\":{\"page\":1}}", EINVAL,
	    "argument page: unknown: give from");
	for (size_t i = 0; i < sizeof(froms) / sizeof(froms[0]); i++) {
		snprintf(line, sizeof(line),
			 "{\"version\":1,\"command\":\"blocks\",\"arguments\":{\"from\":%s}}",
			 froms[i]);
		bad(line, EINVAL, "argument from: not a page: give a number, 0 at first");
	}
}

static void bad_set(const char *arguments, const char *message)
{
	char line[512];

	snprintf(line, sizeof(line), "{\"version\":1,\"command\":\"set\",\"arguments\":{%s}}",
		 arguments);
	bad(line, EINVAL, message);
}

static void test_bad_set(void **state)
{
	char message[256];

	bad_set("\"size\":\"1G\"", "argument size: unknown: give algorithm, filter, compact, "
				   "recompress-age, recompress-cpu, writeback-at, writeback-age, "
				   "writeback-limit or mem-limit");
	bad_set("\"size\":7", "argument size: unknown: give algorithm, filter, compact, "
			      "recompress-age, recompress-cpu, writeback-at, writeback-age, "
			      "writeback-limit or mem-limit");
	bad_set("\"filter\":\"yes\"", "filter=yes: not a choice: give auto or none");
	bad_set("\"filter\":true", "filter: not a string: give what the parameter is given");
	bad_set("\"filter\":\"auto\\u0000\"",
		"filter: not a string: give what the parameter is given");
	bad_set("\"compact\":\"\"", "compact=: not a choice: give auto or off");
	bad_set("\"algorithm\":\"lzo\"", "algorithm=lzo: not an algorithm: give lz4, lz4(level=N), "
					 "zstd or zstd(level=N)");
	bad_set("\"algorithm\":\"zstd(level=99)\"", "algorithm=zstd(level=99): no such level: lz4 "
						    "takes 1 to 65537, zstd -131072 to 22");
	bad_set("\"mem-limit\":\"1Q\"", "mem-limit=1Q: not a size: give bytes, or a number with K, "
					"M, G or T (1K = 1024)");
	bad_set("\"mem-limit\":8388608",
		"mem-limit: not a string: give what the parameter is given");
	snprintf(message, sizeof(message),
		 "mem-limit=1: too small: give at least %" PRIu64 " bytes, or 0 for no limit",
		 device_min_limit());
	bad_set("\"mem-limit\":\"1\"", message);
	/* One that is wrong is enough. */
	bad_set("\"compact\":\"off\",\"filter\":\"x\"",
		"filter=x: not a choice: give auto or none");
}

/* What is repeated to a client is cut to what a message has room for. */
static void test_long_names(void **state)
{
	struct control_request request;
	struct control_error error;
	char line[2048];

	snprintf(line, sizeof(line), "{\"version\":1,\"command\":\"%01024d\"}", 0);
	assert_int_equal(request_parse(line, strlen(line), &request, &error), -EOPNOTSUPP);
	assert_non_null(strstr(error.message, COMMANDS));
	snprintf(line, sizeof(line),
		 "{\"version\":1,\"command\":\"set\",\"arguments\":{\"%01024d\":\"\"}}", 0);
	assert_int_equal(request_parse(line, strlen(line), &request, &error), -EINVAL);
	assert_non_null(strstr(error.message,
			       "give algorithm, filter, compact, recompress-age, recompress-cpu, "
			       "writeback-at, writeback-age, writeback-limit or mem-limit"));
}

static void test_settings(void **state)
{
	static const char line[] = "{\"version\":1,\"command\":\"set\",\"arguments\":{"
				   "\"algorithm\":\"lz4(level=3)\",\"mem-limit\":\"200M\"}}";
	struct device_settings settings = {.mem_limit = 1, .auto_compact = true};
	struct control_request request;
	struct control_error error;

	assert_int_equal(codec_method_init(&settings.method, "zstd", NULL), 0);
	settings.method.filter = CODEC_FILTER_NONE;
	request = good(line);
	assert_int_equal(request_settings(&request, &settings, &error), 0);
	request_put(&request);
	assert_int_equal(settings.method.id, CODEC_LZ4);
	assert_int_equal(settings.method.level, 3);
	assert_int_equal(settings.method.filter, CODEC_FILTER_NONE);
	assert_true(settings.auto_compact);
	assert_int_equal(settings.mem_limit, 200 << 20);

	request = good("{\"version\":1,\"command\":\"set\",\"arguments\":{\"mem-limit\":\"0\","
		       "\"compact\":\"off\",\"filter\":\"auto\"}}");
	assert_int_equal(request_settings(&request, &settings, &error), 0);
	request_put(&request);
	assert_int_equal(settings.mem_limit, 0);
	assert_false(settings.auto_compact);
	assert_int_equal(settings.method.filter, CODEC_FILTER_AUTO);
	assert_int_equal(settings.method.level, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),	    cmocka_unit_test(test_no_objects),
		cmocka_unit_test(test_depth),	    cmocka_unit_test(test_quote),
		cmocka_unit_test(test_errno_names), cmocka_unit_test(test_answers),
		cmocka_unit_test(test_no_memory),   cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_requests),    cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_bad_map),	    cmocka_unit_test(test_bad_blocks),
		cmocka_unit_test(test_bad_set),	    cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
