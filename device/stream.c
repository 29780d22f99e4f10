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

static struct stream *try_get(struct device *d)
{
	/* The CPU's own one first: its contexts are likely to be in that CPU's cache. */
	int cpu = sched_getcpu();
	unsigned int first = (cpu < 0 ? 0 : (unsigned int)cpu) % d->nr_streams;

	for (unsigned int i = 0; i < d->nr_streams; i++) {
		struct stream *s = &d->streams[(first + i) % d->nr_streams];

		if (load_relaxed(&s->taken) == 0 &&
		    __atomic_exchange_n(&s->taken, 1, __ATOMIC_SEQ_CST) == 0)
			return s;
	}
	return NULL;
}

struct stream *stream_get(struct device *d)
{
	struct stream *s = try_get(d);

	while (unlikely(!s)) {
		uint32_t sequence = parking_enter(&d->streams_parking);

		s = try_get(d);
		if (s)
			parking_leave(&d->streams_parking);
		else
			parking_wait(&d->streams_parking, sequence);
	}
	return s;
}

void stream_put(struct device *d, struct stream *s)
{
	__atomic_exchange_n(&s->taken, 0, __ATOMIC_SEQ_CST);
	parking_notify(&d->streams_parking, false);
}

/* Twice the CPUs, since whoever holds one may be preempted; but no more than 4 MiB of them. */
static unsigned int default_streams(void)
{
	return (unsigned int)min_u64(2 * os_cpus(), 24);
}

int streams_new(struct device *d, const struct device_options *options)
{
	unsigned int n = options->streams ? options->streams : default_streams();
	struct codec_method method = options->method;
	void *memory;

	/* A longer payload would take a page of its own all the same. */
	method.max_payload = min_u64(method.max_payload, ZS_MAX_SHARED);

	if (posix_memalign(&memory, CACHE_LINE, n * sizeof(struct stream)) != 0)
		return -ENOMEM;
	d->streams = memset(memory, 0, n * sizeof(struct stream));
	while (d->nr_streams < n) {
		int r = codec_stream_new(&method, &d->streams[d->nr_streams].codec);

		if (r < 0)
			return r;
		d->nr_streams++;
	}
	return 0;
}

void streams_free(struct device *d)
{
	for (unsigned int i = 0; i < d->nr_streams; i++)
		codec_stream_free(d->streams[i].codec);
	free(d->streams);
}
