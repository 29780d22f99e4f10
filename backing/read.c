/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects out of the store. */
#include <errno.h>
#include <string.h>

#include "backing/types.h"

/* At least one reader, at most COUNT, linked by next. Waits while none is idle. */
static struct reader *take_readers(struct backing *b, unsigned int count)
{
	for (;;) {
		uint32_t sequence = parking_enter(&b->readers_parking);
		struct reader *taken = NULL;

		pthread_mutex_lock(&b->lock);
		while (b->idle_readers && count-- > 0) {
			struct reader *reader = b->idle_readers;

			b->idle_readers = reader->next;
			reader->next = taken;
			taken = reader;
		}
		pthread_mutex_unlock(&b->lock);
		if (taken) {
			parking_leave(&b->readers_parking);
			return taken;
		}
		parking_wait(&b->readers_parking, sequence);
	}
}

static void put_reader(struct backing *b, struct reader *reader)
{
	pthread_mutex_lock(&b->lock);
	reader->next = b->idle_readers;
	b->idle_readers = reader;
	pthread_mutex_unlock(&b->lock);
	parking_notify(&b->readers_parking, false);
}

/* On a thread of the engine's. The reader may be somebody else's before this returns: its parking
 * is there for as long as the store is. */
static void read_done(struct engine_io *io, int error)
{
	struct reader *reader = (struct reader *)(void *)io;

	reader->error = error;
	__atomic_store_n(&reader->done, 1, __ATOMIC_SEQ_CST);
	parking_notify(&reader->parking, true);
}

/* The sectors that the object stands in are to be read. */
static void prepare(struct backing *b, struct reader *reader, struct backing_fetch *fetch)
{
	uint64_t block = b->engine->block;
	uint64_t offset = location_offset(fetch->object.location);
	uint64_t start = offset & ~(block - 1);
	uint64_t end = align_up(offset + sizeof(struct record) + fetch->object.len, block);

	reader->fetch = fetch;
	reader->skip = (uint32_t)(offset - start);
	store_relaxed(&reader->done, 0);
	reader->io = (struct engine_io){
		.op = ENGINE_READ,
		.buf = reader->io.buf,
		.len = (uint32_t)(end - start),
		.offset = start,
		.done = read_done,
	};
	if (reader->next)
		reader->io.next = &reader->next->io;
}

static void wait_for(struct reader *reader)
{
	while (!__atomic_load_n(&reader->done, __ATOMIC_SEQ_CST)) {
		uint32_t sequence = parking_enter(&reader->parking);

		if (__atomic_load_n(&reader->done, __ATOMIC_SEQ_CST))
			parking_leave(&reader->parking);
		else
			parking_wait(&reader->parking, sequence);
	}
}

/* The payload, if it is what the slot says. */
static int take_payload(const struct backing *b, const struct reader *reader)
{
	const struct backing_object *object = &reader->fetch->object;
	const uint8_t *at = (const uint8_t *)reader->io.buf + reader->skip;
	struct record record;

	memcpy(&record, at, sizeof(record));
	at += sizeof(record);
	if (record.owner != object->owner || record.info != record_info(object) ||
	    record.checksum != record_checksum(b->key, object, at))
		return -EIO;
	memcpy(reader->fetch->payload, at, object->len);
	return 0;
}

static int end(struct backing *b, struct reader *reader)
{
	int r;

	wait_for(reader);
	add_relaxed(&b->stats.reads, 1);
	if (reader->error < 0) {
		add_relaxed(&b->stats.failed_reads, 1);
		r = -EIO;
	} else {
		add_relaxed(&b->stats.bytes_read, reader->io.len);
		r = take_payload(b, reader);
		if (r < 0)
			add_relaxed(&b->stats.damaged, 1);
	}
	reader->fetch->error = r;
	return r;
}

int backing_read(struct backing *b, struct backing_fetch *fetches, unsigned int count)
{
	int r = 0;

	while (count > 0) {
		struct reader *taken = take_readers(b, count), *next;

		for (struct reader *reader = taken; reader; reader = reader->next) {
			prepare(b, reader, fetches++);
			count--;
		}
		engine_submit(b->engine, &taken->io);
		for (; taken; taken = next) {
			next = taken->next;
			if (end(b, taken) < 0)
				r = -EIO;
			put_reader(b, taken);
		}
	}
	return r;
}
