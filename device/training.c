/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/training.h"

#include <errno.h>

#include "device/device-types.h"
#include "device/recompress.h"

void training_init(struct training *t)
{
	*t = (struct training){.least = TRAINING_PAGES, .turnover = TRAINING_TURNOVER};
}

/* The level of the first of zstd's methods. False: there is none. */
static bool find_level(const struct device_cold *cold, int *ret_level)
{
	for (unsigned int i = 0; i < cold->methods_count; i++) {
		if (cold->methods[i].id != CODEC_ZSTD)
			continue;
		*ret_level = cold->methods[i].level;
		return true;
	}
	return false;
}

/* Pages in the pool that are old enough for R, as the hand found them last. */
static uint64_t old_pages(struct device *d, const struct recompressor *r, uint64_t pages)
{
	uint64_t old = 0;

	if (r->rule.age == 0)
		return pages;
	for (unsigned int age = r->rule.age; age <= AGE_MAX; age++)
		old += load_relaxed(&d->ages.pages[age]);
	return old;
}

static bool is_due(struct device *d, const struct recompressor *r)
{
	struct training *t = &d->background.training;
	struct device_stats stats;

	device_get_stats(d, &stats);
	if (!t->tried && dicts_newest(d) != 0) {
		/* Of a process that has ended: it is as good as one of now. */
		t->tried = true;
		t->written = stats.bytes_written;
	}
	if (old_pages(d, r, stats.pages_pool) < t->least)
		return false;
	return !t->tried || stats.bytes_written - t->written >=
				    t->turnover * stats.pages_pool * DEVICE_PAGE_SIZE;
}

/* What a training has for its own. */
struct pupil {
	struct device *device;
	struct recompressor *r;
};

static int read_page(void *opaque, uint64_t page, void *buf)
{
	struct pupil *p = opaque;

	return recompress_read(p->device, p->r, page, buf);
}

static bool is_stopped(void *opaque)
{
	struct pupil *p = opaque;

	return background_is_canceled(&p->device->background);
}

static void train(struct device *d, struct recompressor *r, int level)
{
	struct pupil pupil = {.device = d, .r = r};
	const struct dicts_source source = {
		.read = read_page, .stop = is_stopped, .opaque = &pupil};
	struct training *t = &d->background.training;
	bool first = dicts_newest(d) == 0;
	struct device_stats stats;
	int err = dicts_train(d, level, &source);

	if (err == -EBUSY)
		r->evicted = dicts_oldest(d);
	/* Of these nothing is known about the next time. */
	if (err == -EBUSY || err == -EINTR || err == -ENOMEM)
		return;
	device_get_stats(d, &stats);
	t->tried = true;
	t->written = stats.bytes_written;
	/* What would not shrink without one may do with it. */
	if (err > 0 && first)
		r->rule.again = true;
}

void training_step(struct device *d, struct recompressor *r)
{
	int level;

	r->evicted = 0;
	r->count = 0;
	dicts_retire(d);
	if (!find_level(&r->cold, &level))
		return;
	if (is_due(d, r))
		train(d, r, level);
	recompressor_use_dicts(d, r);
}
