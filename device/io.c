/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests: ranges of bytes, taken apart into pages. */
#include <errno.h>
#include <string.h>

#include "device/device-types.h"
#include "device/fetch.h"

/*
 * Pages that are worked on with one stream in hand, so that a request of many megabytes does not
 * keep it from the others.
 */
#define PAGES_PER_TURN 64

struct request {
	struct device *device;
	struct stream *stream;
	uint64_t start, at, end; /* bytes; at: what comes next */
	unsigned int pages;	 /* since the stream was taken */
	bool writes;
	struct limit_wait wait;
	uint64_t waited; /* for memory: zs_refill() */
};

/* A part of a request: bytes FROM .. FROM + N - 1 of a page. */
struct part {
	uint64_t page;
	size_t from, n;
	uint64_t done; /* bytes of the request before it */
};

/* -EINVAL: outside the device. WRITES: it may take memory, and is slowed where that gets scarce. */
static int request_begin(struct request *q, struct device *d, uint64_t offset, uint64_t count,
			 bool writes)
{
	int r = device_check(d, offset, count);

	if (r < 0)
		return r;
	*q = (struct request){
		.device = d,
		.start = offset,
		.at = offset,
		.end = offset + count,
		.writes = writes,
	};
	if (writes)
		limit_slow(d, &q->wait);
	q->stream = stream_get(d);
	return 0;
}

static void request_end(struct request *q)
{
	stream_put(q->device, q->stream);
}

/* R: how it has ended. Before request_end(). */
static void count_wait(struct request *q, int r)
{
	struct counters *c = &q->stream->counters;

	if (unlikely(q->wait.waited)) {
		counter_add(&c->writes_slowed, 1);
		counter_add(&c->slowed_ns, q->wait.ns);
	}
	if (unlikely(r == -ENOSPC))
		counter_add(&c->writes_refused, 1);
}

/* The next part of the request; false when there is none. */
static bool request_next(struct request *q, struct part *ret_part)
{
	size_t from = q->at % DEVICE_PAGE_SIZE;

	if (q->at == q->end)
		return false;
	if (q->pages++ == PAGES_PER_TURN) {
		stream_put(q->device, q->stream);
		if (q->writes)
			limit_slow(q->device, &q->wait);
		q->stream = stream_get(q->device);
		q->pages = 1;
	}
	*ret_part = (struct part){
		.page = q->at / DEVICE_PAGE_SIZE,
		.from = from,
		.n = (size_t)min_u64(DEVICE_PAGE_SIZE - from, q->end - q->at),
		.done = q->at - q->start,
	};
	q->at += ret_part->n;
	return true;
}

/*
 * Have the next page's payload on its way while this one is decompressed. Also behind the last one
 * of a request: whoever reads pages one by one mostly reads them in order.
 */
static void prefetch(struct device *d, uint64_t page)
{
	slot_word word;
	const char *at;

	if (page >= d->pages || !leaf_ready(d, page))
		return;
	word = slot_peek(&d->slots[page]);
	if (slot_state(word) != SLOT_POOL)
		return;
	/* It may move or go meanwhile: nothing is read here, and the address is the arena's. */
	at = zs_payload(d->pool, slot_ref(word), slot_len(word));
	for (size_t i = 0; i < 4 * CACHE_LINE; i += CACHE_LINE)
		__builtin_prefetch(at + i);
}

/* Pages of a request that are read from the backing store at a time. */
#define AWAY_MAX 32

/* Those that are to be. Each is fetched into its own part of the request's buffer. */
struct away {
	unsigned int count;
	struct part parts[AWAY_MAX];
	struct fetch fetches[AWAY_MAX];
	struct backing_fetch objects[AWAY_MAX];
};

/* Read what is pinned; others may have the stream meanwhile. */
static void fetch(struct request *q, struct backing_fetch *objects, unsigned int count)
{
	stream_put(q->device, q->stream);
	fetch_read(q->device, objects, count);
	q->stream = stream_get(q->device);
}

/* A page that is away, or was: again, until it has been as it was before for as long as that takes. */
static __attribute__((noinline)) int read_alone(struct request *q, const struct part *p, void *buf)
{
	uint8_t payload[DEVICE_PAGE_SIZE];
	struct backing_fetch object = {.payload = payload};
	struct fetch one = {.to = &object};
	int r;

	while ((r = page_read(q->device, q->stream, p->page, p->from, p->n, buf, &one)) ==
	       PAGE_AWAY)
		fetch(q, &object, 1);
	fetch_end(q->device, &one);
	return r;
}

