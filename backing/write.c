/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects into batches, batches into the store, and word of it to the owners. */
#include <errno.h>
#include <string.h>

#include "backing/types.h"

bool record_parse(const struct backing *b, const uint8_t *bytes, uint32_t segment, uint32_t at,
		  struct backing_object *ret)
{
	unsigned int use = b->segments[segment].use;
	struct record record;

	if (b->segment_size - at < sizeof(record))
		return false;
	memcpy(&record, bytes + at, sizeof(record));
	*ret = (struct backing_object){
		.location = location_make((uint64_t)segment * b->segment_size + at, use),
		.owner = record.owner,
		.len = (uint16_t)((record.info & (BACKING_OBJECT_MAX - 1)) + 1),
		.encoding =
			record.info >> RECORD_ENCODING_SHIFT & ((1U << BACKING_ENCODING_BITS) - 1),
	};
	return record.info == record_info(ret) && record_size(ret->len) <= b->segment_size - at;
}

/* On a thread of the engine's. */
static void written(struct engine_io *io, int error)
{
	struct batch *batch = (struct batch *)(void *)io;

	batch->error = error;
	__atomic_store_n(&batch->done, 1, __ATOMIC_SEQ_CST);
	parking_notify(&batch->backing->writer_parking, true);
}

static bool is_done(const struct batch *batch)
{
	return batch->state == BATCH_WRITING && __atomic_load_n(&batch->done, __ATOMIC_SEQ_CST);
}

static void submit(struct backing *b, struct batch *batch)
{
	uint32_t len = (uint32_t)align_up(batch->used, WRITE_UNIT);
	int error = backing_writable(b);

	memset(batch->buf + batch->used, 0, len - batch->used);
	b->filling = NULL;
	batch->state = BATCH_WRITING;
	batch->io = (struct engine_io){
		.op = ENGINE_WRITE,
		.buf = batch->buf,
		.len = len,
		.offset = (uint64_t)batch->segment * b->segment_size,
		.done = written,
	};
	if (error == 0)
		engine_submit(b->engine, &batch->io);
	else
		written(&batch->io, error);
}

static uint64_t *way_of(struct backing *b, uint32_t owner, uint64_t *ret_bit)
{
	*ret_bit = UINT64_C(1) << (owner % 64);
	return &b->on_the_way[owner % ON_THE_WAY / 64];
}

/* Tell the owner of one object, and count the one it does not name any more as dead. */
static void settle_object(struct backing *b, const struct batch *batch,
			  const struct backing_object *object, const void *payload,
			  const struct backing_origin *origin)
{
	const struct backing_ops *ops = &b->options.ops;
	backing_location from = origin->from;
	struct backing_object old = *object;
	bool named = ops->written(ops->opaque, object, payload, origin, batch->error) &&
		     batch->error == 0;

	old.location = from;
	if (!named)
		backing_free(b, object);
	else if (from != BACKING_NONE)
		backing_free(b, &old);
	if (from != BACKING_NONE) {
		if (batch->error < 0)
			segment_set_tried(b, segment_of(b, from), false);
		backing_unpin(b, from);
	} else {
		uint64_t bit, *way = way_of(b, object->owner, &bit);

		*way &= ~bit;
	}
}

/* What the engine's state says by itself is not a failure of the store. */
static void note_error(struct backing *b, int error)
{
	if (error == 0)
		return;
	add_relaxed(&b->stats.failed_writes, 1);
	if (!load_relaxed(&b->failed))
		store_relaxed(&b->stats.error, error); /* what follows is refused, and says less */
	if (error != -ETIMEDOUT && error != -ENOTCONN && error != -ESTALE)
		store_relaxed(&b->failed, 1);
	if (b->flush_error == 0)
		b->flush_error = error;
}

static void settle(struct backing *b, struct batch *batch)
{
	struct backing_object object;
	uint64_t payload = 0;

	note_error(b, batch->error);
	for (uint32_t i = 0, at = 0; i < batch->count; i++, at += record_size(object.len)) {
		record_parse(b, batch->buf, batch->segment, at, &object);
		payload += object.len;
		settle_object(b, batch, &object, batch->buf + at + sizeof(struct record),
			      &batch->origins[i]);
	}
	if (batch->error == 0) {
		add_relaxed(&b->stats.objects, batch->count);
		add_relaxed(&b->stats.payload, payload);
		add_relaxed(&b->stats.bytes_written, batch->io.len);
	}
	batch->state = BATCH_IDLE;
	segment_seal(b, batch->segment);
}

