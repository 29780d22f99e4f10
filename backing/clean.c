/* SPDX-License-Identifier: BSD-3-Clause */
/* A segment that is mostly dead: its live objects are appended again, after which all of it is. */
#include <errno.h>

#include "backing/types.h"

static bool is_whole(const struct backing *b, const struct backing_object *object,
		     const uint8_t *record)
{
	const struct record *said = (const struct record *)(const void *)record;

	return said->checksum == record_checksum(b->key, object, record + sizeof(*said));
}

/*
 * Append what is live among the bytes of a segment. What has been damaged stays where it is, and
 * where a length is, what is behind it to the end of its batch. -EIO: there was such.
 */
static int move_objects(struct backing *b, uint32_t segment)
{
	struct backing_object object;
	bool damaged = false;

	for (uint32_t at = 0; record_next(b, b->cleaning.buf, segment, &at, &object);
	     at += record_size(object.len)) {
		struct backing_origin origin = {.from = object.location};
		const uint8_t *record = b->cleaning.buf + at;
		int r;

		if (!b->options.ops.names(b->options.ops.opaque, &object))
			continue;
		if (!is_whole(b, &object, record)) {
			damaged = true;
			continue;
		}
		r = object_append(b, &object, record + sizeof(struct record), origin);
		if (r < 0)
			return r;
		add_relaxed(&b->stats.moved, 1);
	}
	return damaged ? -EIO : 0;
}

/* On a thread of the engine's. */
static void read_done(struct engine_io *io, int error)
{
	struct cleaning *c = (struct cleaning *)(void *)io;

	c->error = error;
	__atomic_store_n(&c->done, 1, __ATOMIC_SEQ_CST);
	parking_notify(&c->backing->writer_parking, true);
}

static bool is_read(const void *item)
{
	const struct cleaning *c = item;

	return __atomic_load_n(&c->done, __ATOMIC_SEQ_CST) != 0;
}

static int await_read(struct backing *b)
{
	struct cleaning *c = &b->cleaning;
	int r = c->is_reading ? writer_await(b, is_read, c) : 0;

	if (r == 0)
		c->is_reading = false;
	return r;
}

/* Its bytes into the buffer, once nobody else's are on their way there. */
static int read_segment(struct backing *b, uint32_t segment)
{
	struct cleaning *c = &b->cleaning;
	int r = await_read(b);

	if (r < 0)
		return r;
	c->is_reading = true;
	store_relaxed(&c->done, 0);
	c->io = (struct engine_io){
		.op = ENGINE_READ,
		.buf = c->buf,
		.len = b->segment_size,
		.offset = (uint64_t)segment * b->segment_size,
		.done = read_done,
	};
	engine_submit(b->engine, &c->io);
	r = await_read(b);
	return r < 0 ? r : c->error;
}

int backing_clean(struct backing *b)
{
	uint32_t segment;
	int r = backing_writable(b);

	if (r == 0)
		r = memory_for_cleaning(b);
	if (r < 0)
		return r;
	if (!segment_pick(b, &segment)) {
		/* One that is open may be. */
		writer_end_segments(b);
		if (!segment_pick(b, &segment))
			return -EAGAIN;
	}
	r = read_segment(b, segment);
	if (r == 0)
		r = move_objects(b, segment);
	else if (r != -ECANCELED)
		r = r == -ETIMEDOUT ? -ENOTCONN : -EIO;
	if (r == 0)
		add_relaxed(&b->stats.cleaned, 1);
	if (r == 0 || r == -EIO)
		segment_set_tried(b, segment, true);
	segment_unpin(b, segment);
	return r;
}
