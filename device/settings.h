/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settings: what can change in use, as a user writes it: on the command line, and later.
 *
 * Pure functions: nothing here allocates, blocks or logs.
 */
#ifndef ZCRAM_DEVICE_SETTINGS_H
#define ZCRAM_DEVICE_SETTINGS_H

#include <stddef.h>

#include "device/device.h"

#define SETTINGS_WHY_SIZE	192
#define SETTINGS_ALGORITHM_SIZE 192

/*
 * Change one setting. KEY is algorithm, filter, compact, recompress-age, recompress-cpu or mem-limit
 * (bytes; 0 is taken too, and any other number: whether it is enough is for the caller to say, who knows
 * what else there is).
 * -ENOENT: it is none of these. -EINVAL, -ERANGE: the value is not allowed; WHY says what is wrong
 * and what is allowed, to be printed behind "key=value: ". SETTINGS is then as before.
 */
int settings_set(struct device_settings *settings, const char *key, const char *value,
		 char why[SETTINGS_WHY_SIZE]);

/* The methods as algorithm is written, "lz4(level=1) zstd(level=6) (type=idle)", to TEXT. */
void settings_algorithm(const struct device_settings *settings, char text[SETTINGS_ALGORITHM_SIZE]);

/*
 * The filter of the methods that pages are compressed again by, where FILTER is the setting: there is time
 * to try both ways.
 */
static inline enum codec_filter settings_cold_filter(enum codec_filter filter)
{
	return filter == CODEC_FILTER_NONE ? CODEC_FILTER_NONE : CODEC_FILTER_TRY;
}

/* The other two, as they are written: constants. */
const char *settings_filter(const struct device_settings *settings);
const char *settings_compact(const struct device_settings *settings);

#endif
