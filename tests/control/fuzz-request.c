/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: whatever line a client sends, it is a request that makes sense or is refused with a
 * message of one printable line, and nothing is read beyond it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/request.h"
#include "device/settings.h"
#include "tests/control/fuzz-seeds.h"
#include "tests/lib/check.h"

const char *const fuzz_seeds[] = {
	"{\"version\":1,\"command\":\"stat\"}",
	"{\"version\":1,\"command\":\"compact\",\"arguments\":{}}",
	"{\"version\":1,\"command\":\"map\",\"arguments\":{\"cells\":4096}}",
	"{\"version\":1,\"command\":\"blocks\",\"arguments\":{\"from\":8192}}",
	"{\"version\":1,\"command\":\"set\",\"arguments\":{\"algorithm\":\"zstd(level=3)\","
	"\"filter\":\"none\",\"compact\":\"off\",\"mem-limit\":\"200M\"}}",
	"{\"version\":1,\"command\":\"set\",\"arguments\":{\"mem-limit\":\"0\"}}",
	"{\"version\":1,\"command\":\"set\",\"arguments\":{\"algorithm\":\"lz4 zstd(level=6) "
	"(type=huge,threshold=3000)\",\"recompress-age\":\"15m\",\"recompress-cpu\":\"10\"}}",
	"{\"version\":1,\"command\":\"idle\",\"arguments\":{\"seconds\":3600}}",
	"{\"version\":1,\"command\":\"writeback\",\"arguments\":{\"type\":\"idle\","
	"\"pages\":[[1,100],[7,7]],\"threshold\":100,\"max-pages\":9}}",
	"{\"version\":1,\"command\":\"recompress\",\"arguments\":{\"type\":\"huge_idle\","
	"\"threshold\":3000,\"max-pages\":10,\"algorithm\":\"zstd(level=9)\"}}",
	"{\"version\":1,\"command\":\"handover\"}",
	"{\"version\":1,\"command\":\"adopt\",\"arguments\":{}}",
	"{\"version\":1,\"command\":\"save\"}",
	"{\"version\":1,\"command\":\"restore\",\"arguments\":{\"force\":true}}",
	NULL,
};

static void check_error(int r, const struct control_error *error)
{
	struct json_object *result, *answer = control_answer_error(error);
	struct control_error got;
	const char *text;

	CHECK(r == -error->number && error->number > 0, "%d, %d", r, error->number);
	CHECK(*error->message != '\0', "no message");
	for (const char *c = error->message; *c != '\0'; c++)
		CHECK(*c >= ' ' && *c <= '~', "byte %d in a message", *c);
	/* The client gets it as it was. */
	text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN);
	CHECK(control_parse_answer(text, strlen(text), &result, &got) == 1, "%s", text);
	CHECK(got.number == error->number && strcmp(got.message, error->message) == 0, "%s", text);
	json_object_put(answer);
}

static void check_settings(const struct control_request *request)
{
	struct device_settings settings = {.method = {.id = CODEC_LZ4, .level = 1}}, again;
	char algorithm[SETTINGS_ALGORITHM_SIZE], why[SETTINGS_WHY_SIZE];
	struct control_error error;

	CHECK(request_settings(request, &settings, &error) == 0, "%s", error.message);
	CHECK(settings.mem_limit == 0 || settings.mem_limit >= device_min_limit(), "limit");
	/* What they are shown as is what they were given as. */
	again = settings;
	settings_algorithm(&settings, algorithm);
	CHECK(settings_set(&again, "algorithm", algorithm, why) == 0, "%s", algorithm);
	CHECK(again.method.id == settings.method.id && again.method.level == settings.method.level,
	      "%s", algorithm);
	CHECK(settings_set(&again, "filter", settings_filter(&settings), why) == 0, "filter");
	CHECK(settings_set(&again, "compact", settings_compact(&settings), why) == 0, "compact");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of its very length, so that reading past its end is seen. */
	char *line = malloc(size ? size : 1);
	struct control_request request;
	struct control_error error = {0};
	int r;

	CHECK(line != NULL, "no memory");
	memcpy(line, data, size);
	r = request_parse(line, size, &request, &error);
	free(line);
	if (r < 0) {
		check_error(r, &error);
		return 0;
	}
	CHECK(r == 0, "%d", r);
	if (request.command == CONTROL_MAP)
		CHECK(request.cells >= 1 && request.cells <= CONTROL_CELLS_MAX, "%u",
		      request.cells);
	else if (request.command == CONTROL_SET)
		check_settings(&request);
	else
		CHECK(request.command <= CONTROL_RESTORE && request.arguments == NULL, "%d",
		      request.command);
	request_put(&request);
	return 0;
}
