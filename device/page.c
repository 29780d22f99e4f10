/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One page: its content to and from its slot.
 *
 * A write compresses, allocates, copies, *then* swaps the slot's word, *then* frees the old object.
 * Whatever fails before the swap leaves the old content as it was.
 */
#include <errno.h>
#include <string.h>

#include "common/os.h"
#include "common/step.h"
#include "device/device-types.h"
#include "device/fetch.h"
#include "device/writeback.h"

/* What a page will be stored as: a slot's word already, or a payload that needs a cell. */
struct content {
	bool same;
	slot_word word;
	const void *payload; /* in the stream, or the page itself */
	size_t len;
	uint8_t encoding;
};

/* Of so many pages one is timed. A prime, so that it is not always the same of a request's. */
#define TIMED_ONE_IN 61

/* The time, if this page is to be timed, else 0. TURNS: pages since the last that was. */
static uint64_t clock_start(uint32_t *turns)
{
	if (likely(++*turns < TIMED_ONE_IN))
		return 0;
	*turns = 0;
	return os_now();
}

static void clock_stop(uint64_t *counter, uint64_t start)
{
	if (unlikely(start))
		counter_add(counter, (os_now() - start) * TIMED_ONE_IN);
}

static int decompress(struct stream *s, uint8_t encoding, const void *payload, size_t len,
		      void *buf)
{
	uint64_t start = clock_start(&s->decompressed);
	int r = codec_decompress(s->codec, encoding, payload, len, buf);

	clock_stop(&s->counters.decompress_ns, start);
	return r;
}

static int load_pool(struct device *d, struct stream *s, slot_word word, void *buf)
{
	size_t len = slot_len(word);

	return decompress(s, slot_encoding(word), zs_payload(d->pool, slot_ref(word), len), len,
			  buf);
}

/*
 * What was fetched, while it is decompressed into BUF: it may have been fetched into the same, and is
 * then in the stream's page.
 */
static void *fetched(struct stream *s, const struct fetch *fetch, const void *buf)
{
	void *payload = fetch->to->payload;

	return payload == buf ? codec_stream_page(s->codec) : payload;
}

static int load_backed(struct device *d, struct stream *s, uint64_t page, slot_word word, void *buf,
		       struct fetch *fetch)
{
	const struct backing_fetch *f = fetch->to;
	void *payload = fetched(s, fetch, buf);

	if (!device_writeback_of(d))
		return -EIO;
	if (fetch->word != word) {
		fetch_pin(d, fetch, page, word);
		return PAGE_AWAY;
	}
	if (f->error < 0)
		return f->error;
	if (payload != f->payload)
		memcpy(payload, f->payload, f->object.len);
	return decompress(s, f->object.encoding, payload, f->object.len, buf);
}

int page_load(struct device *d, struct stream *s, uint64_t page, slot_word word, void *buf,
	      struct fetch *fetch)
{
	switch (slot_state(word)) {
	case SLOT_EMPTY:
		memset(buf, 0, DEVICE_PAGE_SIZE);
		return 0;
	case SLOT_SAME:
		codec_fill_word(buf, slot_interned(word) ? words_word(&d->words, slot_value(word))
							 : slot_value(word));
		return 0;
	case SLOT_POOL:
		return load_pool(d, s, word, buf);
	case SLOT_BACKING:
		if (slot_is_backed(word))
			return load_backed(d, s, page, word, buf, fetch);
		break; /* damaged */
	}
	return -EIO;
}

static slot_word lock_slot(struct device *d, struct stream *s, uint64_t page)
{
	return slot_lock(&d->slots[page], slot_parking(d, page), &s->counters.slot_waits);
}

/* Does the word say all there is to know, so that it need not be locked to be read? */
static bool self_contained(slot_word word)
{
	return slot_state(word) == SLOT_EMPTY ||
	       (slot_state(word) == SLOT_SAME && !slot_interned(word));
}

static void account_generation(struct counters *c, uint8_t encoding, int sign)
{
	if (codec_encoding_generation(encoding) > 0)
		gauge_add(&c->dict[codec_encoding_generation(encoding) - 1], sign);
}

static void account_backed(struct counters *c, slot_word word, int sign)
{
	struct backing_object object = slot_object(word, 0);

	gauge_add(&c->backed, sign);
	gauge_add(&c->backed_payload, sign * (int64_t)object.len);
	account_generation(c, object.encoding, sign);
}

void page_account(struct counters *c, slot_word word, int sign)
{
	uint8_t encoding = slot_encoding(word);

	if (slot_state(word) == SLOT_SAME)
		gauge_add(&c->same, sign);
	if (unlikely(word == SLOT_DAMAGED))
		gauge_add(&c->damaged, sign);
	if (slot_is_backed(word))
		account_backed(c, word, sign);
	if (slot_state(word) != SLOT_POOL)
		return;
	gauge_add(&c->pool, sign);
	gauge_add(&c->payload, sign * (int64_t)slot_len(word));
	if (codec_encoding_id(encoding) == CODEC_RAW)
		gauge_add(&c->raw, sign);
	if (codec_encoding_filtered(encoding))
		gauge_add(&c->filter, sign);
	account_generation(c, encoding, sign);
}

