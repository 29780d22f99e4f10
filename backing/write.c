/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects into batches, batches into the store, and word of it to the owners. */
#include <errno.h>
#include <string.h>

#include "backing/types.h"

/* Writing a batch has pushed it out of the caches; objects to look ahead by when it is settled. */
#define PREFETCH_AHEAD 8U

/* The record at AT of a segment, which stands in BYTES. */
static bool parse(const struct backing *b, const uint8_t *bytes, uint32_t segment, uint32_t at,
		  struct backing_object *ret)
{
	unsigned int use = b->segments[segment].use;
	struct record record;

	if (b->segment_size - at < sizeof(record))
		return false;
	memcpy(&record, bytes, sizeof(record));
	*ret = (struct backing_object){
		.location = location_make((uint64_t)segment * b->segment_size + at, use),
		.owner = record.owner,
		.len = (uint16_t)((record.info & (BACKING_OBJECT_MAX - 1)) + 1),
		.encoding =
			record.info >> RECORD_ENCODING_SHIFT & ((1U << BACKING_ENCODING_BITS) - 1),
	};
	return record.info == record_info(ret) && record_size(ret->len) <= b->segment_size - at;
}

bool record_next(const struct backing *b, const uint8_t *bytes, uint32_t segment, uint32_t *at,
		 struct backing_object *ret)
{
	for (; *at < b->segment_size; *at = (uint32_t)align_up(*at + 1U, WRITE_UNIT))
		if (parse(b, bytes + *at, segment, *at, ret))
			return true;
	return false;
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
	segment_add(b, batch->segment, batch->used);
	batch->outlet->filling = NULL;
	batch->outlet->open_used = batch->start + len;
	batch->state = BATCH_WRITING;
	batch->io = (struct engine_io){
		.op = ENGINE_WRITE,
		.buf = batch->buf,
		.len = len,
		.offset = (uint64_t)batch->segment * b->segment_size + batch->start,
		.done = written,
	};
	if (error == 0)
		engine_submit(b->engine, &batch->io);
	else
		written(&batch->io, error);
}

static void end_segment(struct backing *b, struct outlet *outlet)
{
	uint32_t segment = outlet->open;

	if (segment == 0 || outlet->filling)
		return;
	outlet->open = 0;
	segment_end(b, segment);
}

