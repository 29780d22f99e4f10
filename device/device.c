/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/os.h"
#include "common/step.h"
#include "device/device-types.h"
#include "device/recompress.h"
#include "device/store.h"

/*
 * Called by the pool's movers, under a class lock: only ever try. The slot's word is what decides
 * whether the object is still there, and nothing else.
 */
static bool relocate(void *opaque, uint32_t page, zs_ref from, zs_ref to)
{
	struct device *d = opaque;
	slot_word *slot = &d->slots[page], word, new;
	bool ours;

	if (!slot_trylock(slot, &word))
		return false;
	ours = slot_state(word) == SLOT_POOL && slot_ref(word) == from;
	new = word;
	if (ours) {
		size_t len = slot_len(word);

		memcpy(zs_payload(d->pool, to, len), zs_payload(d->pool, from, len), len);
		STEP("move: copied");
		new = slot_moved(word, to);
	}
	slot_unlock(slot, slot_parking(d, page), new);
	if (ours)
		STEP("move: swapped");
	return ours;
}

/* Under a class lock too; one look at the slot, whether it is locked or not. */
static size_t length(void *opaque, uint32_t page, zs_ref ref)
{
	struct device *d = opaque;
	slot_word word = slot_peek(&d->slots[page]);

	return slot_state(word) == SLOT_POOL && slot_ref(word) == ref ? slot_len(word) : 0;
}

static uint64_t served(void *opaque)
{
	const struct device *d = opaque;
	uint64_t n = 0;

	for (unsigned int i = 0; i < d->nr_streams; i++) {
		const struct counters *c = &d->streams[i].counters;

		n += load_relaxed(&c->reads) + load_relaxed(&c->writes) + load_relaxed(&c->trims) +
		     load_relaxed(&c->zeroes);
	}
	return n;
}

uint64_t device_max_size(void)
{
	uint64_t by_owner = (uint64_t)ZS_OWNER_MAX * DEVICE_PAGE_SIZE;

	return min_u64(by_owner, zs_max_bytes());
}

uint64_t device_min_limit(void)
{
	return zs_min_limit();
}

static int new_pool(struct device *d, const struct device_options *options)
{
	struct zs_store store;
	struct zs_options o = {
		.kind = options->allocator,
		.max_bytes = d->pages * DEVICE_PAGE_SIZE,
		.limit = options->mem_limit,
		.reserve = options->reserve,
		.auto_compact = options->auto_compact,
		.ahead = options->ahead,
		.owner = {.relocate = relocate, .length = length, .served = served, .opaque = d},
	};

	if (d->header) {
		store = store_pool(d->header);
		o.store = &store;
	}
	return zs_pool_new(&o, &d->pool);
}

static int new_table(struct device *d)
{
	uint64_t bytes = align_up(d->pages * sizeof(slot_word), DEVICE_PAGE_SIZE);
	void *slots;
	int r;

	d->nr_leaves = bytes / DEVICE_PAGE_SIZE;
	d->slots_bytes = bytes;
	if (d->header) {
		d->leaves = store_leaves(d->header);
		d->slots = store_slots(d->header);
		return 0;
	}
	d->leaves = calloc(div_round_up(d->nr_leaves, 64), sizeof(uint64_t));
	if (!d->leaves)
		return -ENOMEM;
	r = os_reserve(bytes, &slots);
	if (r < 0)
		return r;
	d->slots = slots;
	return 0;
}

/* A store is recognised, or made, before anything else is; what does not match is left alone. */
static int new_store(struct device *d, const struct device_options *options)
{
	struct device_store_info info;
	const char *why;
	int r;

	if (!options->store)
		return 0;
	r = device_store_inspect(options->store, options->store_size, &info, &why);
	if (r == -ENODATA && !options->ahead &&
	    options->store_size == device_store_size(options->size)) {
		r = store_format(options->store, options->size, options->allocator);
	} else if (r == 0 || r == -ENODATA) {
		if (info.device_size != options->size || r < 0 ||
		    info.allocator != options->allocator)
			return -EINVAL;
		d->recovery.recovered = true;
	}
	if (r == 0)
		d->header = options->store;
	return r;
}

static int new_recompressor(struct device *d, const struct device_cold *cold)
{
	struct recompress_rule rule = recompress_rule_of(cold);
	struct recompressor *recompressor;
	int r = cold_check(cold);

	/* By what methods the server before this one has tried, nobody knows. */
	rule.again = d->recovery.recovered;
	if (r == 0)
		r = recompressor_new(d, cold, &rule, &recompressor);
	if (r == 0)
		background_set(d, recompressor);
	return r;
}