/* Drop what WORD referred to, after the slot has ceased to say so, and count it out. */
static void drop(struct device *d, struct stream *s, uint64_t page, slot_word word)
{
	page_account(&s->counters, word, -1);
	if (slot_state(word) == SLOT_POOL)
		zs_free(d->pool, slot_ref(word));
	else if (slot_is_backed(word))
		writeback_free(d, page, word);
	else if (slot_interned(word))
		words_put(&d->words, slot_value(word));
}

/* Unlock the slot with its new word, and drop what the old one referred to. */
static void swap(struct device *d, struct stream *s, uint64_t page, slot_word old, slot_word new)
{
	page_account(&s->counters, new, 1);
	if (slot_state(new) == SLOT_POOL && codec_encoding_id(slot_encoding(new)) == CODEC_RAW)
		counter_add(&s->counters.raw_since, 1);
	slot_unlock(&d->slots[page], slot_parking(d, page), new);
	STEP("write: slot swapped");
	drop(d, s, page, old);
	STEP("write: old freed");
}

/*
 * What a backed page's slot is to say after it was read: if it is worth it, the PAYLOAD stands in the
 * pool from now on. Its slot is locked. Of memory it takes what nobody else is in need of.
 */
static slot_word bring_back(struct device *d, uint64_t page, slot_word word, const void *payload)
{
	struct backing_object object = slot_object(word, page);
	zs_ref ref;

	if (!writeback_is_read_again(device_writeback_of(d), page) || zs_reserve_is_low(d->pool) ||
	    zs_alloc(d->pool, object.owner, object.len, &ref) < 0)
		return word;
	STEP("bring back: cell taken");
	memcpy(zs_payload(d->pool, ref, object.len), payload, object.len);
	STEP("bring back: payload copied");
	return slot_pool(ref, object.len, object.encoding);
}

int page_read(struct device *d, struct stream *s, uint64_t page, size_t from, size_t n, void *buf,
	      struct fetch *fetch)
{
	bool whole = n == DEVICE_PAGE_SIZE;
	void *to = whole ? buf : codec_stream_page(s->codec);
	slot_word word = slot_peek(&d->slots[page]), new;
	int r;

	if (self_contained(word)) {
		r = page_load(d, s, page, word, to, fetch);
	} else {
		word = lock_slot(d, s, page);
		r = page_load(d, s, page, word, to, fetch);
		new = slot_touched(word);
		if (r == 0 && slot_is_backed(word))
			new = bring_back(d, page, word, fetched(s, fetch, to));
		if (likely(slot_is_backed(new) == slot_is_backed(word))) {
			slot_unlock(&d->slots[page], slot_parking(d, page), new);
		} else {
			counter_add(&s->counters.brought_back, 1);
			swap(d, s, page, word, new);
		}
	}
	if (r == 0 && !whole)
		memcpy(buf, (const char *)to + from, n);
	return r;
}

/* A page of one word. False: there is no place for the word. */
static bool encode_same(struct device *d, uint64_t value, slot_word *ret_word)
{
	uint64_t name;

	if (value >> SLOT_WORD_BITS == 0) {
		*ret_word = slot_same(value, false);
		return true;
	}
	if (words_get(&d->words, value, &name) < 0)
		return false;
	STEP("write: word interned");
	*ret_word = slot_same(name, true);
	return true;
}

static void encode(struct device *d, struct stream *s, const void *page, struct content *ret)
{
	uint64_t value, start;

	ret->len = 0;
	ret->same = codec_same_word(page, &value) && encode_same(d, value, &ret->word);
	if (ret->same)
		return;
	start = clock_start(&s->compressed);
	ret->len = codec_compress(s->codec, page, &ret->payload, &ret->encoding);
	clock_stop(&s->counters.compress_ns, start);
}

/* Put the content where a slot can name it. -EAGAIN: zs_refill() first. */
static int place(struct device *d, uint64_t page, const struct content *c, slot_word *ret_word)
{
	zs_ref ref;
	int r;

	if (c->same) {
		*ret_word = c->word;
		return 0;
	}
	r = zs_alloc(d->pool, (uint32_t)page, c->len, &ref);
	if (unlikely(r < 0))
		return r;
	STEP("write: cell taken");
	memcpy(zs_payload(d->pool, ref, c->len), c->payload, c->len);
	STEP("write: payload copied");
	*ret_word = slot_pool(ref, c->len, c->encoding);
	return 0;
}

