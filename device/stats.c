/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics and validation: the sums, and whether they are those of the slots. */
#include <errno.h>
#include <string.h>

#include "device/store.h"

/* Every counter is 64 bits, so they are added up without being named. */
#define NR_COUNTERS (sizeof(struct counters) / sizeof(uint64_t))

static void add_counters(uint64_t sums[NR_COUNTERS], const struct counters *counters)
{
	const uint64_t *part = (const uint64_t *)(const void *)counters;

	for (size_t k = 0; k < NR_COUNTERS; k++)
		sums[k] += load_relaxed(&part[k]);
}

static struct counters sum_counters(struct device *d)
{
	const struct writeback *w = device_writeback_of(d);
	uint64_t sums[NR_COUNTERS] = {0};
	struct counters total;

	for (unsigned int i = 0; i < d->nr_streams; i++)
		add_counters(sums, &d->streams[i].counters);
	add_counters(sums, &d->background_counters);
	if (w)
		add_counters(sums, writeback_counters(w));
	memcpy(&total, sums, sizeof(total));
	return total;
}

static void pool_stats(struct device *d, struct device_stats *ret)
{
	struct zs_stats zs;

	zs_get_stats(d->pool, &zs);
	ret->pool = zs.pool;
	ret->pool_max = zs.pool_max;
	ret->reserve = zs.reserve;
	ret->reserve_target = zs.reserve_target;
	ret->metadata = zs.metadata;
	ret->objects_compacted = zs.objects_compacted;
	ret->pages_compacted = zs.pages_compacted;
	ret->objects_migrated = zs.objects_migrated;
	ret->extents_migrated = zs.extents_migrated;
	ret->refills = zs.refills;
}

void device_get_stats(struct device *d, struct device_stats *ret_stats)
{
	struct counters c = sum_counters(d);
	uint64_t leaves;

	*ret_stats = (struct device_stats){
		.reads = c.reads,
		.writes = c.writes,
		.trims = c.trims,
		.zeroes = c.zeroes,
		.flushes = c.flushes,
		.bytes_read = c.bytes_read,
		.bytes_written = c.bytes_written,
		.failed_reads = c.failed_reads,
		.failed_writes = c.failed_writes,
		.invalid_io = load_relaxed(&d->invalid_io),
		.notify_free = c.notify_free,
		.pages_raw_since = c.raw_since,
		.pages_same = (uint64_t)c.same,
		.pages_pool = (uint64_t)c.pool,
		.pages_raw = (uint64_t)c.raw,
		.pages_filter = (uint64_t)c.filter,
		.pages_dict = (uint64_t)(c.dict[0] + c.dict[1] + c.dict[2]),
		.pages_damaged = (uint64_t)c.damaged,
		.pages_backing = (uint64_t)c.backed,
		.payload = (uint64_t)c.payload,
		.payload_backing = (uint64_t)c.backed_payload,
		.mem_limit = load_relaxed(&d->mem_limit),
		.dicts = load_relaxed(&d->dicts.memory),
		.compress_ns = c.compress_ns,
		.decompress_ns = c.decompress_ns,
		.stream_waits = c.stream_waits,
		.slot_waits = c.slot_waits,
		.writes_slowed = c.writes_slowed,
		.slowed_ns = c.slowed_ns,
		.writes_refused = c.writes_refused,
		.recompressed = c.recompressed,
		.recompress_failed = c.recompress_failed,
		.recompress_saved = c.recompress_saved,
		.recompress_ns = load_relaxed(&d->background.cpu_ns),
		.written_back = c.written_back,
		.written_back_payload = c.written_back_payload,
		.brought_back = c.brought_back,
		.pages_recovered = d->recovery.pages,
		.generation = d->header ? load_relaxed(&d->header->generation) : 0,
	};
	pool_stats(d, ret_stats);
	writeback_get_stats(device_writeback_of(d), ret_stats);
	leaves = load_relaxed(&d->prefaulted) ? d->nr_leaves : load_relaxed(&d->leaves_ready);
	ret_stats->metadata += leaves * DEVICE_PAGE_SIZE + sizeof(*d) +
			       div_round_up(d->nr_leaves, 64) * sizeof(uint64_t);
	for (unsigned int i = 0; i < d->nr_streams; i++)
		ret_stats->streams += load_relaxed(&d->streams[i].memory);
	ret_stats->streams += load_relaxed(&d->background.memory);
}

