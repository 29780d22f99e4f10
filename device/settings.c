/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codec/algorithm.h"
#include "config/config.h"

/* By enum conf_cold. */
static const enum device_cold_type cold_types[] = {
	[CONF_COLD_IDLE] = DEVICE_COLD_IDLE,
	[CONF_COLD_HUGE] = DEVICE_COLD_HUGE,
	[CONF_COLD_HUGE_IDLE] = DEVICE_COLD_HUGE_IDLE,
};

_Static_assert(CONF_ALGORITHMS_MAX == DEVICE_COLD_METHODS + 1, "the first, and the others");

static int set_algorithm(struct device_settings *settings, const char *value,
			 char why[SETTINGS_WHY_SIZE])
{
	struct codec_method methods[CONF_ALGORITHMS_MAX];
	struct conf_algorithms algorithms;
	int r = codec_algorithms_read(value, &algorithms, methods, why, SETTINGS_WHY_SIZE);

	/* Which would mean that there is no such key. */
	if (r < 0)
		return r == -ENOENT ? -EINVAL : r;
	methods[0].filter = settings->method.filter; /* a setting of its own */
	for (unsigned int i = 1; i < algorithms.count; i++)
		methods[i].filter = settings_cold_filter(settings->method.filter);
	settings->method = methods[0];
	settings->cold.methods_count = algorithms.count - 1;
	for (unsigned int i = 1; i < algorithms.count; i++)
		settings->cold.methods[i - 1] = methods[i];
	settings->cold.type = cold_types[algorithms.cold];
	settings->cold.threshold = algorithms.threshold;
	return 0;
}

static int set_filter(struct device_settings *settings, const char *value, const char **ret_why)
{
	int filter;
	int r = conf_parse_choice(&conf_filter_choice, value, &filter, ret_why);

	if (r < 0)
		return r;
	settings->method.filter =
		filter == CONF_FILTER_AUTO ? CODEC_FILTER_AUTO : CODEC_FILTER_NONE;
	for (unsigned int i = 0; i < settings->cold.methods_count; i++)
		settings->cold.methods[i].filter = settings_cold_filter(settings->method.filter);
	return 0;
}

static int set_compact(struct device_settings *settings, const char *value, const char **ret_why)
{
	int compact;
	int r = conf_parse_choice(&conf_compact_choice, value, &compact, ret_why);

	if (r == 0)
		settings->auto_compact = compact == CONF_COMPACT_AUTO;
	return r;
}

/* All but algorithm. */
static int set_one(struct device_settings *settings, const char *key, const char *value,
		   const char **ret_why)
{
	struct device_policy *writeback = &settings->writeback;

	if (strcmp(key, "filter") == 0)
		return set_filter(settings, value, ret_why);
	if (strcmp(key, "compact") == 0)
		return set_compact(settings, value, ret_why);
	if (strcmp(key, "recompress-age") == 0)
		return conf_parse_recompress_age(value, &settings->cold.age, ret_why);
	if (strcmp(key, "recompress-cpu") == 0)
		return conf_parse_recompress_cpu(value, &settings->cold.cpu, ret_why);
	if (strcmp(key, "writeback-at") == 0)
		return conf_parse_writeback_at(value, &writeback->at, ret_why);
	if (strcmp(key, "writeback-age") == 0)
		return conf_parse_recompress_age(value, &writeback->age, ret_why);
	if (strcmp(key, "writeback-limit") == 0)
		return conf_parse_size(value, &writeback->limit, ret_why);
	if (strcmp(key, "mem-limit") == 0)
		return conf_parse_size(value, &settings->mem_limit, ret_why);
	return -ENOENT;
}

int settings_set(struct device_settings *settings, const char *key, const char *value,
		 char why[SETTINGS_WHY_SIZE])
{
	const char *text = "";
	int r;

	if (strcmp(key, "algorithm") == 0)
		return set_algorithm(settings, value, why);
	r = set_one(settings, key, value, &text);
	if (r < 0)
		snprintf(why, SETTINGS_WHY_SIZE, "%s", text);
	return r;
}

static size_t print_method(const struct codec_method *method, char *text, size_t size)
{
	return (size_t)snprintf(text, size, "%s(level=%d)", codec_name(method->id), method->level);
}

void settings_algorithm(const struct device_settings *settings, char text[SETTINGS_ALGORITHM_SIZE])
{
	const struct device_cold *cold = &settings->cold;
	size_t size = SETTINGS_ALGORITHM_SIZE;
	size_t len = print_method(&settings->method, text, size);

	if (cold->methods_count == 0)
		return;
	for (unsigned int i = 0; i < cold->methods_count; i++) {
		text[len++] = ' ';
		len += print_method(&cold->methods[i], text + len, size - len);
	}
	for (int i = 0; i <= CONF_COLD_HUGE_IDLE; i++)
		if (cold_types[i] == cold->type)
			len += (size_t)snprintf(text + len, size - len, " (type=%s",
						conf_cold_choice.words[i]);
	if (cold->threshold > 0)
		len += (size_t)snprintf(text + len, size - len, ",threshold=%" PRIu64,
					cold->threshold);
	snprintf(text + len, size - len, ")");
}

const char *settings_filter(const struct device_settings *settings)
{
	return conf_filter_choice
		.words[settings->method.filter == CODEC_FILTER_AUTO ? CONF_FILTER_AUTO
								    : CONF_FILTER_NONE];
}

const char *settings_compact(const struct device_settings *settings)
{
	return conf_compact_choice
		.words[settings->auto_compact ? CONF_COMPACT_AUTO : CONF_COMPACT_OFF];
}
