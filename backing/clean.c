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
 * where a length is, all behind it. -EIO: there was such.
 */
static int move_objects(struct backing *b, uint32_t segment)
{
	struct backing_object object;
	bool damaged = false;

	for (uint32_t at = 0; record_parse(b, b->cleaning, segment, at, &object);
	     at += record_size(object.len)) {
		struct backing_origin origin = {.from = object.location};
		const uint8_t *record = b->cleaning + at;
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

int backing_clean(struct backing *b)
{
	uint32_t segment;
	int r = backing_writable(b);

	if (r < 0)
		return r;
	if (!segment_pick_deadest(b, &segment))
		return -EAGAIN;
	r = engine_do(b->engine, ENGINE_READ, b->cleaning, b->segment_size,
		      (uint64_t)segment * b->segment_size);
	if (r < 0)
		r = r == -ETIMEDOUT ? -ENOTCONN : -EIO;
	else
		r = move_objects(b, segment);
	if (r == 0)
		add_relaxed(&b->stats.cleaned, 1);
	if (r == 0 || r == -EIO)
		segment_set_tried(b, segment, true);
	segment_unpin(b, segment);
	return r;
}
