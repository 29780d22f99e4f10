/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codec/algorithm.h"
#include "common/util.h"
#include "config/config.h"

static int refuse(char why[SETTINGS_WHY_SIZE], const char *text, int r)
{
	snprintf(why, SETTINGS_WHY_SIZE, "%s", text);
	return r;
}

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

static int set_filter(struct device_settings *settings, const char *value,
		      char why[SETTINGS_WHY_SIZE])
{
	const char *text;
	int filter;
	int r = conf_parse_choice(&conf_filter_choice, value, &filter, &text);

	if (r < 0)
		return refuse(why, text, r);
	settings->method.filter =
		filter == CONF_FILTER_AUTO ? CODEC_FILTER_AUTO : CODEC_FILTER_NONE;
	for (unsigned int i = 0; i < settings->cold.methods_count; i++)
		settings->cold.methods[i].filter = settings_cold_filter(settings->method.filter);
	return 0;
}

static int set_compact(struct device_settings *settings, const char *value,
		       char why[SETTINGS_WHY_SIZE])
{
	const char *text;
	int compact;
	int r = conf_parse_choice(&conf_compact_choice, value, &compact, &text);

	if (r < 0)
		return refuse(why, text, r);
	settings->auto_compact = compact == CONF_COMPACT_AUTO;
	return 0;
}

static int set_recompress_age(struct device_settings *settings, const char *value,
			      char why[SETTINGS_WHY_SIZE])
{
	const char *text;
	int r = conf_parse_recompress_age(value, &settings->cold.age, &text);

	return r < 0 ? refuse(why, text, r) : 0;
}

static int set_recompress_cpu(struct device_settings *settings, const char *value,
			      char why[SETTINGS_WHY_SIZE])
{
	const char *text;
	int r = conf_parse_recompress_cpu(value, &settings->cold.cpu, &text);

	return r < 0 ? refuse(why, text, r) : 0;
}

static int set_writeback_at(struct device_settings *settings, const char *value,
			    char why[SETTINGS_WHY_SIZE])
{
	const char *text;
	int r = conf_parse_writeback_at(value, &settings->writeback.at, &text);

	return r < 0 ? refuse(why, text, r) : 0;
}

static int set_writeback_age(struct device_settings *settings, const char *value,
			     char why[SETTINGS_WHY_SIZE])
{
	const char *text;
	int r = conf_parse_recompress_age(value, &settings->writeback.age, &text);

	return r < 0 ? refuse(why, text, r) : 0;
}

static int set_writeback_limit(struct device_settings *settings, const char *value,
			       char why[SETTINGS_WHY_SIZE])
{
	const char *text;
	int r = conf_parse_size(value, &settings->writeback.limit, &text);

	return r < 0 ? refuse(why, text, r) : 0;
}

static int set_mem_limit(struct device_settings *settings, const char *value,
			 char why[SETTINGS_WHY_SIZE])
{
	const char *text;
	int r = conf_parse_size(value, &settings->mem_limit, &text);

	return r < 0 ? refuse(why, text, r) : 0;
}

int settings_set(struct device_settings *settings, const char *key, const char *value,
		 char why[SETTINGS_WHY_SIZE])
{
	static const struct {
		const char *key;
		int (*set)(struct device_settings *settings, const char *value, char *why);
	} setters[] = {
		{"algorithm", set_algorithm},
		{"filter", set_filter},
		{"compact", set_compact},
		{"recompress-age", set_recompress_age},
		{"recompress-cpu", set_recompress_cpu},
		{"writeback-at", set_writeback_at},
		{"writeback-age", set_writeback_age},
		{"writeback-limit", set_writeback_limit},
		{"mem-limit", set_mem_limit},
	};

	for (size_t i = 0; i < ARRAY_SIZE(setters); i++)
		if (strcmp(key, setters[i].key) == 0)
			return setters[i].set(settings, value, why);
	return -ENOENT;
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