/* How many are still being written? */
static unsigned int reap(struct backing *b)
{
	unsigned int writing = 0;

	for (unsigned int i = 0; i < b->options.depth; i++) {
		if (is_done(&b->batches[i]))
			settle(b, &b->batches[i]);
		writing += b->batches[i].state == BATCH_WRITING;
	}
	return writing;
}

/* Sleep until one more has been written. */
static void wait_for_batch(struct backing *b)
{
	uint32_t sequence = parking_enter(&b->writer_parking);

	for (unsigned int i = 0; i < b->options.depth; i++)
		if (is_done(&b->batches[i]))
			return parking_leave(&b->writer_parking);
	parking_wait(&b->writer_parking, sequence);
}

static struct batch *find_idle(const struct backing *b)
{
	for (unsigned int i = 0; i < b->options.depth; i++)
		if (b->batches[i].state == BATCH_IDLE)
			return &b->batches[i];
	return NULL;
}

/* A batch to fill. What is being written may free a segment, so -ENOSPC is when nothing is. */
static int begin(struct backing *b, bool cleaning)
{
	for (;;) {
		unsigned int writing = reap(b);
		struct batch *batch = find_idle(b);

		if (batch && segment_take(b, cleaning, &batch->segment) == 0) {
			batch->state = BATCH_FILLING;
			batch->used = batch->count = 0;
			batch->error = 0;
			store_relaxed(&batch->done, 0);
			b->filling = batch;
			return 0;
		}
		if (writing == 0)
			return -ENOSPC;
		wait_for_batch(b);
	}
}

int object_append(struct backing *b, struct backing_object *object, const void *payload,
		  struct backing_origin origin)
{
	uint32_t size = record_size(object->len), end;
	struct record record;
	struct batch *batch;
	int r = backing_writable(b);

	if (r < 0)
		return r;
	if (b->filling && (b->segment_size - b->filling->used < size ||
			   b->filling->count == b->batch_objects_max))
		submit(b, b->filling);
	r = b->filling ? 0 : begin(b, origin.from != BACKING_NONE);
	if (r < 0)
		return r;
	batch = b->filling;
	object->location = location_make((uint64_t)batch->segment * b->segment_size + batch->used,
					 b->segments[batch->segment].use);
	record = (struct record){
		.owner = object->owner,
		.info = record_info(object),
		.checksum = record_checksum(b->key, object, payload),
	};
	memcpy(batch->buf + batch->used, &record, sizeof(record));
	memcpy(batch->buf + batch->used + sizeof(record), payload, object->len);
	/* What is left of the last unit must not tell what stood there. */
	end = batch->used + (uint32_t)sizeof(record) + object->len;
	batch->used += size;
	memset(batch->buf + end, 0, batch->used - end);
	batch->origins[batch->count++] = origin;
	segment_add(b, batch->segment, size);
	if (origin.from != BACKING_NONE)
		backing_pin(b, origin.from);
	return 0;
}

int backing_append(struct backing *b, uint32_t owner, uint8_t encoding, const void *payload,
		   size_t len, uint64_t cookie, backing_location *ret_location)
{
	struct backing_object object = {.owner = owner, .len = (uint16_t)len, .encoding = encoding};
	struct backing_origin origin = {.cookie = cookie};
	uint64_t bit, *way = way_of(b, owner, &bit);
	int r;

	if (len == 0 || len > BACKING_OBJECT_MAX || encoding >> BACKING_ENCODING_BITS)
		return -EINVAL;
	/* Before `written` is called for anything: the slot is marked for this object already, and
	   the mark would be taken for the other's. */
	if (*way & bit)
		return -EALREADY;
	r = object_append(b, &object, payload, origin);
	if (r < 0)
		return r;
	*way |= bit;
	if (ret_location)
		*ret_location = object.location;
	return 0;
}

void backing_reap(struct backing *b)
{
	reap(b);
}

int backing_flush(struct backing *b)
{
	int r;

	if (b->filling)
		submit(b, b->filling);
	while (reap(b) > 0)
		wait_for_batch(b);
	r = b->flush_error;
	b->flush_error = 0;
	return r;
}
