/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "device/fields.h"
#include "device/settings.h"

struct json_object *answer_finish(struct json_object *result, bool complete)
{
	if (complete)
		return control_answer_result(result);
	json_object_put(result);
	return NULL;
}

static struct json_object *new_stats(const struct device_stats *stats)
{
	struct json_object *object = json_object_new_object();
	bool ok = true;

	for (size_t i = 0; i < device_stat_fields_count; i++) {
		const struct device_stat_field *field = &device_stat_fields[i];

		ok &= control_add(object, field->name,
				  json_object_new_uint64(device_stat(stats, field)));
	}
	if (ok)
		return object;
	json_object_put(object);
	return NULL;
}

/* A device without a name has the member all the same: null, which is no object of json-c's. */
static bool add_name(struct json_object *object, const char *name)
{
	if (name != NULL)
		return control_add(object, "name", json_object_new_string(name));
	return object != NULL && json_object_object_add(object, "name", NULL) == 0;
}

static bool add_settings(struct json_object *object, const struct device_settings *settings)
{
	char algorithm[SETTINGS_ALGORITHM_SIZE];
	bool ok;

	settings_algorithm(settings, algorithm);
	ok = control_add(object, "algorithm", json_object_new_string(algorithm));
	ok &= control_add(object, "filter", json_object_new_string(settings_filter(settings)));
	ok &= control_add(object, "compact", json_object_new_string(settings_compact(settings)));
	ok &= control_add(object, "mem-limit", json_object_new_uint64(settings->mem_limit));
	ok &= control_add(object, "recompress-age", json_object_new_uint64(settings->cold.age));
	ok &= control_add(object, "recompress-cpu", json_object_new_uint64(settings->cold.cpu));
	ok &= control_add(object, "writeback-at", json_object_new_uint64(settings->writeback.at));
	ok &= control_add(object, "writeback-age", json_object_new_uint64(settings->writeback.age));
	ok &= control_add(object, "writeback-limit",
			  json_object_new_uint64(settings->writeback.limit));
	return ok;
}

static bool add_allocator(struct json_object *object, const struct device *device)
{
	const char *allocator = conf_allocator_choice.words[device_allocator(device)];

	return control_add(object, "allocator", json_object_new_string(allocator));
}

/* Only of a device whose pool outlives its server. */
static bool add_uuid(struct json_object *object, const struct device *device)
{
	char text[DEVICE_UUID_TEXT];
	struct device_recovery recovery;

	device_get_recovery(device, &recovery);
	if (!recovery.in_store)
		return true;
	device_uuid_text(recovery.uuid, text);
	return control_add(object, "uuid", json_object_new_string(text));
}

static struct json_object *new_age(const struct device_age *age)
{
	struct json_object *object = json_object_new_object();
	bool ok = control_add(object, "seconds", json_object_new_uint64(age->seconds));

	ok &= control_add(object, "pages", json_object_new_uint64(age->pages));
	if (ok)
		return object;
	json_object_put(object);
	return NULL;
}

static struct json_object *new_ages(struct device *device)
{
	struct json_object *array = json_object_new_array();
	struct device_age ages[DEVICE_AGES];

	device_get_ages(device, ages);
	for (size_t i = 0; array != NULL && i < DEVICE_AGES; i++) {
		struct json_object *age = new_age(&ages[i]);

		if (age == NULL || json_object_array_add(array, age) < 0) {
			json_object_put(age);
			json_object_put(array);
			array = NULL;
		}
	}
	return array;
}

/* Only of a device that has one. */
static bool add_backing(struct json_object *object, const struct control_server_options *options)
{
	static const char *const states[] = {
		[BACKING_READY] = "ready",
		[BACKING_GONE] = "gone",
		[BACKING_FAILED] = "failed",
		[BACKING_FOREIGN] = "foreign",
	};
	struct backing_stats stats;
	struct json_object *store, *error = NULL;
	bool ok;

	if (options->writeback == NULL || !device_get_backing(options->device, &stats))
		return true;
	store = json_object_new_object();
	ok = control_add(store, "where", json_object_new_string(options->writeback));
	ok &= control_add(store, "state", json_object_new_string(states[stats.state]));
	if (stats.error < 0)
		error = json_object_new_string(control_errno_name(-stats.error));
	ok = ok && json_object_object_add(store, "error", error) == 0;
	if (ok)
		return control_add(object, "writeback", store);
	json_object_put(store);
	return false;
}

static struct json_object *answer_stat(const struct control_server_options *options)
{
	struct device_settings settings;
	struct device_stats stats;
	struct json_object *result;
	bool ok;

	device_get_settings(options->device, &settings);
	device_get_stats(options->device, &stats);
	result = json_object_new_object();
	ok = add_name(result, options->name);
	ok &= control_add(result, "pid", json_object_new_int(getpid()));
	ok &= control_add(result, "version", json_object_new_string(options->version));
	ok &= control_add(result, "size", json_object_new_uint64(device_size(options->device)));
	ok &= add_settings(result, &settings);
	ok &= add_allocator(result, options->device);
	ok &= add_uuid(result, options->device);
	ok &= add_backing(result, options);
	ok &= control_add(result, "streams",
			  json_object_new_uint64(device_streams(options->device)));
	ok &= control_add(result, "stats", new_stats(&stats));
	ok &= control_add(result, "ages", new_ages(options->device));
	return answer_finish(result, ok);
}

