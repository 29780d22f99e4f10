/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/seek.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/os.h"
#include "device/device-types.h"
#include "device/writeback-types.h"

#define NS_PER_S UINT64_C(1000000000)
#define AGAIN_NS (5 * NS_PER_S)

struct seek {
	struct backing_options options;
	char *where, *name;
	void (*found)(void *opaque);
	void *opaque;
	uint64_t next;	/* os_now() of the next attempt; the thread's */
	uint32_t error; /* of the last attempt, as an errno; atomic */
};

int device_seek_backing(struct device *d, const struct backing_options *options, int error,
			void (*found)(void *opaque), void *opaque)
{
	struct seek *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->options = *options;
	s->where = strdup(options->where);
	s->name = options->name ? strdup(options->name) : NULL;
	s->found = found;
	s->opaque = opaque;
	s->error = (uint32_t)-error;
	s->next = os_now() + AGAIN_NS;
	d->seek = s;
	if (s->where && (s->name || !options->name)) {
		s->options.where = s->where;
		s->options.name = s->name;
		return 0;
	}
	seek_free(s);
	d->seek = NULL;
	return -ENOMEM;
}

void seek_free(struct seek *s)
{
	if (!s)
		return;
	free(s->where);
	free(s->name);
	free(s);
}

int seek_error(const struct seek *s)
{
	return -(int)load_relaxed(&s->error);
}

/*
 * Requests know from the slots alone what is there, so none may change one between its being claimed and
 * their knowing of the store: all streams are held meanwhile, for some milliseconds.
 */
static void begin_to_use(struct device *d, struct writeback *w)
{
	pthread_mutex_lock(&d->settings_lock);
	streams_hold(d);
	writeback_begin(d, w);
	streams_release(d);
	pthread_mutex_unlock(&d->settings_lock);
}

void seek_look(struct device *d)
{
	struct seek *s = d->seek;
	char why[BACKING_WHY];
	struct writeback *w;
	int r;

	if (!s || device_writeback_of(d) || os_now() < s->next)
		return;
	r = writeback_open(d, &s->options, &w, why);
	if (r == 0) {
		begin_to_use(d, w);
		s->found(s->opaque);
		return;
	}
	store_relaxed(&s->error, (uint32_t)-r);
	s->next = os_now() + AGAIN_NS;
}
