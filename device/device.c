/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/os.h"
#include "device/device-types.h"

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
		new = slot_moved(word, to);
	}
	slot_unlock(slot, slot_parking(d, page), new);
	return ours;
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
	struct zs_options o = {
		.max_bytes = d->pages * DEVICE_PAGE_SIZE,
		.limit = options->mem_limit,
		.reserve = options->reserve,
		.auto_compact = options->auto_compact,
		.owner = {.relocate = relocate, .opaque = d},
	};

	return zs_pool_new(&o, &d->pool);
}

static int new_table(struct device *d)
{
	uint64_t bytes = align_up(d->pages * sizeof(slot_word), DEVICE_PAGE_SIZE);
	void *slots;
	int r;

	d->nr_leaves = bytes / DEVICE_PAGE_SIZE;
	d->leaves = calloc(div_round_up(d->nr_leaves, 64), sizeof(uint64_t));
	if (!d->leaves)
		return -ENOMEM;
	r = os_reserve(bytes, &slots);
	if (r < 0)
		return r;
	d->slots = slots;
	d->slots_bytes = bytes;
	return 0;
}

int device_new(const struct device_options *options, struct device **ret_device)
{
	struct device *d;
	void *memory;
	int r;

	if (options->size > device_max_size())
		return -E2BIG;
	if (options->size == 0 || (options->mem_limit && options->mem_limit < device_min_limit()))
		return -EINVAL;
	if (posix_memalign(&memory, CACHE_LINE, sizeof(*d)) != 0)
		return -ENOMEM;
	d = memset(memory, 0, sizeof(*d));
	d->size = options->size;
	d->pages = div_round_up(options->size, DEVICE_PAGE_SIZE);
	d->mem_limit = options->mem_limit;
	words_init(&d->words);
	r = new_table(d);
	if (r == 0)
		r = new_pool(d, options);
	if (r == 0)
		r = streams_new(d, options);
	if (r < 0) {
		device_free(d);
		return r;
	}
	*ret_device = d;
	return 0;
}

void device_free(struct device *d)
{
	if (!d)
		return;
	zs_pool_free(d->pool);
	streams_free(d);
	os_unreserve(d->slots, d->slots_bytes);
	free(d->leaves);
	free(d);
}

int device_start(struct device *d)
{
	return zs_pool_start(d->pool);
}

void device_stop(struct device *d)
{
	zs_pool_stop(d->pool);
}

uint64_t device_size(const struct device *d)
{
	return d->size;
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
