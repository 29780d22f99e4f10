/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/metrics.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "common/util.h"
#include "ctl/ctl.h"

enum unit {
	UNIT_NONE,
	UNIT_BYTES,
	UNIT_SECONDS, /* of nanoseconds */
};

/* A family: the statistic that it shows, and how it is called here, without "zcram_". */
struct family {
	const char *stat;
	const char *name;
	bool counter; /* or else a gauge */
	enum unit unit;
	const char *help;
};

static const struct family families[] = {
	{"reads", "reads", true, UNIT_NONE, "Read requests, also those that failed."},
	{"writes", "writes", true, UNIT_NONE, "Write requests, also those that failed."},
	{"trims", "trims", true, UNIT_NONE, "Trim requests, also those that failed."},
	{"zeroes", "zeroes", true, UNIT_NONE, "Zero requests, also those that failed."},
	{"flushes", "flushes", true, UNIT_NONE, "Flush requests."},
	{"bytes_read", "read_bytes", true, UNIT_BYTES, "Bytes read."},
	{"bytes_written", "written_bytes", true, UNIT_BYTES, "Bytes written."},
	{"failed_reads", "failed_reads", true, UNIT_NONE, "Read requests that failed."},
	{"failed_writes", "failed_writes", true, UNIT_NONE,
	 "Write, trim and zero requests that failed."},
	{"invalid_io", "invalid_requests", true, UNIT_NONE, "Requests outside the device."},
	{"notify_free", "dropped_pages", true, UNIT_NONE,
	 "Pages whose content a trim or zero dropped."},
	{"pages_raw_since", "stored_raw_pages", true, UNIT_NONE,
	 "Pages that were written and stored as they are."},
	{"pages_same", "same_pages", false, UNIT_NONE,
	 "Pages of one repeated word, which take no memory."},
	{"pages_pool", "pool_pages", false, UNIT_NONE, "Pages stored in the pool."},
	{"pages_raw", "raw_pages", false, UNIT_NONE,
	 "Pages in the pool that are stored as they are."},
	{"pages_filter", "filtered_pages", false, UNIT_NONE,
	 "Pages in the pool that were shuffled before they were compressed."},
	{"pages_dict", "dictionary_pages", false, UNIT_NONE,
	 "Pages in the pool that were compressed with a dictionary."},
	{"pages_damaged", "damaged_pages", false, UNIT_NONE,
	 "Pages that cannot be read since the pool was recovered, until they are written."},
	{"pages_backing", "backing_pages", false, UNIT_NONE,
	 "Pages stored in the backing store, and not in the pool."},
	{"payload", "payload_bytes", false, UNIT_BYTES, "Sum of the compressed pages' lengths."},
	{"pool", "pool_bytes", false, UNIT_BYTES,
	 "Memory that holds compressed pages, with what is lost between them."},
	{"pool_max", "pool_max_bytes", false, UNIT_BYTES, "The largest that the pool has been."},
	{"mem_limit", "pool_limit_bytes", false, UNIT_BYTES,
	 "What the pool may grow to; 0: no limit."},
	{"reserve", "reserve_bytes", false, UNIT_BYTES, "Memory kept ready for writes."},
	{"reserve_target", "reserve_target_bytes", false, UNIT_BYTES,
	 "Memory that is to be kept ready for writes."},
	{"metadata", "metadata_bytes", false, UNIT_BYTES, "Memory of the tables."},
	{"streams", "streams_bytes", false, UNIT_BYTES,
	 "Memory that pages are compressed and decompressed with."},
	{"dicts", "dictionaries_bytes", false, UNIT_BYTES, "Memory of the dictionaries."},
	{"objects_compacted", "compacted_objects", true, UNIT_NONE,
	 "Compressed pages moved within their size class."},
	{"pages_compacted", "compacted_pages", true, UNIT_NONE,
	 "Pages of the pool that came free by compaction."},
	{"objects_migrated", "migrated_objects", true, UNIT_NONE,
	 "Compressed pages moved so that an extent came free."},
	{"extents_migrated", "migrated_extents", true, UNIT_NONE,
	 "Extents of 2 MiB that came free by migration."},
	{"refills", "refills", true, UNIT_NONE, "Writes that had to wait for memory."},
	{"compress_ns", "compress_seconds", true, UNIT_SECONDS,
	 "Time spent compressing, estimated."},
	{"decompress_ns", "decompress_seconds", true, UNIT_SECONDS,
	 "Time spent decompressing, estimated."},
	{"stream_waits", "stream_waits", true, UNIT_NONE,
	 "Requests that had to wait until another was done compressing."},
	{"slot_waits", "slot_waits", true, UNIT_NONE,
	 "Requests that had to wait for a page that was in use."},
	{"writes_slowed", "slowed_writes", true, UNIT_NONE,
	 "Requests that had to wait near the limit, or at it."},
	{"slowed_ns", "slowed_seconds", true, UNIT_SECONDS, "Time that these have waited."},
	{"writes_refused", "refused_writes", true, UNIT_NONE,
	 "Requests that failed because the limit was reached."},
	{"recompressed", "recompressed_pages", true, UNIT_NONE,
	 "Pages that were compressed again and take less memory for it."},
	{"recompress_failed", "recompress_failed_pages", true, UNIT_NONE,
	 "Pages that were compressed again and would not take less memory."},
	{"recompress_saved", "recompress_saved_bytes", true, UNIT_BYTES,
	 "Memory saved by compressing again, also of pages that are gone since."},
	{"recompress_ns", "recompress_seconds", true, UNIT_SECONDS,
	 "CPU time spent compressing again."},
	{"payload_backing", "backing_payload_bytes", false, UNIT_BYTES,
	 "Sum of the lengths of the compressed pages in the backing store."},
	{"backing_size", "backing_size_bytes", false, UNIT_BYTES, "Size of the backing store."},
	{"backing_free", "backing_free_bytes", false, UNIT_BYTES,
	 "What is free of the backing store, in whole segments."},
	{"backing_live", "backing_live_bytes", false, UNIT_BYTES,
	 "What pages take of the backing store; the rest of what is not free can be cleaned."},
	{"backing_written", "backing_written_bytes", true, UNIT_BYTES,
	 "Written to the backing store, also by cleaning."},
	{"backing_moved", "backing_moved_objects", true, UNIT_NONE,
	 "Compressed pages that cleaning has moved within the backing store."},
	{"backing_reads", "backing_reads", true, UNIT_NONE,
	 "Compressed pages read from the backing store."},
	{"backing_read_bytes", "backing_read_bytes", true, UNIT_BYTES,
	 "Bytes read from the backing store for them."},
	{"backing_read_errors", "backing_read_errors", true, UNIT_NONE,
	 "Compressed pages that could not be read from the backing store, or were damaged there."},
	{"backing_write_errors", "backing_write_errors", true, UNIT_NONE,
	 "Segments that could not be written to the backing store; their pages stay in the pool."},
	{"written_back", "written_back_pages", true, UNIT_NONE,
	 "Pages written to the backing store."},
	{"written_back_payload", "written_back_payload_bytes", true, UNIT_BYTES,
	 "Sum of their lengths, compressed."},
	{"brought_back", "brought_back_pages", true, UNIT_NONE,
	 "Pages that came back to the pool because they were read again."},
	{"pages_recovered", "recovered_pages", false, UNIT_NONE,
	 "Pages found in the pool of a server before this one."},
	{"generation", "generation", false, UNIT_NONE, "Servers that the pool has outlived."},
};

