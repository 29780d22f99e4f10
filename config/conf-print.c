/* SPDX-License-Identifier: BSD-3-Clause */
/* What is in force, written down again: as the file has it, and as the plugin takes it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "config/conf-internal.h"

#define SIZE_TEXT 24

void conf_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char units[][2] = {"", "K", "M", "G", "T"};
	size_t unit = 0;

	while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, size, "%" PRIu64 "%s", bytes, units[unit]);
}

static int print_size(uint64_t bytes, char **ret_text)
{
	char text[SIZE_TEXT];

	conf_format_size(bytes, text, sizeof(text));
	return asprintf(ret_text, "%s", text);
}

static int print_text(const char *text, char **ret_text)
{
	return asprintf(ret_text, "%s", text);
}

/* A number, or the WORD that stands for NONE. */
static int print_number(uint64_t number, uint64_t none, const char *word, char **ret_text)
{
	if (number == none)
		return print_text(word, ret_text);
	return asprintf(ret_text, "%" PRIu64, number);
}

/* By the largest unit that keeps it whole. */
static int print_time(uint64_t seconds, char **ret_text)
{
	static const struct {
		uint64_t seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	size_t i = seconds == 0 ? ARRAY_SIZE(units) - 1 : 0;

	while (seconds % units[i].seconds != 0)
		i++;
	return asprintf(ret_text, "%" PRIu64 "%c", seconds / units[i].seconds, units[i].unit);
}

/* As asprintf(): negative when there is no memory. */
static int print(const struct conf_device *device, enum conf_key key, char **ret_text)
{
	switch (key) {
	case CONF_KEY_SIZE:
		return print_size(device->size, ret_text);
	case CONF_KEY_MEM_LIMIT:
		return print_size(device->mem_limit, ret_text);
	case CONF_KEY_ALGORITHM:
		return print_text(device->algorithm, ret_text);
	case CONF_KEY_FILTER:
		return print_text(conf_filter_choice.words[device->filter], ret_text);
	case CONF_KEY_COMPACT:
		return print_text(conf_compact_choice.words[device->compact], ret_text);
	case CONF_KEY_ALLOCATOR:
		return print_text(conf_allocator_choice.words[device->allocator], ret_text);
	case CONF_KEY_RECOMPRESS_AGE:
		return print_time(device->recompress_age, ret_text);
	case CONF_KEY_RECOMPRESS_CPU:
		return asprintf(ret_text, "%u", device->recompress_cpu);
	case CONF_KEY_WRITEBACK:
		return print_text(device->writeback == NULL ? "" : device->writeback, ret_text);
	case CONF_KEY_WRITEBACK_SIZE:
		return print_size(device->writeback_size, ret_text);
	case CONF_KEY_WRITEBACK_AT:
		return asprintf(ret_text, "%u", device->writeback_at);
	case CONF_KEY_WRITEBACK_AGE:
		return print_time(device->writeback_age, ret_text);
	case CONF_KEY_WRITEBACK_LIMIT:
		return print_size(device->writeback_limit, ret_text);
	case CONF_KEY_RESERVE:
		if (device->reserve == CONF_RESERVE_AUTO)
			return print_text("auto", ret_text);
		return print_size(device->reserve, ret_text);
	case CONF_KEY_LOCK:
		return print_text(conf_lock_choice.words[device->lock], ret_text);
	case CONF_KEY_CONNECTIONS:
		return print_number(device->connections, 0, "auto", ret_text);
	case CONF_KEY_THREADS:
		return print_number(device->threads, 0, "auto", ret_text);
	case CONF_KEY_DEVICE:
		if (device->nbd_index < 0)
			return print_text("auto", ret_text);
		return asprintf(ret_text, "nbd%d", device->nbd_index);
	case CONF_KEY_HOST_MEMORY_LIMIT:
		return print_number(device->host_memory_limit, CONF_NO_HOST_LIMIT, "none",
				    ret_text);
	case CONF_KEY_SWAP_PRIORITY:
		return asprintf(ret_text, "%d", device->swap_priority);
	case CONF_KEY_FS_TYPE:
		return print_text(device->fs_type, ret_text);
	case CONF_KEY_MOUNT_POINT:
		return print_text(device->mount_point == NULL ? "" : device->mount_point, ret_text);
	default:
		return print_text(device->options, ret_text);
	}
}

int conf_print(const struct conf_device *device, enum conf_key key, char **ret_text)
{
	char *text;

	if (print(device, key, &text) < 0)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

int conf_compare(const struct conf_device *a, const struct conf_device *b, uint32_t *ret_keys)
{
	uint32_t keys = 0;

	for (enum conf_key key = 0; key < CONF_KEY_COUNT; key++) {
		char *first = NULL, *second = NULL;
		int r = conf_print(a, key, &first);

		if (r == 0)
			r = conf_print(b, key, &second);
		if (r == 0 && strcmp(first, second) != 0)
			keys |= UINT32_C(1) << key;
		free(first);
		free(second);
		if (r < 0)
			return r;
	}
	*ret_keys = keys;
	return 0;
}

/* The parameters that a device may have, in the plugin's words. */
static const struct {
	const char *name;
	enum conf_key key;
} parameters[] = {
	{"size", CONF_KEY_SIZE},
	{"algorithm", CONF_KEY_ALGORITHM},
	{"mem-limit", CONF_KEY_MEM_LIMIT},
	{"reserve", CONF_KEY_RESERVE},
	{"filter", CONF_KEY_FILTER},
	{"compact", CONF_KEY_COMPACT},
	{"allocator", CONF_KEY_ALLOCATOR},
	{"lock", CONF_KEY_LOCK},
	{"recompress-age", CONF_KEY_RECOMPRESS_AGE},
	{"recompress-cpu", CONF_KEY_RECOMPRESS_CPU},
	{"writeback", CONF_KEY_WRITEBACK},
	{"writeback-size", CONF_KEY_WRITEBACK_SIZE},
	{"writeback-at", CONF_KEY_WRITEBACK_AT},
	{"writeback-age", CONF_KEY_WRITEBACK_AGE},
	{"writeback-limit", CONF_KEY_WRITEBACK_LIMIT},
};

/* What nobody may say who has nowhere to write to. */
static bool is_of_writeback(enum conf_key key)
{
	return key == CONF_KEY_WRITEBACK || key == CONF_KEY_WRITEBACK_AT ||
	       key == CONF_KEY_WRITEBACK_AGE || key == CONF_KEY_WRITEBACK_LIMIT;
}

/* What the plugin does without being told, it cannot always be told; or a pool that is there says it. */
static bool is_unsaid(const struct conf_device *device, enum conf_key key)
{
	return (key == CONF_KEY_MEM_LIMIT && device->mem_limit == 0) ||
	       (key == CONF_KEY_RECOMPRESS_AGE &&
		device->recompress_age == CONF_DEFAULT_RECOMPRESS_AGE) ||
	       (key == CONF_KEY_RECOMPRESS_CPU &&
		device->recompress_cpu == CONF_DEFAULT_RECOMPRESS_CPU) ||
	       (device->writeback == NULL && is_of_writeback(key)) ||
	       (key == CONF_KEY_WRITEBACK_SIZE && device->writeback_size == 0) ||
	       (key == CONF_KEY_RESERVE && device->reserve == CONF_RESERVE_AUTO) ||
	       (key == CONF_KEY_ALLOCATOR && device->origin[key].text == NULL);
}

static char *make_parameter(const struct conf_device *device, const char *name, enum conf_key key)
{
	char *value, *parameter;
	int r;

	if (conf_print(device, key, &value) < 0)
		return NULL;
	r = asprintf(&parameter, "%s=%s", name, value);
	free(value);
	return r < 0 ? NULL : parameter;
}

int conf_parameters(const struct conf_device *device, char ***ret_parameters)
{
	char **made = calloc(ARRAY_SIZE(parameters) + 1, sizeof(*made));
	size_t count = 0;

	if (made == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		if (is_unsaid(device, parameters[i].key))
			continue;
		made[count] = make_parameter(device, parameters[i].name, parameters[i].key);
		if (made[count++] == NULL) {
			conf_free_parameters(made);
			return -ENOMEM;
		}
	}
	*ret_parameters = made;
	return 0;
}

void conf_free_parameters(char **made)
{
	for (size_t i = 0; made != NULL && made[i] != NULL; i++)
		free(made[i]);
	free(made);
}
