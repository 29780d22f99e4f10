/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each page is copied out with its slot locked, which pins its object, and written when it is
 * released. A payload that cannot be decompressed is found here: an image that was made can always
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

struct save {
	struct device *device;
	struct image_writer *writer;
	struct codec_stream *codec;
	uint64_t waits; /* for slots; the device does not count ours */
	uint64_t word;	/* of a same-filled page */
	int plain;	/* 1: the page needs no dictionary; 0: it is in PAGE; -EIO */
	uint8_t payload[DEVICE_PAGE_SIZE]; /* of an object; touched before any slot is locked */
	uint8_t page[DEVICE_PAGE_SIZE];
};

/* Its slot is locked. */
static void copy_object(struct save *s, struct stream *stream, slot_word word)
{
	const void *payload = zs_payload(s->device->pool, slot_ref(word), slot_len(word));
	size_t len = slot_len(word);

	s->plain = codec_encoding_generation(slot_encoding(word)) == 0;
	if (s->plain)
		memcpy(s->payload, payload, len);
	else
		s->plain =
			codec_decompress(stream->codec, slot_encoding(word), payload, len, s->page);
}

/* What the page's slot says, and what it names. */
static slot_word copy_page(struct save *s, uint64_t page)
{
	struct device *d = s->device;
	slot_word *slot = &d->slots[page];
	slot_word word = slot_peek(slot);
	struct stream *stream;

	if (word == 0)
		return word;
	stream = stream_get(d);
	word = slot_lock(slot, slot_parking(d, page), &s->waits);
	if (slot_state(word) == SLOT_POOL)
		copy_object(s, stream, word);
	else if (slot_state(word) == SLOT_SAME)
		s->word = slot_interned(word) ? words_word(&d->words, slot_value(word))
					      : slot_value(word);
	slot_unlock(slot, slot_parking(d, page), word);
	stream_put(d, stream);
	return word;
}

static int save_object(struct save *s, uint64_t page, slot_word word)
{
	const void *payload = s->payload;
	uint8_t encoding = slot_encoding(word);
	size_t len = slot_len(word);
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
		return save_object(s, page, word);
	case SLOT_BACKING: /* damaged */
		break;
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