static void print_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
	fputc('"', out);
}

static void print_head(FILE *out, const char *name, const char *type, enum unit unit,
		       const char *help)
{
	fprintf(out, "# TYPE zcram_%s %s\n", name, type);
	if (unit != UNIT_NONE)
		fprintf(out, "# UNIT zcram_%s %s\n", name,
			unit == UNIT_BYTES ? "bytes" : "seconds");
	fprintf(out, "# HELP zcram_%s %s\n", name, help);
}

/* "zcram_NAME{device="..."} ", to be followed by a value. */
static void print_name(FILE *out, const char *name, const char *suffix,
		       const struct ctl_device *device)
{
	fprintf(out, "zcram_%s%s{", name, suffix);
	print_label(out, "device", device->name);
	fputs("} ", out);
}

/* Where a family's numbers are. */
typedef struct json_object *(*source)(const struct ctl_device *device);

static struct json_object *from_stats(const struct ctl_device *device)
{
	return json_object_object_get(device->stat, "stats");
}

static struct json_object *from_zcramd(const struct ctl_device *device)
{
	return device->zcramd;
}

static void print_family(FILE *out, const struct family *family, const struct ctl_device *devices,
			 size_t count, source get)
{
	print_head(out, family->name, family->counter ? "counter" : "gauge", family->unit,
		   family->help);
	for (size_t i = 0; i < count; i++) {
		struct json_object *value = json_object_object_get(get(&devices[i]), family->stat);
		uint64_t number = json_object_get_uint64(value);

		if (!value)
			continue;
		print_name(out, family->name, family->counter ? "_total" : "", &devices[i]);
		if (family->unit == UNIT_SECONDS)
			fprintf(out, "%" PRIu64 ".%09" PRIu64 "\n", number / 1000000000,
				number % 1000000000);
		else
			fprintf(out, "%" PRIu64 "\n", number);
	}
}

