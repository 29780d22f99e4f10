/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each page is copied out with its slot locked, which pins its object, and written when it is
 * released; what is in the backing store is fetched before (fetch.h), many at once. A payload that cannot be decompressed is found here: an image that was made can always
 * be restored.
 *
 * Dictionaries are not in an image: a device has room for three, and those of another cannot be among
 * them. What was compressed with one is compressed anew without. It is decompressed as a request would
 * do it, with a stream of the device in hand and under the slot's lock: released, the slot may come to
 * say something else, and its dictionary be given back (dicts.h).
 */
#include "device/save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/device-types.h"

/* Backed pages that are fetched at a time, and slots that are looked through for them. */
#define AWAY_MAX  32
#define AWAY_LOOK SLOTS_PER_LEAF

/* From the page that comes next on, in order. */
struct away {
	unsigned int at, count; /* those before AT are done with */
	uint64_t page[AWAY_MAX];
	/* One more for a page that became one after it was looked at. */
	struct fetch fetches[AWAY_MAX + 1];
	struct backing_fetch objects[AWAY_MAX + 1];
	uint8_t payload[AWAY_MAX + 1][DEVICE_PAGE_SIZE];
};

struct save {
	struct device *device;
	struct image_writer *writer;
	struct codec_stream *codec;
	uint64_t waits; /* for slots; the device does not count ours */
	uint64_t word;	/* of a same-filled page */
	/* of an object */
	size_t len;
	uint8_t encoding;
	int plain; /* 1: the page needs no dictionary; 0: it is in PAGE; -EIO */
	uint8_t payload[DEVICE_PAGE_SIZE]; /* touched before any slot is locked */
	uint8_t page[DEVICE_PAGE_SIZE];
	struct away away; /* of backed ones */
};

/* Its slot is locked. */
static void copy_object(struct save *s, struct stream *stream, const void *payload)
{
	s->plain = codec_encoding_generation(s->encoding) == 0;
	if (s->plain)
		memcpy(s->payload, payload, s->len);
	else
		s->plain = codec_decompress(stream->codec, s->encoding, payload, s->len, s->page);
}

static void copy_from_pool(struct save *s, struct stream *stream, slot_word word)
{
	s->len = slot_len(word);
	s->encoding = slot_encoding(word);
	copy_object(s, stream, zs_payload(s->device->pool, slot_ref(word), s->len));
}

/* 0, or PAGE_AWAY. */
static int copy_backed(struct save *s, struct stream *stream, uint64_t page, slot_word word,
		       struct fetch *fetch)
{
	const struct backing_fetch *fetched = fetch->to;

	if (!device_writeback_of(s->device)) {
		s->plain = -EIO;
		return 0;
	}
	if (fetch->word != word) {
		fetch_pin(s->device, fetch, page, word);
		return PAGE_AWAY;
	}
	s->len = fetched->object.len;
	s->encoding = fetched->object.encoding;
	if (fetched->error < 0)
		s->plain = fetched->error;
	else
		copy_object(s, stream, fetched->payload);
	return 0;
}

/* What the page's slot says, and what it names. PAGE_AWAY: it is to be fetched. */
static int try_copy_page(struct save *s, uint64_t page, slot_word *ret_word, struct fetch *fetch)
{
	struct device *d = s->device;
	slot_word *slot = &d->slots[page], word;
	struct stream *stream = stream_get(d);
	int r = 0;

	word = slot_lock(slot, slot_parking(d, page), &s->waits);
	if (slot_state(word) == SLOT_POOL)
		copy_from_pool(s, stream, word);
	else if (slot_is_backed(word))
		r = copy_backed(s, stream, page, word, fetch);
	else if (slot_state(word) == SLOT_SAME)
		s->word = slot_interned(word) ? words_word(&d->words, slot_value(word))
					      : slot_value(word);
	slot_unlock(slot, slot_parking(d, page), word);
	stream_put(d, stream);
	*ret_word = word;
	return r;
}

/* Pin it, if it is backed. */
static void look_at(struct save *s, uint64_t page)
{
	struct device *d = s->device;
	struct away *away = &s->away;
	slot_word *slot = &d->slots[page], word;

	if (!slot_is_backed(slot_peek(slot)))
		return;
	word = slot_lock(slot, slot_parking(d, page), &s->waits);
	if (slot_is_backed(word)) {
		away->page[away->count] = page;
		fetch_pin(d, &away->fetches[away->count++], page, word);
	}
	slot_unlock(slot, slot_parking(d, page), word);
}

