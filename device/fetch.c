/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/fetch.h"

#include "device/device-types.h"

void fetch_pin(struct device *d, struct fetch *f, uint64_t page, slot_word word)
{
	fetch_end(d, f);
	f->word = word;
	f->to->object = slot_object(word, page);
	backing_pin(writeback_backing(device_writeback_of(d)), f->to->object.location);
}

void fetch_read(struct device *d, struct backing_fetch *objects, unsigned int count)
{
	backing_read(writeback_backing(device_writeback_of(d)), objects, count);
}

void fetch_end(struct device *d, struct fetch *f)
{
	if (f->word == 0)
		return;
	backing_unpin(writeback_backing(device_writeback_of(d)), f->to->object.location);
	f->word = 0;
}