/* What stands beside the statistics in the answer. */
static void print_answer(FILE *out, const struct ctl_device *devices, size_t count)
{
	static const char *const texts[] = {"version", "algorithm", "filter", "compact",
					    "allocator"};

	print_head(out, "device", "info", UNIT_NONE, "Settings of the device.");
	for (size_t i = 0; i < count; i++) {
		if (!devices[i].stat)
			continue;
		fputs("zcram_device_info{", out);
		print_label(out, "device", devices[i].name);
		for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
			fputc(',', out);
			print_label(out, texts[t], ctl_stat_text(devices[i].stat, texts[t]));
		}
		fputs("} 1\n", out);
	}
	print_head(out, "size_bytes", "gauge", UNIT_BYTES, "Size of the device.");
	for (size_t i = 0; i < count; i++) {
		if (!devices[i].stat)
			continue;
		print_name(out, "size_bytes", "", &devices[i]);
		fprintf(out, "%" PRIu64 "\n", ctl_stat_number(devices[i].stat, "size"));
	}
}

/* What zcramd says of the server, which has outlived it, or has been without it. */
static const struct family zcramd_families[] = {
	{"deaths", "server_deaths", true, UNIT_NONE, "Times that the device's server has died."},
	{"restarts", "server_restarts", true, UNIT_NONE,
	 "Times that it was brought back after a death."},
	{"upgrades", "server_upgrades", true, UNIT_NONE,
	 "Times that it was replaced by another one in use."},
};

static void print_zcramd(FILE *out, const struct ctl_device *devices, size_t count)
{
	for (size_t f = 0; f < ARRAY_SIZE(zcramd_families); f++)
		print_family(out, &zcramd_families[f], devices, count, from_zcramd);
	print_head(out, "given_up", "gauge", UNIT_NONE,
		   "Whether the device's server has died too often to be brought back.");
	for (size_t i = 0; i < count; i++) {
		if (!devices[i].zcramd)
			continue;
		print_name(out, "given_up", "", &devices[i]);
		fprintf(out, "%d\n",
			strcmp(ctl_stat_text(devices[i].zcramd, "state"), "given-up") == 0);
	}
}

static void print_ages(FILE *out, const struct ctl_device *devices, size_t count)
{
	print_head(out, "age_pages", "gauge", UNIT_NONE,
		   "Pages in the pool by the seconds that they have not been touched, at least.");
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < ctl_stat_ages(devices[i].stat); k++) {
			fputs("zcram_age_pages{", out);
			print_label(out, "device", devices[i].name);
			fprintf(out, ",class=\"%zu\",seconds=\"%" PRIu64 "\"} %" PRIu64 "\n", k,
				ctl_stat_age(devices[i].stat, k, "seconds"),
				ctl_stat_age(devices[i].stat, k, "pages"));
		}
	}
}

void ctl_metrics_print(FILE *out, const struct ctl_device *devices, size_t count)
{
	print_head(out, "up", "gauge", UNIT_NONE, "Whether the device's server answers.");
	for (size_t i = 0; i < count; i++) {
		print_name(out, "up", "", &devices[i]);
		fprintf(out, "%d\n", devices[i].error == 0);
	}
	print_answer(out, devices, count);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		print_family(out, &families[i], devices, count, from_stats);
	print_ages(out, devices, count);
	print_zcramd(out, devices, count);
	fputs("# EOF\n", out);
}

static int run(struct ctl_args *args)
{
	struct ctl_device *devices;
	int status, failed = CTL_OK;
	size_t count;

	if (ctl_next_option(args) < 0)
		return args->status;
	status = ctl_devices_find(args->operands, args->count, &devices, &count);
	if (status != CTL_OK)
		return status;
	ctl_metrics_print(stdout, devices, count);
	for (size_t i = 0; i < count; i++) {
		if (devices[i].error < 0)
			failed = ctl_device_failed(&devices[i], devices[i].error, devices[i].why);
	}
	ctl_devices_free(devices, count);
	status = ctl_flush();
	return status != CTL_OK ? status : failed;
}

const struct ctl_command ctl_metrics = {
	.name = "metrics",
	.operands = "[DEVICE...]",
	.summary = "statistics as OpenMetrics text, for monitoring",
	.run = run,
};
