/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests: ranges of bytes, taken apart into pages. */
#include <errno.h>
#include <string.h>

#include "device/device-types.h"

/*
 * Pages that are worked on with one stream in hand, so that a request of many megabytes does not
 * keep it from the others.
 */
#define PAGES_PER_TURN 64

struct range {
	uint64_t page;
	size_t from, n; /* bytes of this page */
};

/* The part of [offset, offset + count) that falls into the page at OFFSET. */
static struct range first_page(uint64_t offset, uint64_t count)
{
	size_t from = offset % DEVICE_PAGE_SIZE;

	return (struct range){
		.page = offset / DEVICE_PAGE_SIZE,
		.from = from,
		.n = (size_t)min_u64(DEVICE_PAGE_SIZE - from, count),
	};
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

static int read_page(struct device *d, struct stream *s, const struct range *r, void *buf)
{
	if (leaf_ready(d, r->page))
		return page_read(d, s, r->page, r->from, r->n, buf);
	memset(buf, 0, r->n);
	return 0;
}

int device_read(struct device *d, void *buf, uint64_t offset, size_t count)
{
	struct stream *s = NULL;
	size_t done = 0;
	int r = device_check(d, offset, count);

	if (r < 0)
		return r;
	s = stream_get(d);
	for (unsigned int pages = 0; r == 0 && done < count; pages++) {
		struct range range = first_page(offset + done, count - done);

		if (pages == PAGES_PER_TURN) {
			stream_put(d, s);
			s = stream_get(d);
			pages = 0;
		}
		prefetch(d, range.page + 1);
		r = read_page(d, s, &range, (char *)buf + done);
		done += range.n;
	}
	counter_add(&s->counters.reads, 1);
	if (r == 0)
		counter_add(&s->counters.bytes_read, count);
	else
		counter_add(&s->counters.failed_reads, 1);
	stream_put(d, s);
	return r;
}

static int write_page(struct device *d, struct stream *s, const struct range *r, const void *buf)
{
	if (r->n == DEVICE_PAGE_SIZE)
		return page_write(d, s, r->page, buf);
	return page_write_part(d, s, r->page, r->from, r->n, buf);
}

int device_write(struct device *d, const void *buf, uint64_t offset, size_t count)
{
	struct stream *s;
	size_t done = 0;
	int r = device_check(d, offset, count);

	if (r < 0)
		return r;
	s = stream_get(d);
	for (unsigned int pages = 0; r == 0 && done < count; pages++) {
		struct range range = first_page(offset + done, count - done);

		if (pages == PAGES_PER_TURN) {
			stream_put(d, s);
			s = stream_get(d);
			pages = 0;
		}
		r = write_page(d, s, &range, (const char *)buf + done);
		done += range.n;
	}
	counter_add(&s->counters.writes, 1);
	if (r == 0)
		counter_add(&s->counters.bytes_written, count);
	else
		counter_add(&s->counters.failed_writes, 1);
	stream_put(d, s);
	return r;
}

/* Is this all there is of the page? The last page of the device may be shorter than others. */
static bool is_whole(const struct device *d, uint64_t offset, const struct range *r)
{
	return r->from == 0 && (r->n == DEVICE_PAGE_SIZE || offset + r->n == d->size);
}

static int discard_page(struct device *d, struct stream *s, uint64_t offset, const struct range *r,
			bool zero)
{
	static const char zeros[DEVICE_PAGE_SIZE];

	if (is_whole(d, offset, r)) {
		counter_add(&s->counters.notify_free, page_clear(d, s, r->page));
		return 0;
	}
	return zero ? page_write_part(d, s, r->page, r->from, r->n, zeros) : 0;
}

/* Bytes from OFFSET on whose slots were never touched, up to the end of their leaf. */
static uint64_t untouched(const struct device *d, uint64_t offset)
{
	const uint64_t leaf_bytes = SLOTS_PER_LEAF * DEVICE_PAGE_SIZE;

	if (leaf_ready(d, offset / DEVICE_PAGE_SIZE))
		return 0;
	return leaf_bytes - offset % leaf_bytes;
}

static int discard(struct device *d, struct stream **s, uint64_t offset, uint64_t n, bool zero)
{
	unsigned int pages = 0;
	int r = 0;

	while (r == 0 && n > 0) {
		uint64_t skip = min_u64(untouched(d, offset), n);
		struct range range = first_page(offset, n);

		if (skip == 0) {
			r = discard_page(d, *s, offset, &range, zero);
			skip = range.n;
		}
		offset += skip;
		n -= skip;
		if (++pages % PAGES_PER_TURN == 0) {
			stream_put(d, *s);
			*s = stream_get(d);
		}
	}
	return r;
}

int device_trim(struct device *d, uint64_t offset, uint64_t count)
{
	struct stream *s;
	int r = device_check(d, offset, count);

	if (r < 0)
		return r;
	s = stream_get(d);
	r = discard(d, &s, offset, count, false);
	counter_add(&s->counters.trims, 1);
	stream_put(d, s);
	return r;
}

int device_zero(struct device *d, uint64_t offset, uint64_t count)
{
	struct stream *s;
	int r = device_check(d, offset, count);

	if (r < 0)
		return r;
	s = stream_get(d);
	r = discard(d, &s, offset, count, true);
	counter_add(&s->counters.zeroes, 1);
	if (r < 0)
		counter_add(&s->counters.failed_writes, 1);
	stream_put(d, s);
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