static int read_part(struct request *q, const struct part *p, void *buf, struct away *away)
{
	unsigned int i = away->count;
	int r;

	if (!leaf_ready(q->device, p->page)) {
		memset(buf, 0, p->n);
		return 0;
	}
	away->parts[i] = *p;
	away->objects[i].payload = buf;
	away->fetches[i] = (struct fetch){.to = &away->objects[i]};
	r = page_read(q->device, q->stream, p->page, p->from, p->n, buf, &away->fetches[i]);
	if (r != PAGE_AWAY)
		return r;
	if (p->n == DEVICE_PAGE_SIZE) {
		away->count++;
		return 0;
	}
	/* There is no room for its payload. */
	fetch_end(q->device, &away->fetches[i]);
	return read_alone(q, p, buf);
}

/* Read those that are away, all at once. */
static int read_away(struct request *q, struct away *away)
{
	struct device *d = q->device;
	int r = 0;

	if (away->count == 0)
		return 0;
	fetch(q, away->objects, away->count);
	for (unsigned int i = 0; i < away->count; i++) {
		const struct part *p = &away->parts[i];
		void *buf = away->objects[i].payload;

		if (r == 0)
			r = page_read(d, q->stream, p->page, p->from, p->n, buf, &away->fetches[i]);
		fetch_end(d, &away->fetches[i]);
		if (r == PAGE_AWAY)
			r = read_alone(q, p, buf);
	}
	away->count = 0;
	return r;
}

static void give_up(struct request *q, struct away *away)
{
	for (unsigned int i = 0; i < away->count; i++)
		fetch_end(q->device, &away->fetches[i]);
}

int device_read(struct device *d, void *buf, uint64_t offset, size_t count)
{
	struct request q;
	struct part part;
	struct away away;
	int r = request_begin(&q, d, offset, count, false);

	if (r < 0)
		return r;
	away.count = 0;
	while (r == 0 && request_next(&q, &part)) {
		prefetch(d, part.page + 1);
		r = read_part(&q, &part, (char *)buf + part.done, &away);
		if (r == 0 && away.count == AWAY_MAX)
			r = read_away(&q, &away);
	}
	if (r == 0)
		r = read_away(&q, &away);
	give_up(&q, &away);
	counter_add(&q.stream->counters.reads, 1);
	if (r == 0)
		counter_add(&q.stream->counters.bytes_read, count);
	else
		counter_add(&q.stream->counters.failed_reads, 1);
	request_end(&q);
	return r;
}

bool device_is_away(struct device *d, uint64_t offset, uint64_t count)
{
	if (!device_writeback_of(d) || offset > d->size || count > d->size - offset)
		return false;
	for (uint64_t page = offset / DEVICE_PAGE_SIZE; page * DEVICE_PAGE_SIZE < offset + count;
	     page++)
		if (leaf_ready(d, page) && slot_is_backed(slot_peek(&d->slots[page])))
			return true;
	return false;
}

/* For a part of a page, as zs_refill(); others may have the stream meanwhile. */
static int have_memory(struct request *q)
{
	size_t len = q->stream->wanted;
	int r;

	stream_put(q->device, q->stream);
	r = zs_refill(q->device->pool, len, &q->waited);
	q->stream = stream_get(q->device);
	q->stream->wanted = len;
	return r;
}

/* What stands in the rest of the page may be away. */
static int write_in_page(struct request *q, const struct part *p, const void *buf)
{
	uint8_t payload[DEVICE_PAGE_SIZE];
	struct backing_fetch object = {.payload = payload};
	struct fetch one = {.to = &object};
	int r;

	for (;;) {
		r = page_write_part(q->device, q->stream, p->page, p->from, p->n, buf, &one);
		if (r == PAGE_AWAY)
			fetch(q, &object, 1);
		else if (r != -EAGAIN || (r = have_memory(q)) < 0)
			break;
	}
	fetch_end(q->device, &one);
	return r;
}

static int try_write(struct request *q, const struct part *p, const void *buf)
{
	if (p->n == DEVICE_PAGE_SIZE)
		return page_write(q->device, &q->stream, p->page, buf, &q->waited);
	return write_in_page(q, p, buf);
}

