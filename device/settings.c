/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/settings.h"

#include <errno.h>
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

static int set_algorithm(struct device_settings *settings, const char *value,
			 char why[SETTINGS_WHY_SIZE])
{
	struct codec_method method;
	int r = codec_algorithm_read(value, &method, why, SETTINGS_WHY_SIZE);

	/* Which would mean that there is no such key. */
	if (r < 0)
		return r == -ENOENT ? -EINVAL : r;
	method.filter = settings->method.filter; /* a setting of its own */
	settings->method = method;
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
		{"mem-limit", set_mem_limit},
	};

	for (size_t i = 0; i < ARRAY_SIZE(setters); i++)
		if (strcmp(key, setters[i].key) == 0)
			return setters[i].set(settings, value, why);
	return -ENOENT;
}

void settings_algorithm(const struct codec_method *method, char text[SETTINGS_ALGORITHM_SIZE])
{
	snprintf(text, SETTINGS_ALGORITHM_SIZE, "%s(level=%d)", codec_name(method->id),
		 method->level);
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
