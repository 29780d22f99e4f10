/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each page is copied out with its slot locked, which pins its object, and written when it is
 * released. A payload that cannot be decompressed is found here: an image that was made can always
 * be restored.
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
	uint64_t waits;			   /* for slots; the device does not count ours */
	uint64_t word;			   /* of a same-filled page */
	uint8_t payload[DEVICE_PAGE_SIZE]; /* of an object; touched before any slot is locked */
	uint8_t page[DEVICE_PAGE_SIZE];
};

/* What the page's slot says, and what it names. */
static slot_word copy_page(struct save *s, uint64_t page)
{
	struct device *d = s->device;
	slot_word *slot = &d->slots[page];
	slot_word word = slot_peek(slot);

	if (word == 0)
		return word;
	word = slot_lock(slot, slot_parking(d, page), &s->waits);
	if (slot_state(word) == SLOT_POOL) {
		size_t len = slot_len(word);

		memcpy(s->payload, zs_payload(d->pool, slot_ref(word), len), len);
	} else if (slot_state(word) == SLOT_SAME) {
		s->word = slot_interned(word) ? words_word(&d->words, slot_value(word))
					      : slot_value(word);
	}
	slot_unlock(slot, slot_parking(d, page), word);
	return word;
}

static int save_object(struct save *s, uint64_t page, slot_word word)
{
	uint8_t encoding = slot_encoding(word);
	size_t len = slot_len(word);

	if (codec_decompress(s->codec, encoding, s->payload, len, s->page) < 0)
		return image_put_damaged(s->writer, page);
	return image_put_object(s->writer, page, encoding, s->payload, len);
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
	struct image_info info = {.size = s->device->size, .encodings = codec_encodings()};
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

int device_save(struct device *d, image_write_fn *fn, void *opaque, struct image_counts *ret_counts)
{
	struct save *s = malloc(sizeof(*s));
	struct codec_method method;
	int r;

	if (!s)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	s->device = d;
	/* The one that takes least memory to compress, which is not done. */
	r = codec_method_init(&method, "lz4", NULL);
	if (r == 0)
		r = codec_stream_new(&method, &s->codec);
	if (r == 0) {
		r = save(s, fn, opaque, ret_counts);
		codec_stream_free(s->codec);
	}
	free(s);
	return r;
}