/*
 * The same, when there was no memory for it. Others have the stream meanwhile, reads above all; what is in it
 * is taken along, or it would be compressed again for each try.
 */
static __attribute__((noinline)) int place_patiently(struct device *d, struct stream **s,
						     uint64_t page, const struct content *content,
						     uint64_t *waited, slot_word *ret_word)
{
	uint8_t payload[DEVICE_PAGE_SIZE];
	struct content own = *content;
	int r;

	own.payload = memcpy(payload, content->payload, content->len);
	stream_put(d, *s);
	do
		r = zs_refill(d->pool, own.len, waited);
	while (r == 0 && (r = place(d, page, &own, ret_word)) == -EAGAIN);
	*s = stream_get(d);
	return r;
}

/* Have memory for the slot, so that nothing is touched first with it locked. -ENOMEM. */
static int have_slot(struct device *d, uint64_t page)
{
	uint64_t leaf = page / SLOTS_PER_LEAF, bit = UINT64_C(1) << (leaf % 64);
	int r = 0;

	if (likely(leaf_ready(d, page)))
		return 0;
	if (!__atomic_load_n(&d->prefaulted, __ATOMIC_ACQUIRE))
		r = os_commit(&d->slots[leaf * SLOTS_PER_LEAF], DEVICE_PAGE_SIZE);
	if (r == 0 && !(__atomic_fetch_or(&d->leaves[leaf / 64], bit, __ATOMIC_RELEASE) & bit))
		add_relaxed(&d->leaves_ready, 1);
	STEP("write: leaf marked");
	return r;
}

/* Have the page hold CONTENT instead of what it held. Its slot has memory. */
static int replace(struct device *d, struct stream **s, uint64_t page,
		   const struct content *content, uint64_t *waited)
{
	slot_word old, new;
	int r = place(d, page, content, &new);

	if (unlikely(r == -EAGAIN))
		r = place_patiently(d, s, page, content, waited, &new);
	if (r < 0) {
		(*s)->wanted = content->len;
		return r;
	}
	old = lock_slot(d, *s, page);
	STEP("write: slot locked");
	swap(d, *s, page, old, new);
	return 0;
}

int page_write(struct device *d, struct stream **s, uint64_t page, const void *buf,
	       uint64_t *waited)
{
	struct content content;
	slot_word old;
	int r = have_slot(d, page);

	if (r < 0)
		return r;
	STEP("write: begin");
	/* What is to be freed comes into the cache while the new content is compressed. */
	old = slot_peek(&d->slots[page]);
	if (slot_state(old) == SLOT_POOL)
		zs_prefetch(d->pool, slot_ref(old));
	encode(d, *s, buf, &content);
	return replace(d, s, page, &content, waited);
}

int page_put(struct device *d, struct stream **s, uint64_t page, uint8_t encoding,
	     const void *payload, size_t len, uint64_t *waited)
{
	const struct content content = {.payload = payload, .len = len, .encoding = encoding};
	int r = have_slot(d, page);

	return r < 0 ? r : replace(d, s, page, &content, waited);
}

int page_damage(struct device *d, struct stream *s, uint64_t page)
{
	const struct content content = {.same = true, .word = SLOT_DAMAGED};
	int r = have_slot(d, page);

	return r < 0 ? r : replace(d, &s, page, &content, NULL);
}

int page_write_part(struct device *d, struct stream *s, uint64_t page, size_t from, size_t n,
		    const void *buf, struct fetch *fetch)
{
	slot_word *slot = &d->slots[page];
	char *content = codec_stream_page(s->codec);
	struct content encoded;
	slot_word old, new;
	int r = have_slot(d, page);

	if (r < 0)
		return r;
	old = lock_slot(d, s, page);
	STEP("part: slot locked");
	/* What is replaced wholly need not be readable: a damaged last page that is a short one. */
	if (is_whole(d, page, from, n))
		memset(content, 0, DEVICE_PAGE_SIZE);
	else
		r = page_load(d, s, page, old, content, fetch);
	if (r == 0) {
		memcpy(content + from, buf, n);
		encode(d, s, content, &encoded);
		r = place(d, page, &encoded, &new);
		s->wanted = encoded.len;
		STEP("part: placed");
	}
	if (r == 0)
		swap(d, s, page, old, new);
	else
		slot_unlock(slot, slot_parking(d, page), old);
	return r;
}

bool page_clear(struct device *d, struct stream *s, uint64_t page)
{
	slot_word old;

	if (slot_state(slot_peek(&d->slots[page])) == SLOT_EMPTY)
		return false;
	old = lock_slot(d, s, page);
	STEP("trim: slot locked");
	slot_unlock(&d->slots[page], slot_parking(d, page), 0);
	STEP("trim: slot swapped");
	drop(d, s, page, old);
	STEP("trim: old freed");
	return slot_state(old) != SLOT_EMPTY;
}