int device_get_map(struct device *d, unsigned int cells, uint8_t *ret_live, uint8_t *ret_held)
{
	return cells > 0 ? zs_map(d->pool, cells, ret_live, ret_held) : -EINVAL;
}

/* Does the slot name the cell? Asked under the cell's class lock: it stays where it is. */
static bool names(void *opaque, uint32_t page, zs_ref ref)
{
	struct device *d = opaque;
	slot_word word;

	if (page >= d->pages || !leaf_ready(d, page))
		return false;
	word = slot_peek(&d->slots[page]);
	return slot_state(word) == SLOT_POOL && slot_ref(word) == ref;
}

static void count_generation(struct counters *c, uint8_t encoding)
{
	if (codec_encoding_generation(encoding) > 0)
		c->dict[codec_encoding_generation(encoding) - 1]++;
}

static void count_backed(struct counters *c, struct backing_object object, uint64_t *live)
{
	c->backed++;
	c->backed_payload += object.len;
	count_generation(c, object.encoding);
	*live += backing_record_size(object.len);
}

/* What the slots say, for comparison with what has been counted. RET_LIVE: bytes of the backing store. */
static struct counters count_slots(struct device *d, uint64_t *ret_live)
{
	struct counters c = {0};

	*ret_live = 0;
	for (uint64_t page = 0; page < d->pages; page++) {
		slot_word word = leaf_ready(d, page) ? slot_peek(&d->slots[page]) : 0;

		c.same += slot_state(word) == SLOT_SAME;
		c.damaged += word == SLOT_DAMAGED;
		if (slot_is_backed(word))
			count_backed(&c, slot_object(word, page), ret_live);
		if (slot_state(word) != SLOT_POOL)
			continue;
		c.pool++;
		c.payload += (int64_t)slot_len(word);
		c.raw += codec_encoding_id(slot_encoding(word)) == CODEC_RAW;
		c.filter += codec_encoding_filtered(slot_encoding(word));
		count_generation(&c, slot_encoding(word));
	}
	return c;
}

static const char *check_counts(struct device *d, uint64_t *ret_live)
{
	struct counters seen = count_slots(d, ret_live), counted = sum_counters(d);

	if (seen.pool != counted.pool || seen.same != counted.same)
		return "slots: pages in the pool or of one word are miscounted";
	if (seen.damaged != counted.damaged)
		return "slots: damaged pages are miscounted";
	if (seen.backed != counted.backed || seen.backed_payload != counted.backed_payload)
		return "slots: pages in the backing store are miscounted";
	if (seen.payload != counted.payload)
		return "slots: payload is miscounted";
	if (seen.raw != counted.raw || seen.filter != counted.filter)
		return "slots: raw or filtered pages are miscounted";
	if (memcmp(seen.dict, counted.dict, sizeof(seen.dict)) != 0)
		return "slots: pages of a dictionary are miscounted";
	for (unsigned int i = 0; i < DICT_GENERATIONS; i++)
		if (seen.dict[i] > 0 && !dict_table_get(&d->dicts.table, i + 1))
			return "slots: there is no such dictionary as one names";
	if (zs_objects(d->pool) != (uint64_t)seen.pool)
		return "pool: there are more or fewer objects than slots that name one";
	return NULL;
}

int device_validate(struct device *d, const char **ret_error)
{
	uint64_t live;
	int r;

	writeback_quiesce(d->writeback);
	pthread_mutex_lock(&d->background.place_lock);
	r = zs_validate(d->pool, names, d, ret_error);
	if (r == 0) {
		*ret_error = check_counts(d, &live);
		r = *ret_error ? -EUCLEAN : 0;
	}
	if (r == 0)
		r = writeback_validate(d->writeback, live, ret_error);
	pthread_mutex_unlock(&d->background.place_lock);
	writeback_resume(d->writeback);
	return r;
}