static int write_part(struct request *q, const struct part *p, const void *buf)
{
	int r = try_write(q, p, buf);

	q->wait.tries = 0;
	while (unlikely(r == -ENOSPC) && limit_hold(q->device, &q->stream, &q->wait))
		r = try_write(q, p, buf);
	return r;
}

int device_write(struct device *d, const void *buf, uint64_t offset, size_t count)
{
	struct request q;
	struct part part;
	int r = request_begin(&q, d, offset, count, true);

	if (r < 0)
		return r;
	while (r == 0 && request_next(&q, &part))
		r = write_part(&q, &part, (const char *)buf + part.done);
	counter_add(&q.stream->counters.writes, 1);
	if (r == 0)
		counter_add(&q.stream->counters.bytes_written, count);
	else
		counter_add(&q.stream->counters.failed_writes, 1);
	count_wait(&q, r);
	request_end(&q);
	return r;
}

static int discard_part(struct request *q, const struct part *p, bool zero)
{
	static const char zeros[DEVICE_PAGE_SIZE];

	if (is_whole(q->device, p->page, p->from, p->n)) {
		counter_add(&q->stream->counters.notify_free,
			    page_clear(q->device, q->stream, p->page));
		return 0;
	}
	if (!zero || slot_state(slot_peek(&q->device->slots[p->page])) == SLOT_EMPTY)
		return 0;
	return write_part(q, p, zeros);
}

/* Bytes from OFFSET on whose slots were never touched, up to the end of their leaf. */
static uint64_t untouched(const struct device *d, uint64_t offset)
{
	const uint64_t leaf_bytes = SLOTS_PER_LEAF * DEVICE_PAGE_SIZE;

	if (leaf_ready(d, offset / DEVICE_PAGE_SIZE))
		return 0;
	return leaf_bytes - offset % leaf_bytes;
}

static int discard(struct request *q, bool zero)
{
	struct part part;
	int r = 0;

	while (r == 0 && q->at < q->end) {
		uint64_t skip = untouched(q->device, q->at);

		if (skip > 0)
			q->at = min_u64(q->at + skip, q->end);
		else if (request_next(q, &part))
			r = discard_part(q, &part, zero);
	}
	return r;
}

int device_trim(struct device *d, uint64_t offset, uint64_t count)
{
	struct request q;
	int r = request_begin(&q, d, offset, count, false);

	if (r < 0)
		return r;
	r = discard(&q, false);
	counter_add(&q.stream->counters.trims, 1);
	request_end(&q);
	return r;
}

int device_zero(struct device *d, uint64_t offset, uint64_t count)
{
	struct request q;
	int r = request_begin(&q, d, offset, count, false);

	if (r < 0)
		return r;
	r = discard(&q, true);
	counter_add(&q.stream->counters.zeroes, 1);
	if (r < 0)
		counter_add(&q.stream->counters.failed_writes, 1);
	count_wait(&q, r);
	request_end(&q);
	return r;
}

int device_flush(struct device *d)
{
	struct stream *s = stream_get(d);

	counter_add(&s->counters.flushes, 1);
	stream_put(d, s);
	return 0;
}

static bool page_is_hole(struct device *d, uint64_t page)
{
	slot_word word = slot_peek(&d->slots[page]);

	return slot_state(word) == SLOT_EMPTY || word == slot_same(0, false);
}

int device_extents(struct device *d, uint64_t offset, uint64_t count,
		   int (*fn)(void *opaque, uint64_t offset, uint64_t length, bool hole),
		   void *opaque)
{
	uint64_t start = offset, end = offset + count;
	bool start_hole = true;
	int r = device_check(d, offset, count);

	if (r < 0)
		return r;
	while (offset < end) {
		uint64_t skip = untouched(d, offset);
		bool hole = skip > 0 || page_is_hole(d, offset / DEVICE_PAGE_SIZE);

		if (hole != start_hole && offset > start) {
			r = fn(opaque, start, offset - start, start_hole);
			if (r != 0)
				return r;
			start = offset;
		}
		start_hole = hole;
		offset += skip ? skip : DEVICE_PAGE_SIZE - offset % DEVICE_PAGE_SIZE;
	}
	return end > start ? fn(opaque, start, end - start, start_hole) : 0;
}