static struct json_object *answer_error(int number, const char *what)
{
	struct control_error error;

	control_error_set(&error, number, "%s: %s", what, strerror(number));
	return control_answer_error(&error);
}

static struct json_object *new_shares(const uint8_t *shares, size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < count; i++) {
		struct json_object *share = json_object_new_int(shares[i]);

		if (share == NULL || json_object_array_add(array, share) < 0) {
			json_object_put(share);
			json_object_put(array);
			array = NULL;
		}
	}
	return array;
}

static struct json_object *answer_map(struct device *device, unsigned int cells)
{
	uint8_t live[CONTROL_CELLS_MAX], held[CONTROL_CELLS_MAX];
	struct json_object *result;
	bool ok;
	int n;

	n = device_get_map(device, cells, live, held);
	if (n < 0)
		return answer_error(-n, "map");
	result = json_object_new_object();
	ok = control_add(result, "live", new_shares(live, (size_t)n));
	ok &= control_add(result, "held", new_shares(held, (size_t)n));
	return answer_finish(result, ok);
}

/* Pages of one answer: it is to be short, for others wait for it. */
#define BLOCKS	    8192
#define BLOCKS_TEXT (BLOCKS * (size_t)3)

static void describe(const struct device_block *block, char text[3])
{
	static const char states[DEVICE_BLOCK_STATES] = {
		[DEVICE_BLOCK_EMPTY] = '.',  [DEVICE_BLOCK_SAME] = 's',
		[DEVICE_BLOCK_POOL] = 'p',   [DEVICE_BLOCK_RAW] = 'h',
		[DEVICE_BLOCK_BACKED] = 'w', [DEVICE_BLOCK_DAMAGED] = 'd',
	};
	static const char marks[DEVICE_BLOCK_MARKS] = {
		[DEVICE_BLOCK_UNTRIED] = '.',
		[DEVICE_BLOCK_RECOMPRESSED] = 'r',
		[DEVICE_BLOCK_UNSHRINKABLE] = 'n',
	};
	bool aged = block->state == DEVICE_BLOCK_POOL || block->state == DEVICE_BLOCK_RAW;

	text[0] = states[block->state];
	text[1] = marks[block->mark];
	text[2] = aged ? "0123456789abcdef"[block->age] : '.';
}

_Static_assert(DEVICE_AGES == 16, "a digit for each age");

static struct json_object *new_blocks(const struct device_block *blocks, size_t count)
{
	char *text = malloc(BLOCKS_TEXT);
	struct json_object *value;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		describe(&blocks[i], text + 3 * i);
	value = json_object_new_string_len(text, (int)(3 * count));
	free(text);
	return value;
}

static struct json_object *answer_blocks(struct device *device, uint64_t from)
{
	struct device_block blocks[BLOCKS];
	size_t count = device_get_blocks(device, &from, blocks, BLOCKS);
	struct json_object *result = json_object_new_object();
	bool ok = control_add(result, "from", json_object_new_uint64(from));

	ok &= control_add(result, "blocks", new_blocks(blocks, count));
	return answer_finish(result, ok);
}

static struct json_object *answer_set(struct device *device, const struct control_request *request)
{
	struct device_settings settings;
	struct control_error error;
	int r;

	device_get_settings(device, &settings);
	if (request_settings(request, &settings, &error) < 0)
		return control_answer_error(&error);
	r = device_set(device, &settings);
	if (r < 0)
		return answer_error(-r, "set: nothing was changed");
	return control_answer_result(json_object_new_object());
}

struct json_object *answer_request(const struct control_server_options *options,
				   const struct control_request *request)
{
	switch (request->command) {
	case CONTROL_MAP:
		return answer_map(options->device, request->cells);
	case CONTROL_BLOCKS:
		return answer_blocks(options->device, request->from);
	case CONTROL_SET:
		return answer_set(options->device, request);
	default:
		return answer_stat(options);
	}
}

static struct json_object *new_descriptors(const struct control_descriptors *descriptors)
{
	struct json_object *object = json_object_new_object();
	bool ok = control_add(object, "region", json_object_new_int(descriptors->region));

	ok &= control_add(object, "ring", json_object_new_int(descriptors->ring));
	ok &= control_add(object, "socket", json_object_new_int(descriptors->socket));
	if (ok)
		return object;
	json_object_put(object);
	return NULL;
}

struct json_object *answer_adopt(const struct control_succession *succession)
{
	struct json_object *array = json_object_new_array(), *result = json_object_new_object();
	bool ok = array != NULL;

	for (unsigned int i = 0; ok && i < succession->nr_connections; i++) {
		struct json_object *one = new_descriptors(&succession->connections[i]);

		ok = one != NULL && json_object_array_add(array, one) == 0;
		if (!ok)
			json_object_put(one);
	}
	ok &= control_add(result, "connections", array);
	return answer_finish(result, ok);
}
