/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/recompress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/os.h"
#include "common/step.h"

int recompressor_new(struct device *d, const struct device_cold *cold,
		     const struct recompress_rule *rule, struct recompressor **ret_recompressor)
{
	struct recompressor *r = calloc(1, sizeof(*r));
	int err = r ? 0 : -ENOMEM;

	if (err < 0)
		return err;
	r->cold = *cold;
	r->rule = *rule;
	if (cold->methods_count > 0) {
		for (size_t at = 0; at < sizeof(r->victims); at += DEVICE_PAGE_SIZE)
			((volatile char *)r->victims)[at] = 0;
		r->memory = sizeof(*r);
	}
	for (unsigned int i = 0; i < cold->methods_count && err == 0; i++) {
		err = stream_codec_new(d, &cold->methods[i], &r->streams[i]);
		if (err == 0)
			r->streams_memory[i] = codec_stream_memory(r->streams[i]);
		r->memory += r->streams_memory[i];
	}
	if (err < 0) {
		recompressor_free(r);
		return err;
	}
	*ret_recompressor = r;
	return 0;
}

void recompressor_free(struct recompressor *r)
{
	if (!r)
		return;
	for (unsigned int i = 0; i < DEVICE_COLD_METHODS; i++)
		codec_stream_free(r->streams[i]);
	free(r);
}

int recompressor_prefault(struct recompressor *r)
{
	int err = os_prefault(r, sizeof(*r));

	for (unsigned int i = 0; i < r->cold.methods_count && err == 0; i++)
		err = os_prefault(r->streams[i], r->streams_memory[i]);
	return err;
}

void recompressor_use_dicts(struct device *d, struct recompressor *r)
{
	unsigned int newest = dicts_newest(d);
	bool all = true;

	/* One that is used is not retired, so its number has not become another's. */
	if (r->generation == newest)
		return;
	r->memory = sizeof(*r);
	for (unsigned int i = 0; i < r->cold.methods_count; i++) {
		/* Without memory it goes on with what it had. */
		all &= dicts_use(d, r->streams[i]) >= 0;
		r->memory += codec_stream_memory(r->streams[i]);
	}
	if (all)
		r->generation = newest;
}

struct recompress_rule recompress_rule_of(const struct device_cold *cold)
{
	bool any_age = cold->type == DEVICE_COLD_HUGE || cold->type == DEVICE_COLD_ALL;

	return (struct recompress_rule){
		/* At any age, but not before the hand has come by. */
		.age = any_age ? 1 : (unsigned int)max_u64(1, age_of_seconds(cold->age)),
		.raw = cold->type == DEVICE_COLD_HUGE || cold->type == DEVICE_COLD_HUGE_IDLE,
		.threshold = cold->threshold,
	};
}

static bool is_evicted(const struct recompressor *r, uint8_t encoding)
{
	return r->evicted != 0 && codec_encoding_generation(encoding) == r->evicted;
}

static bool is_wanted(const struct recompressor *r, slot_word word)
{
	const struct recompress_rule *rule = &r->rule;

	if (slot_state(word) != SLOT_POOL || word & SLOT_LOCK)
		return false;
	return is_evicted(r, slot_encoding(word)) ||
	       (slot_age(word) >= rule->age && (rule->again || !slot_tried(word)) &&
		slot_len(word) >= rule->threshold &&
		(!rule->raw || codec_encoding_id(slot_encoding(word)) == CODEC_RAW));
}

