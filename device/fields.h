/* SPDX-License-Identifier: BSD-3-Clause */
/* fields: the names of the statistics, in the order of struct device_stats. */
#ifndef ZCRAM_DEVICE_FIELDS_H
#define ZCRAM_DEVICE_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "device/device.h"

struct device_stat_field {
	const char *name;
	size_t offset; /* of its uint64_t in struct device_stats */
};

extern const struct device_stat_field device_stat_fields[];
extern const size_t device_stat_fields_count;

static inline uint64_t device_stat(const struct device_stats *stats,
				   const struct device_stat_field *field)
{
	return *(const uint64_t *)(const void *)((const char *)stats + field->offset);
}

#endif
