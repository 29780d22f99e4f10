/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects out of the store.
 *
 * What was written back together stands together, and is mostly wanted together: a request of a device,
 * a file system's or swap's read ahead. A disk and the way to it take about as long for many sectors as for
 * one, so objects whose sectors touch or overlap, a *run*, are read at once. No sector is read in which no
 * wanted object stands.
 */
#include <errno.h>
#include <string.h>

#include "backing/types.h"

/* Fetches that are sorted, and cut into runs, at a time. */
#define READ_TURN 64U

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

/* Bytes of the store, whole sectors. */
struct span {
	uint64_t start, end;
};

static struct span span_of(const struct backing *b, const struct backing_fetch *fetch)
{
	uint64_t block = b->engine->block;
	uint64_t offset = location_offset(fetch->object.location);

	return (struct span){
		.start = offset & ~(block - 1),
		.end = align_up(offset + sizeof(struct record) + fetch->object.len, block),
	};
}

/*
 * How many of COUNT fetches, from the first on, are one read: those whose sectors touch or overlap, as
 * far as they fit into a buffer, and no more than MOST.
 */
static unsigned int find_run(const struct backing *b, struct backing_fetch **sorted,
			     unsigned int count, unsigned int most, struct span *ret_span)
{
	struct span run = span_of(b, sorted[0]);
	unsigned int n;

	for (n = 1; n < count && n < most; n++) {
		struct span next = span_of(b, sorted[n]);
		uint64_t end = max_u64(run.end, next.end);

		if (next.start > run.end || end - run.start > READ_SIZE)
			break;
		run.end = end;
	}
	*ret_span = run;
	return n;
}

static unsigned int count_runs(const struct backing *b, struct backing_fetch **sorted,
			       unsigned int count, unsigned int most)
{
	unsigned int runs = 0;
	struct span ignored;

	for (unsigned int at = 0; at < count; runs++)
		at += find_run(b, sorted + at, count - at, most, &ignored);
	return runs;
}

/* The next run is the reader's. */
static void prepare(struct backing *b, struct reader *reader, struct backing_fetch **sorted,
		    unsigned int count, unsigned int most)
{
	struct span span;

	reader->run = sorted;
	reader->count = find_run(b, sorted, count, most, &span);
	reader->start = span.start;
	store_relaxed(&reader->done, 0);
	reader->io = (struct engine_io){
		.op = ENGINE_READ,
		.buf = reader->io.buf,
		.len = (uint32_t)(span.end - span.start),
		.offset = span.start,
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
static int take_payload(const struct backing *b, const struct reader *reader,
			const struct backing_fetch *fetch)
{
	const struct backing_object *object = &fetch->object;
	const uint8_t *at = (const uint8_t *)reader->io.buf +
			    (location_offset(object->location) - reader->start);
	struct record record;

	memcpy(&record, at, sizeof(record));
	at += sizeof(record);
	if (record.owner != object->owner || record.info != record_info(object) ||
	    record.checksum != record_checksum(b->key, object, at))
		return -EIO;
	memcpy(fetch->payload, at, object->len);
	return 0;
}

/*
 * The sectors of one object may have failed a run of many, and then each is read alone. But whoever
 * does not answer for all of it, nor will for a part: he is not waited for twice.
 */
static bool is_to_be_split(const struct backing *b, const struct reader *reader)
{
	int error = reader->error;

	return reader->count > 1 &&
	       !(b->engine->remote &&
		 (error == -ETIMEDOUT || error == -ESTALE || error == -ECANCELED));
}

static void end_failed(struct backing *b, struct reader *reader)
{
	bool split = is_to_be_split(b, reader);

	for (unsigned int i = 0; i < reader->count; i++)
		reader->run[i]->error = split ? -EAGAIN : -EIO;
	if (split)
		return;
	add_relaxed(&b->stats.reads, reader->count);
	add_relaxed(&b->stats.failed_reads, reader->count);
}

/* Each object has its error; -EAGAIN: it is to be read alone. */
static void end(struct backing *b, struct reader *reader)
{
	wait_for(reader);
	add_relaxed(&b->stats.read_requests, 1);
	if (reader->error < 0) {
		end_failed(b, reader);
		return;
	}
	add_relaxed(&b->stats.reads, reader->count);
	add_relaxed(&b->stats.bytes_read, reader->io.len);
	for (unsigned int i = 0; i < reader->count; i++) {
		struct backing_fetch *fetch = reader->run[i];

		fetch->error = take_payload(b, reader, fetch);
		if (fetch->error < 0)
			add_relaxed(&b->stats.damaged, 1);
	}
}

/* Runs of MOST objects at most, as many at once as there are buffers for. */
static void read_sorted(struct backing *b, struct backing_fetch **sorted, unsigned int count,
			unsigned int most)
{
	while (count > 0) {
		struct reader *taken = take_readers(b, count_runs(b, sorted, count, most)), *next;

		for (struct reader *reader = taken; reader; reader = reader->next) {
			prepare(b, reader, sorted, count, most);
			sorted += reader->count;
			count -= reader->count;
		}
		engine_submit(b->engine, &taken->io);
		for (; taken; taken = next) {
			next = taken->next;
			end(b, taken);
			put_reader(b, taken);
		}
	}
}

/* By their places. They mostly come in that order: what was written back together is read together. */
static void sort(struct backing_fetch *fetches, unsigned int count, struct backing_fetch **ret)
{
	for (unsigned int i = 0; i < count; i++) {
		uint64_t offset = location_offset(fetches[i].object.location);
		unsigned int at = i;

		for (; at > 0 && location_offset(ret[at - 1]->object.location) > offset; at--)
			ret[at] = ret[at - 1];
		ret[at] = &fetches[i];
	}
}

static int read_turn(struct backing *b, struct backing_fetch *fetches, unsigned int count)
{
	struct backing_fetch *sorted[READ_TURN];
	unsigned int alone = 0;
	int r = 0;

	sort(fetches, count, sorted);
	read_sorted(b, sorted, count, count);
	for (unsigned int i = 0; i < count; i++)
		if (sorted[i]->error == -EAGAIN)
			sorted[alone++] = sorted[i];
	read_sorted(b, sorted, alone, 1);
	for (unsigned int i = 0; i < count; i++)
		if (fetches[i].error < 0)
			r = -EIO;
	return r;
}

int backing_read(struct backing *b, struct backing_fetch *fetches, unsigned int count)
{
	int r = 0;

	while (count > 0) {
		unsigned int turn = count < READ_TURN ? count : READ_TURN;

		if (read_turn(b, fetches, turn) < 0)
			r = -EIO;
		fetches += turn;
		count -= turn;
	}
	return r;
}
