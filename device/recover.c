/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery: a device out of what another process has left in the store.
 *
 *	1. dictionaries whose checksum is right; zspages of the tags	zs_recover_zspages()
 *	2. every slot by itself: lock bits are cleared, what cannot be true is damaged
 *	3. every cell: it is its owner's if the slot names it; the slot is locked, as a mark
 *	4. every slot again: one in the pool that no cell has marked is damaged; marks are cleared
 *
 * so that a slot is believed exactly if the cell that it names says that it is the slot's. All of it
 * can be done again from any point: nothing that is believed is changed but for lock bits, and a
 * slot that is damaged once would be so again, for 1 and 3 change no cell that a slot names and that
 * names the slot. One thread, no requests: plain stores would do, but who is killed here leaves what
 * the next one finds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/os.h"
#include "common/step.h"
#include "device/store.h"

/* Leaves that the kernel is asked about at a time. */
#define LEAVES_AT_ONCE 4096

/* Leaves are in use that were, or that have memory for whatever reason. */
static int find_leaves(struct device *d)
{
	uint8_t resident[LEAVES_AT_ONCE];

	for (uint64_t at = 0; at < d->nr_leaves; at += LEAVES_AT_ONCE) {
		uint64_t n = min_u64(LEAVES_AT_ONCE, d->nr_leaves - at);
		int r = os_resident(&d->slots[at * SLOTS_PER_LEAF], n * DEVICE_PAGE_SIZE, resident);

		if (r < 0)
			return r;
		for (uint64_t i = 0; i < n; i++)
			if (resident[i] & 1)
				d->leaves[(at + i) / 64] |= UINT64_C(1) << ((at + i) % 64);
	}
	for (uint64_t i = 0; i < d->nr_leaves; i++)
		d->leaves_ready += leaf_ready(d, i * SLOTS_PER_LEAF);
	return 0;
}

static bool is_decodable(struct device *d, uint8_t encoding)
{
	unsigned int generation = codec_encoding_generation(encoding);

	return codec_encodings() >> encoding & 1 &&
	       (generation == 0 || dict_table_get(&d->dicts.table, generation));
}

/* Could this word be what the device has stored? */
static bool is_credible(struct device *d, slot_word word)
{
	switch (slot_state(word)) {
	case SLOT_EMPTY:
		return word == 0;
	case SLOT_SAME:
		return !slot_interned(word) || words_recover(&d->words, slot_value(word));
	case SLOT_POOL:
		return is_decodable(d, slot_encoding(word)) &&
		       zs_recover_holds(d->pool, slot_ref(word), slot_len(word));
	case SLOT_BACKING:
		/* The rest is seen when the backing store is there: device_open_backing(). */
		if (slot_is_backed(word))
			return d->header->backed == 1 &&
			       is_decodable(d, slot_object(word, 0).encoding);
		break;
	}
	return word == SLOT_DAMAGED;
}

/* Call FN for every slot that may not be empty; what it returns is the slot's word from then on. */
static void each_slot(struct device *d, slot_word (*fn)(struct device *d, slot_word word))
{
	for (uint64_t page = 0; page < d->pages; page++) {
		slot_word word, new;

		if (!leaf_ready(d, page)) {
			page += SLOTS_PER_LEAF - 1;
			continue;
		}
		word = load_relaxed(&d->slots[page]);
		new = word == 0 ? 0 : fn(d, word);
		if (new != word)
			store_relaxed(&d->slots[page], new);
	}
}

static slot_word check(struct device *d, slot_word word)
{
	word &= ~SLOT_LOCK;
	return is_credible(d, word) ? word : SLOT_DAMAGED;
}

static bool claim(void *opaque, uint32_t page, zs_ref ref)
{
	struct device *d = opaque;
	slot_word word;

	if (page >= d->pages || !leaf_ready(d, page))
		return false;
	word = load_relaxed(&d->slots[page]);
	if (slot_state(word) != SLOT_POOL || slot_ref(word) != ref)
		return false;
	store_relaxed(&d->slots[page], word | SLOT_LOCK);
	return true;
}

static slot_word settle(struct device *d, slot_word word)
{
	if (slot_state(word) == SLOT_POOL)
		word = word & SLOT_LOCK ? word & ~SLOT_LOCK : SLOT_DAMAGED;
	page_account(&d->streams[0].counters, word, 1);
	return word;
}

int device_recover(struct device *d)
{
	struct store_header *h = d->header;
	struct device_recovery *found = &d->recovery;
	struct zs_recovered pool;
	uint64_t start = os_now();
	int r;

	STEP("recover: begin");
	/* From now on slots may be written that name encodings which the last one did not know. */
	__atomic_fetch_or(&h->encodings, store_encodings(), __ATOMIC_SEQ_CST);
	r = find_leaves(d);
	if (r == 0)
		r = dicts_recover(d);
	if (r == 0)
		r = zs_recover_zspages(d->pool);
	if (r < 0)
		return r;
	each_slot(d, check);
	STEP("recover: slots checked");
	r = zs_recover_cells(d->pool, claim, d, &pool);
	if (r < 0)
		return r;
	each_slot(d, settle);
	dicts_recovered(d);
	STEP("recover: slots settled");
	__atomic_fetch_add(&h->generation, 1, __ATOMIC_SEQ_CST);
	STEP("recover: complete");
	found->pages = pool.objects;
	found->cells_freed = pool.freed;
	found->damaged = (uint64_t)d->streams[0].counters.damaged;
	found->ns = os_now() - start;
	return 0;
}

void device_uuid_text(const uint8_t uuid[16], char text[DEVICE_UUID_TEXT])
{
	size_t len = 0;

	for (unsigned int i = 0; i < 16; i++)
		len += (size_t)snprintf(text + len, DEVICE_UUID_TEXT - len, "%s%02x",
					i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

void device_get_recovery(const struct device *d, struct device_recovery *ret)
{
	*ret = d->recovery;
	if (!d->header)
		return;
	ret->in_store = true;
	ret->generation = load_relaxed(&d->header->generation);
	memcpy(ret->uuid, d->header->uuid, sizeof(ret->uuid));
}

int device_damaged(struct device *d, int (*fn)(void *opaque, uint64_t page), void *opaque)
{
	int r = 0;

	for (uint64_t page = 0; r == 0 && page < d->pages; page++)
		if (leaf_ready(d, page) && slot_peek(&d->slots[page]) == SLOT_DAMAGED)
			r = fn(opaque, page);
	return r;
}
