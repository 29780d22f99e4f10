/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "device/device-types.h"
#include "device/save.h"

/* Pages that are worked on with one stream in hand, as requests do. */
#define PAGES_PER_TURN 64

static int stop_at_content(void *opaque, uint64_t offset, uint64_t length, bool hole)
{
	(void)opaque;
	(void)offset;
	(void)length;
	return hole ? 0 : -ENOTEMPTY;
}

static int check(struct device *d, bool force, const struct image_info *info, const char **ret_why)
{
	if (info->size != d->size) {
		*ret_why = "the image is of a device of another size";
		return -EINVAL;
	}
	return force ? 0 : device_extents(d, 0, d->size, stop_at_content, NULL);
}

static int put_page(struct device *d, struct stream **s, const struct image_record *record,
		    uint64_t page, uint64_t *waited)
{
	void *content;

	switch (record->kind) {
	case IMAGE_OBJECT:
		return page_put(d, s, page, record->encoding, record->payload, record->len, waited);
	case IMAGE_SAME:
		content = codec_stream_page((*s)->codec);
		codec_fill_word(content, record->word);
		return page_write(d, s, page, content, waited);
	case IMAGE_DAMAGED:
		break;
	}
	return page_damage(d, *s, page);
}

/* At the limit it waits as a write of this page does. */
static int put_patiently(struct device *d, struct stream **s, const struct image_record *record,
			 uint64_t page)
{
	struct limit_wait wait = {0};
	uint64_t waited = 0;
	int r;

	do
		r = put_page(d, s, record, page, &waited);
	while (r == -ENOSPC && limit_hold(d, s, &wait));
	return r;
}

static int put_record(struct device *d, const struct image_record *record)
{
	struct stream *s = stream_get(d);
	int r = 0;

	for (uint64_t i = 0; i < record->count && r == 0; i++) {
		if (i % PAGES_PER_TURN == PAGES_PER_TURN - 1) {
			stream_put(d, s);
			s = stream_get(d);
		}
		r = put_patiently(d, &s, record, record->page + i);
	}
	stream_put(d, s);
	return r;
}

static int restore(struct device *d, struct image_reader *reader, struct device_restored *ret)
{
	struct image_record record;
	int r;

	ret->emptied = true;
	r = device_trim(d, 0, d->size);
	while (r == 0 && (r = image_next(reader, &record)) > 0)
		r = put_record(d, &record);
	if (r < 0)
		device_trim(d, 0, d->size);
	return r;
}

int device_restore(struct device *d, bool force, image_read_fn *fn, void *opaque,
		   struct device_restored *ret)
{
	struct image_reader *reader;
	int r;

	*ret = (struct device_restored){0};
	r = image_reader_new(fn, opaque, &reader);
	if (!reader)
		return r;
	if (r == 0)
		r = check(d, force, image_reader_info(reader), &ret->why);
	if (r == 0)
		r = restore(d, reader, ret);
	if (r < 0 && !ret->why)
		ret->why = image_reader_why(reader);
	ret->counts = *image_reader_counts(reader);
	image_reader_free(reader);
	return r;
}