int device_new(const struct device_options *options, struct device **ret_device)
{
	struct device *d;
	void *memory;
	int r;

	if (options->size > device_max_size())
		return -E2BIG;
	if (options->size == 0 || options->allocator >= ZS_KINDS ||
	    (options->mem_limit && options->mem_limit < device_min_limit()))
		return -EINVAL;
	if (posix_memalign(&memory, CACHE_LINE, sizeof(*d)) != 0)
		return -ENOMEM;
	d = memset(memory, 0, sizeof(*d));
	d->size = options->size;
	d->pages = div_round_up(options->size, DEVICE_PAGE_SIZE);
	d->mem_limit = options->mem_limit;
	d->allocator = options->allocator;
	d->settings = (struct device_settings){
		.mem_limit = options->mem_limit,
		.auto_compact = options->auto_compact,
		.method = options->method,
		.cold = options->cold,
		.writeback = options->writeback,
	};
	pthread_mutex_init(&d->settings_lock, NULL);
	ages_init(&d->ages);
	limit_init(&d->limit);
	background_init(&d->background);
	r = new_store(d, options);
	if (r == 0)
		r = words_init(&d->words, d->header ? store_words(d->header) : NULL);
	if (r == 0)
		r = new_table(d);
	if (r == 0)
		r = new_pool(d, options);
	if (r == 0)
		r = streams_new(d, options);
	policy_set(&d->policy, &options->writeback);
	if (r == 0)
		r = policy_check(&options->writeback);
	if (r == 0)
		r = new_recompressor(d, &options->cold);
	if (r == 0 && d->recovery.recovered && !options->ahead)
		r = device_recover(d);
	if (r < 0) {
		device_free(d);
		return r;
	}
	*ret_device = d;
	return 0;
}

int device_take_over(struct device *d)
{
	return device_recover(d);
}

void device_free(struct device *d)
{
	if (!d)
		return;
	background_fini(&d->background);
	writeback_close(d->writeback);
	writeback_close(d->writeback_ahead);
	seek_free(d->seek);
	zs_pool_free(d->pool);
	streams_free(d);
	dicts_free(d);
	words_fini(&d->words);
	ages_fini(&d->ages);
	if (!d->header) {
		os_unreserve(d->slots, d->slots_bytes);
		free(d->leaves);
	}
	free(d);
}

int device_start(struct device *d)
{
	int r = zs_pool_start(d->pool);

	if (r < 0)
		return r;
	r = background_start(d);
	if (r == 0)
		r = limit_start(d);
	if (r == 0)
		r = policy_start(d);
	if (r < 0)
		device_stop(d);
	return r;
}

/* In steps, so that memory is not looked for under one hold of the process's map. */
#define PREFAULT_STEP (UINT64_C(2) << 20)

static int prefault_table(struct device *d)
{
	uint64_t step;
	int r = 0;

	for (uint64_t at = 0; at < d->slots_bytes && r == 0; at += step) {
		step = min_u64(PREFAULT_STEP, d->slots_bytes - at);
		r = os_commit((char *)d->slots + at, step);
	}
	if (r == 0)
		__atomic_store_n(&d->prefaulted, 1, __ATOMIC_RELEASE);
	return r;
}

/* What compresses: streams, the recompressor, and the dictionaries that there are. */
static int prefault_codecs(struct device *d)
{
	int r;

	pthread_mutex_lock(&d->settings_lock);
	r = streams_prefault(d);
	if (r == 0)
		r = background_prefault(d);
	if (r == 0)
		r = dicts_prefault(d);
	pthread_mutex_unlock(&d->settings_lock);
	return r;
}

int device_prefault(struct device *d)
{
	int r = prefault_table(d);

	if (r == 0)
		r = os_prefault(d, sizeof(*d));
	if (r == 0)
		r = os_prefault(d->leaves, div_round_up(d->nr_leaves, 64) * sizeof(uint64_t));
	if (r == 0)
		r = os_prefault(d->words.word, WORDS_ENTRIES * sizeof(*d->words.word));
	if (r == 0 && d->header)
		r = os_prefault(d->header, sizeof(*d->header));
	if (r == 0)
		r = zs_prefault(d->pool);
	return r < 0 ? r : prefault_codecs(d);
}

int device_prefault_ahead(struct device *d)
{
	int r = os_prefault(d, sizeof(*d));

	/* All but the arena, of which the pool knows how far it goes. */
	if (r == 0)
		r = os_map_resident(d->header, d->header->layout.arena);
	if (r == 0)
		r = zs_prefault_ahead(d->pool);
	return r < 0 ? r : prefault_codecs(d);
}

void device_stop_background(struct device *d)
{
	policy_stop(d);
	background_stop(d);
}

void device_stop(struct device *d)
{
	policy_stop(d);
	limit_stop(d);
	background_stop(d);
	zs_pool_stop(d->pool);
}

uint64_t device_size(const struct device *d)
{
	return d->size;
}

unsigned int device_streams(const struct device *d)
{
	return d->nr_streams;
}

enum zs_kind device_allocator(const struct device *d)
{
	return d->allocator;
}

int device_check(struct device *d, uint64_t offset, uint64_t count)
{
	if (likely(offset <= d->size && count <= d->size - offset))
		return 0;
	add_relaxed(&d->invalid_io, 1);
	return -EINVAL;
}

int device_compact(struct device *d)
{
	zs_compact(d->pool);
	return 0;
}