void writer_end_segments(struct backing *b)
{
	for (unsigned int i = 0; i < OUTLETS; i++)
		end_segment(b, &b->outlets[i]);
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
	for (uint32_t i = 0; i < batch->count; i++) {
		const struct batch_entry *entry = &batch->entries[i];
		const uint8_t *bytes = batch->buf + entry->at;

		if (i + PREFETCH_AHEAD < batch->count)
			__builtin_prefetch(batch->buf + batch->entries[i + PREFETCH_AHEAD].at);
		parse(b, bytes, batch->segment, batch->start + entry->at, &object);
		payload += object.len;
		settle_object(b, batch, &object, bytes + sizeof(struct record), &entry->origin);
	}
	if (batch->error == 0) {
		add_relaxed(&b->stats.objects, batch->count);
		add_relaxed(&b->stats.payload, payload);
		add_relaxed(&b->stats.bytes_written, batch->io.len);
	}
	batch->state = BATCH_IDLE;
	segment_settle(b, batch->segment);
	if (batch->error < 0 && batch->segment == batch->outlet->open)
		end_segment(b, batch->outlet);
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

static bool is_stopped(const struct backing *b)
{
	return b->stop && __atomic_load_n(b->stop, __ATOMIC_SEQ_CST) != 0;
}

int writer_await(struct backing *b, bool (*done)(const void *item), const void *item)
{
	for (;;) {
		uint32_t sequence = parking_enter(&b->writer_parking);
		bool stopped = is_stopped(b);

		if (stopped || done(item)) {
			parking_leave(&b->writer_parking);
			return stopped ? -ECANCELED : 0;
		}
		parking_wait(&b->writer_parking, sequence);
	}
}

static bool is_any_done(const void *item)
{
	const struct backing *b = item;

	for (unsigned int i = 0; i < b->options.depth; i++)
		if (is_done(&b->batches[i]))
			return true;
	return false;
}

/* Sleep until one more has been written. -ECANCELED. */
static int wait_for_batch(struct backing *b)
{
	return writer_await(b, is_any_done, b);
}

void backing_set_stop(struct backing *b, const uint32_t *stop)
{
	b->stop = stop;
}

void backing_wake(struct backing *b)
{
	parking_notify(&b->writer_parking, true);
}

/* One that there is memory for, or could be; those that have some are the first. */
static struct batch *find_idle(struct backing *b)
{
	for (unsigned int i = 0; i < b->options.depth; i++) {
		struct batch *batch = &b->batches[i];

		if (batch->state != BATCH_IDLE)
			continue;
		if (batch->buf || (memory_is_at_hand(b) && memory_for_batch(b, batch) == 0))
			return batch;
		break;
	}
	return NULL;
}

static bool is_cleaned(const struct backing *b, const struct outlet *outlet)
{
	return outlet == &b->outlets[OUTLET_CLEANED];
}

/* The segment that is open, or a new one. */
static int take_segment(struct backing *b, struct outlet *outlet)
{
	int r;

	if (outlet->open != 0)
		return 0;
	r = segment_take(b, is_cleaned(b, outlet), &outlet->open);
	outlet->open_used = 0;
	return r;
}

static void begin_batch(struct backing *b, struct outlet *outlet, struct batch *batch)
{
	batch->state = BATCH_FILLING;
	batch->outlet = outlet;
	batch->segment = outlet->open;
	batch->start = outlet->open_used;
	batch->used = batch->count = 0;
	batch->error = 0;
	store_relaxed(&batch->done, 0);
	segment_begin(b, batch->segment);
	outlet->filling = batch;
}

/* What is filled goes out as it is. True: there was something. */
static bool submit_all(struct backing *b)
{
	bool any = false;

	for (unsigned int i = 0; i < OUTLETS; i++) {
		if (!b->outlets[i].filling)
			continue;
		submit(b, b->outlets[i].filling);
		any = true;
	}
	return any;
}

/* A batch to fill. What is being written may free a segment, so -ENOSPC is when nothing is. */
static int begin(struct backing *b, struct outlet *outlet)
{
	for (;;) {
		unsigned int writing = reap(b);
		struct batch *batch = find_idle(b);
		int r;

		if (batch && take_segment(b, outlet) == 0) {
			begin_batch(b, outlet, batch);
			return 0;
		}
		/* The only one may be the other outlet's. */
		if (writing == 0 && (batch || !submit_all(b)))
			return -ENOSPC;
		r = wait_for_batch(b);
		if (r < 0)
			return r;
	}
}

/* Bytes that the open segment has left. */
static uint32_t room(const struct backing *b, const struct outlet *outlet)
{
	if (outlet->filling)
		return b->segment_size - outlet->filling->start - outlet->filling->used;
	return outlet->open != 0 ? b->segment_size - outlet->open_used : 0;
}

/* Have a batch that takes a record of SIZE bytes. */
static int have_batch(struct backing *b, struct outlet *outlet, uint32_t size)
{
	bool fits = room(b, outlet) >= size;

	if (outlet->filling && (!fits || outlet->filling->count == b->batch_objects_max))
		submit(b, outlet->filling);
	if (!fits)
		end_segment(b, outlet);
	return outlet->filling ? 0 : begin(b, outlet);
}

int object_append(struct backing *b, struct backing_object *object, const void *payload,
		  struct backing_origin origin)
{
	struct outlet *outlet =
		&b->outlets[origin.from != BACKING_NONE ? OUTLET_CLEANED : OUTLET_POOL];
	uint32_t size = record_size(object->len), end;
	struct record record;
	struct batch *batch;
	int r = backing_writable(b);

	if (r < 0)
		return r;
	r = have_batch(b, outlet, size);
	if (r < 0)
		return r;
	batch = outlet->filling;
	object->location = location_make((uint64_t)batch->segment * b->segment_size + batch->start +
						 batch->used,
					 b->segments[batch->segment].use);
	record = (struct record){
		.owner = object->owner,
		.info = record_info(object),
		.checksum = record_checksum(b->key, object, payload),
	};
	batch->entries[batch->count++] = (struct batch_entry){.origin = origin, .at = batch->used};
	memcpy(batch->buf + batch->used, &record, sizeof(record));
	memcpy(batch->buf + batch->used + sizeof(record), payload, object->len);
	/* What is left of the last unit must not tell what stood there. */
	end = batch->used + (uint32_t)sizeof(record) + object->len;
	batch->used += size;
	memset(batch->buf + end, 0, batch->used - end);
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

	submit_all(b);
	while (reap(b) > 0) {
		r = wait_for_batch(b);
		if (r < 0)
			return r;
	}
	r = b->flush_error;
	b->flush_error = 0;
	return r;
}
