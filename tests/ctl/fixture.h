/* SPDX-License-Identifier: BSD-3-Clause */
/* A device as its server would describe it, without a server. */
#ifndef ZCRAM_TESTS_CTL_FIXTURE_H
#define ZCRAM_TESTS_CTL_FIXTURE_H

#include <json-c/json.h>

#include "ctl/devices.h"
#include "device/fields.h"

/* What "stat" answers, every statistic being FIRST plus its place among them. */
static inline struct json_object *fixture_stat(uint64_t first)
{
	struct json_object *stat = json_object_new_object(), *stats = json_object_new_object();

	for (size_t i = 0; i < device_stat_fields_count; i++)
		json_object_object_add(stats, device_stat_fields[i].name,
				       json_object_new_uint64(first + i));
	json_object_object_add(stat, "version", json_object_new_string("1.2.3"));
	json_object_object_add(stat, "size", json_object_new_uint64(UINT64_C(1) << 30));
	json_object_object_add(stat, "algorithm", json_object_new_string("zstd(level=1)"));
	json_object_object_add(stat, "filter", json_object_new_string("auto"));
	json_object_object_add(stat, "compact", json_object_new_string("off"));
	json_object_object_add(stat, "allocator", json_object_new_string("zbud"));
	json_object_object_add(stat, "mem-limit", json_object_new_uint64(0));
	json_object_object_add(stat, "streams", json_object_new_uint64(4));
	json_object_object_add(stat, "stats", stats);
	json_object_object_add(stat, "ages",
			       json_tokener_parse("[{\"seconds\":0,\"pages\":1},"
						  "{\"seconds\":16,\"pages\":7},"
						  "{\"seconds\":2000,\"pages\":2}]"));
	return stat;
}

#endif
