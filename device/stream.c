/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams: as many (de)compressions at a time as CPUs can do, and not a context for every thread
 * that a front end may have: nbdkit keeps 16 a connection, and zstd's contexts take some 200 KiB.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "common/os.h"
#include "device/device-types.h"

static bool try_take(struct stream *s)
{
	uint32_t free = 0;

	return __atomic_compare_exchange_n(&s->state, &free, STREAM_TAKEN, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static struct stream *try_get(struct device *d)
{
	/* The CPU's own one first: its contexts are likely to be in that CPU's cache. */
	int cpu = sched_getcpu();
	unsigned int first = (cpu < 0 ? 0 : (unsigned int)cpu) % d->nr_streams;

	for (unsigned int i = 0; i < d->nr_streams; i++) {
		struct stream *s = &d->streams[(first + i) % d->nr_streams];

		if (load_relaxed(&s->state) == 0 && try_take(s))
			return s;
	}
	return NULL;
}

struct stream *stream_get(struct device *d)
{
	struct stream *s = try_get(d);
	bool waited = !s;

	while (unlikely(!s)) {
		uint32_t sequence = parking_enter(&d->streams_parking);

		s = try_get(d);
		if (s)
			parking_leave(&d->streams_parking);
		else
			parking_wait(&d->streams_parking, sequence);
	}
	if (unlikely(waited))
		counter_add(&s->counters.stream_waits, 1);
	return s;
}

void stream_put(struct device *d, struct stream *s)
{
	/* Sequentially consistent, as parking.h asks. */
	uint32_t before = __atomic_fetch_sub(&s->state, STREAM_TAKEN, __ATOMIC_SEQ_CST);

	if (unlikely(before & STREAM_WANTED))
		os_wake(&s->state, true);
	else
		parking_notify(&d->streams_parking, false);
}

/* Take this one, before any request does that is still to come. */
static void claim(struct stream *s)
{
	uint32_t state = __atomic_or_fetch(&s->state, STREAM_WANTED, __ATOMIC_SEQ_CST);

	while (state & STREAM_TAKEN) {
		os_wait(&s->state, state, -1);
		state = __atomic_load_n(&s->state, __ATOMIC_SEQ_CST);
	}
}

static void unclaim(struct device *d, struct stream *s)
{
	__atomic_exchange_n(&s->state, 0, __ATOMIC_SEQ_CST);
	parking_notify(&d->streams_parking, false);
}

/* Twice the CPUs, since whoever holds one may be preempted; but no more than 4 MiB of them. */
static unsigned int default_streams(void)
{
	return (unsigned int)min_u64(2 * os_cpus(), 24);
}

void streams_pass(struct device *d)
{
	for (unsigned int i = 0; i < d->nr_streams; i++) {
		claim(&d->streams[i]);
		unclaim(d, &d->streams[i]);
	}
}

void streams_hold(struct device *d)
{
	for (unsigned int i = 0; i < d->nr_streams; i++)
		claim(&d->streams[i]);
}

void streams_release(struct device *d)
{
	for (unsigned int i = 0; i < d->nr_streams; i++)
		unclaim(d, &d->streams[i]);
}

int stream_codec_new(struct device *d, const struct codec_method *method,
		     struct codec_stream **ret_codec)
{
	struct codec_method own = *method;
	int r;

	/* A longer payload would take a page of its own all the same. */
	own.max_payload = min_u64(own.max_payload, ZS_MAX_SHARED);
	r = codec_stream_new(&own, ret_codec);
	if (r == 0)
		codec_stream_set_dicts(*ret_codec, &d->dicts.table);
	return r;
}

static void set_codec(struct stream *s, struct codec_stream *codec)
{
	s->codec = codec;
	store_relaxed(&s->memory, codec_stream_memory(codec));
}

int streams_new(struct device *d, const struct device_options *options)
{
	unsigned int n = options->streams ? options->streams : default_streams();
	void *memory;

	if (posix_memalign(&memory, CACHE_LINE, n * sizeof(struct stream)) != 0)
		return -ENOMEM;
	d->streams = memset(memory, 0, n * sizeof(struct stream));
	while (d->nr_streams < n) {
		struct codec_stream *codec;
		int r = stream_codec_new(d, &options->method, &codec);

		if (r < 0)
			return r;
		set_codec(&d->streams[d->nr_streams++], codec);
	}
	return 0;
}

int streams_set_method(struct device *d, const struct codec_method *method)
{
	struct codec_stream **codecs = calloc(d->nr_streams, sizeof(struct codec_stream *));
	int r = codecs ? 0 : -ENOMEM;

	/* First all that can fail. */
	for (unsigned int i = 0; i < d->nr_streams && r == 0; i++)
		r = stream_codec_new(d, method, &codecs[i]);
	for (unsigned int i = 0; i < d->nr_streams && r == 0; i++) {
		struct stream *s = &d->streams[i];
		struct codec_stream *old;

		claim(s);
		old = s->codec;
		set_codec(s, codecs[i]);
		unclaim(d, s);
		codecs[i] = old;
	}
	for (unsigned int i = 0; i < d->nr_streams && codecs; i++)
		codec_stream_free(codecs[i]);
	free(codecs);
	return r;
}

int streams_prefault(struct device *d)
{
	int r = os_prefault(d->streams, d->nr_streams * sizeof(struct stream));

	for (unsigned int i = 0; i < d->nr_streams && r == 0; i++)
		r = os_prefault(d->streams[i].codec, d->streams[i].memory);
	return r;
}

void streams_free(struct device *d)
{
	for (unsigned int i = 0; i < d->nr_streams; i++)
		codec_stream_free(d->streams[i].codec);
	free(d->streams);
}