/* Fetch backed pages from this one on, as many as can be at once. */
static void look_ahead(struct save *s, uint64_t page)
{
	struct device *d = s->device;
	struct away *away = &s->away;
	uint64_t end = min_u64(page + AWAY_LOOK, d->pages);

	away->at = away->count = 0;
	for (; page < end && away->count < AWAY_MAX && leaf_ready(d, page); page++)
		look_at(s, page);
	if (away->count > 0)
		fetch_read(d, away->objects, away->count);
}

/* What was fetched for the page, or a place for it. */
static struct fetch *fetch_of(struct save *s, uint64_t page)
{
	struct away *away = &s->away;

	while (away->at < away->count && away->page[away->at] < page)
		fetch_end(s->device, &away->fetches[away->at++]);
	if (away->at == away->count && device_writeback_of(s->device))
		look_ahead(s, page);
	return &away->fetches[away->at < away->count && away->page[away->at] == page ? away->at
										     : AWAY_MAX];
}

static slot_word copy_page(struct save *s, uint64_t page)
{
	slot_word word = slot_peek(&s->device->slots[page]);
	struct fetch *fetch;

	if (word == 0)
		return word;
	fetch = fetch_of(s, page);
	while (try_copy_page(s, page, &word, fetch) == PAGE_AWAY)
		fetch_read(s->device, fetch->to, 1);
	fetch_end(s->device, fetch);
	return word;
}

static void away_init(struct away *away)
{
	for (unsigned int i = 0; i <= AWAY_MAX; i++) {
		away->objects[i].payload = away->payload[i];
		away->fetches[i].to = &away->objects[i];
	}
}

static void away_end(struct save *s)
{
	for (unsigned int i = 0; i <= AWAY_MAX; i++)
		fetch_end(s->device, &s->away.fetches[i]);
}

static int save_object(struct save *s, uint64_t page)
{
	const void *payload = s->payload;
	uint8_t encoding = s->encoding;
	size_t len = s->len;
	int r = s->plain;

	if (s->plain > 0)
		r = codec_decompress(s->codec, encoding, payload, len, s->page);
	if (r < 0)
		return image_put_damaged(s->writer, page);
	if (s->plain == 0)
		len = codec_compress(s->codec, s->page, &payload, &encoding);
	return image_put_object(s->writer, page, encoding, payload, len);
}

static int save_page(struct save *s, uint64_t page)
{
	slot_word word = copy_page(s, page);

	switch (slot_state(word)) {
	case SLOT_EMPTY:
		return 0;
	case SLOT_SAME:
		return image_put_same(s->writer, page, s->word);
	case SLOT_POOL:
		return save_object(s, page);
	case SLOT_BACKING:
		if (slot_is_backed(word))
			return save_object(s, page);
		break; /* damaged */
	}
	return image_put_damaged(s->writer, page);
}

static int save_pages(struct save *s)
{
	struct device *d = s->device;
	int r = 0;

	for (uint64_t page = 0; page < d->pages && r == 0; page++) {
		if (leaf_ready(d, page))
			r = save_page(s, page);
		else
			page += SLOTS_PER_LEAF - 1;
	}
	return r;
}

static int save(struct save *s, image_write_fn *fn, void *opaque, struct image_counts *ret_counts)
{
	struct device_recovery store;
	struct image_info info = {.size = s->device->size, .encodings = codec_plain_encodings()};
	int r;

	device_get_recovery(s->device, &store);
	memcpy(info.uuid, store.uuid, sizeof(info.uuid));
	r = image_writer_new(&info, fn, opaque, &s->writer);
	if (r < 0)
		return r;
	r = save_pages(s);
	away_end(s);
	if (r == 0)
		r = image_writer_end(s->writer, ret_counts);
	image_writer_free(s->writer);
	return r;
}

/* Of what has to be compressed anew: cold pages, mostly, and many of them if any. */
#define RECODE_LEVEL 3

int device_save(struct device *d, image_write_fn *fn, void *opaque, struct image_counts *ret_counts)
{
	struct save *s = malloc(sizeof(*s));
	struct codec_method method;
	int r, level = RECODE_LEVEL;

	if (!s)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	s->device = d;
	away_init(&s->away);
	r = codec_method_init(&method, codec_name(CODEC_ZSTD), &level);
	if (r == 0)
		r = stream_codec_new(d, &method, &s->codec);
	if (r == 0) {
		r = save(s, fn, opaque, ret_counts);
		codec_stream_free(s->codec);
	}
	free(s);
	return r;
}
