/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/fields.h"

#include "common/util.h"

#define FIELD(name)                                        \
	{                                                  \
#name, offsetof(struct device_stats, name) \
	}

const struct device_stat_field device_stat_fields[] = {
	FIELD(reads),
	FIELD(writes),
	FIELD(trims),
	FIELD(zeroes),
	FIELD(flushes),
	FIELD(bytes_read),
	FIELD(bytes_written),
	FIELD(failed_reads),
	FIELD(failed_writes),
	FIELD(invalid_io),
	FIELD(notify_free),
	FIELD(pages_raw_since),
	FIELD(pages_same),
	FIELD(pages_pool),
	FIELD(pages_raw),
	FIELD(pages_filter),
	FIELD(pages_dict),
	FIELD(pages_damaged),
	FIELD(pages_backing),
	FIELD(payload),
	FIELD(pool),
	FIELD(pool_max),
	FIELD(mem_limit),
	FIELD(reserve),
	FIELD(reserve_target),
	FIELD(metadata),
	FIELD(streams),
	FIELD(dicts),
	FIELD(objects_compacted),
	FIELD(pages_compacted),
	FIELD(objects_migrated),
	FIELD(extents_migrated),
	FIELD(refills),
	FIELD(compress_ns),
	FIELD(decompress_ns),
	FIELD(stream_waits),
	FIELD(slot_waits),
	FIELD(writes_slowed),
	FIELD(slowed_ns),
	FIELD(writes_refused),
	FIELD(recompressed),
	FIELD(recompress_failed),
	FIELD(recompress_saved),
	FIELD(recompress_ns),
	FIELD(payload_backing),
	FIELD(backing_size),
	FIELD(backing_free),
	FIELD(backing_live),
	FIELD(backing_written),
	FIELD(backing_moved),
	FIELD(backing_reads),
	FIELD(backing_read_bytes),
	FIELD(backing_read_errors),
	FIELD(backing_write_errors),
	FIELD(written_back),
	FIELD(written_back_payload),
	FIELD(brought_back),
	FIELD(pages_recovered),
	FIELD(generation),
};

const size_t device_stat_fields_count = ARRAY_SIZE(device_stat_fields);

/* A field of struct device_stats that has no name is one that was forgotten above. */
_Static_assert(ARRAY_SIZE(device_stat_fields) * sizeof(uint64_t) == sizeof(struct device_stats),
	       "every statistic has its name");