/* As the hand would do. False: somebody has touched it. */
static bool make_aged(slot_word *slot, slot_word *word)
{
	slot_word aged = slot_aged(*word, 1);

	if (slot_age(*word) > 0)
		return true;
	if (!__atomic_compare_exchange_n(slot, word, aged, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	*word = aged;
	return true;
}

/* Is there room for one more in the batch, and one more allowed? */
static bool has_room(const struct recompressor *r)
{
	return r->count < RECOMPRESS_BATCH &&
	       (r->rule.max_pages == 0 || r->done + r->count < r->rule.max_pages);
}

bool recompress_gather(struct device *d, struct recompressor *r)
{
	uint64_t end = min_u64(r->at + RECOMPRESS_LOOK, d->pages);

	r->count = 0;
	r->starved = false;
	/* Ages that are 0 are raised, below. */
	r->rises = age_remember(&d->ages, r->rule.age == 0 || r->evicted != 0);
	for (; r->at < end && has_room(r); r->at++) {
		struct victim *v;
		slot_word word;

		if (!leaf_ready(d, r->at)) {
			r->at |= SLOTS_PER_LEAF - 1;
			continue;
		}
		word = load_relaxed(&d->slots[r->at]);
		if (!is_wanted(r, word) || !make_aged(&d->slots[r->at], &word))
			continue;
		v = &r->victims[r->count++];
		v->page = (uint32_t)r->at;
		v->word = word;
		v->fetched = v->replaced = false;
	}
	return r->at < d->pages &&
	       (r->rule.max_pages == 0 || r->done + r->count < r->rule.max_pages);
}

/* Is the page still what was gathered? Its slot is locked, WORD is what it says. */
static bool is_same(struct device *d, const struct recompressor *r, const struct victim *v,
		    slot_word word)
{
	return word == v->word && age_rises(&d->ages) == r->rises;
}

/* Copy the payload out, if the page is what it was. */
static void fetch(struct device *d, const struct recompressor *r, struct victim *v)
{
	slot_word *slot = &d->slots[v->page], word;

	if (!slot_trylock(slot, &word))
		return;
	v->fetched = is_same(d, r, v, word);
	if (v->fetched) {
		v->len = slot_len(word);
		v->encoding = slot_encoding(word);
		memcpy(v->payload, zs_payload(d->pool, slot_ref(word), v->len), v->len);
	}
	slot_unlock(slot, slot_parking(d, v->page), word);
}

int recompress_read(struct device *d, struct recompressor *r, uint64_t page, void *buf)
{
	slot_word *slot = &d->slots[page], word;
	struct victim *v = &r->victims[0];
	int err = -EAGAIN;

	if (!slot_trylock(slot, &word))
		return err;
	if (slot_state(word) == SLOT_POOL) {
		v->len = slot_len(word);
		memcpy(v->payload, zs_payload(d->pool, slot_ref(word), v->len), v->len);
		err = 0;
	}
	slot_unlock(slot, slot_parking(d, page), word);
	return err < 0 ? err
		       : codec_decompress(r->streams[0], slot_encoding(word), v->payload, v->len,
					  buf);
}

void recompress_fetch(struct device *d, struct recompressor *r)
{
	for (unsigned int i = 0; i < r->count; i++)
		fetch(d, r, &r->victims[i]);
}

/*
 * One method after the other, until one saves a size class. What has to go is made by the last of
 * them if none does.
 */
static void squeeze(struct device *d, struct recompressor *r, struct victim *v)
{
	size_t cell = zs_cell_bytes(d->pool, v->len);
	bool evicted = is_evicted(r, v->encoding);

	if (codec_decompress(r->streams[0], v->encoding, v->payload, v->len, r->page) < 0)
		return; /* its next reader is told so */
	for (unsigned int i = 0; i < r->cold.methods_count && !v->replaced; i++) {
		const void *payload;
		uint8_t encoding;
		size_t len = codec_compress(r->streams[i], r->page, &payload, &encoding);

		if (zs_cell_bytes(d->pool, len) >= cell &&
		    !(evicted && i == r->cold.methods_count - 1))
			continue;
		memcpy(v->payload, payload, len);
		v->len = len;
		v->encoding = encoding;
		v->replaced = true;
	}
}

void recompress_squeeze(struct device *d, struct recompressor *r)
{
	for (unsigned int i = 0; i < r->count; i++) {
		struct victim *v = &r->victims[i];

		/* Who waits for the end of it need not wait for the batch. */
		if (background_is_canceled(&d->background))
			v->fetched = false;
		if (v->fetched)
			squeeze(d, r, v);
	}
}

/* The slot says NEW from now on, if the page is what it was. */
static bool exchange(struct device *d, const struct recompressor *r, const struct victim *v,
		     slot_word new)
{
	slot_word *slot = &d->slots[v->page], word;
	bool ours;

	if (!slot_trylock(slot, &word))
		return false;
	ours = is_same(d, r, v, word);
	slot_unlock(slot, slot_parking(d, v->page), ours ? new : word);
	return ours;
}

/* -EAGAIN, -ENOSPC, -ENOMEM: there is no memory at hand. */
static int have_cell(struct device *d, const struct victim *v, bool may_refill, zs_ref *ret_ref)
{
	uint64_t waited = 0;
	int err;

	if (!may_refill && zs_reserve_is_low(d->pool))
		return -EAGAIN;
	while ((err = zs_alloc(d->pool, v->page, v->len, ret_ref)) == -EAGAIN && may_refill) {
		err = zs_refill(d->pool, v->len, &waited);
		if (err < 0)
			break;
	}
	return err;
}

/* It takes another cell now. */
static void count_replaced(struct device *d, struct recompressor *r, const struct victim *v)
{
	struct counters *c = &d->background_counters;
	size_t old = zs_cell_bytes(d->pool, slot_len(v->word)),
	       new = zs_cell_bytes(d->pool, v->len);

	if (new >= old)
		return;
	counter_add(&c->recompressed, 1);
	counter_add(&c->recompress_saved, old - new);
	r->result.saved++;
	r->result.bytes += old - new;
}

static void place_other(struct device *d, struct recompressor *r, struct victim *v, bool may_refill)
{
	struct counters *c = &d->background_counters;
	slot_word new;
	zs_ref ref;

	if (have_cell(d, v, may_refill, &ref) < 0) {
		r->starved = true;
		return;
	}
	STEP("recompress: cell taken");
	memcpy(zs_payload(d->pool, ref, v->len), v->payload, v->len);
	STEP("recompress: payload copied");
	new = slot_with_tried(slot_aged(slot_pool(ref, v->len, v->encoding), slot_age(v->word)));
	if (!exchange(d, r, v, new)) {
		zs_free(d->pool, ref);
		STEP("recompress: given up");
		return;
	}
	STEP("recompress: slot swapped");
	page_account(c, v->word, -1);
	page_account(c, new, 1);
	zs_free(d->pool, slot_ref(v->word));
	STEP("recompress: old freed");
	count_replaced(d, r, v);
}

static void place_tried(struct device *d, const struct recompressor *r, const struct victim *v)
{
	if (!exchange(d, r, v, slot_with_tried(v->word)))
		return;
	STEP("recompress: marked");
	counter_add(&d->background_counters.recompress_failed, 1);
}

void recompress_place(struct device *d, struct recompressor *r, bool may_refill)
{
	pthread_mutex_lock(&d->background.place_lock);
	for (unsigned int i = 0; i < r->count; i++) {
		struct victim *v = &r->victims[i];

		if (!v->fetched)
			continue;
		r->result.pages++;
		if (v->replaced)
			place_other(d, r, v, may_refill);
		else
			place_tried(d, r, v);
	}
	r->done += r->count;
	pthread_mutex_unlock(&d->background.place_lock);
}
