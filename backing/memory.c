/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The buffers of a store. What readers use is had with the store, and so is what the first batch does; what
 * cleaning and the other batches do, the writer takes when it comes to it. So a server that starts where memory
 * is short, for one that was killed, needs little before it serves.
 *
 * Each is a mapping of its own: where memory is locked, a mapping is filled as it is made (serve/lock.c).
 */
#include <errno.h>

#include "backing/types.h"
#include "common/os.h"

#define PAGE UINT64_C(4096)

static int have(size_t size, uint8_t **ret_buf)
{
	void *memory;
	int r;

	if (*ret_buf)
		return 0;
	r = os_reserve(size, &memory);
	if (r < 0)
		return r;
	r = os_commit(memory, size);
	if (r < 0)
		os_unreserve(memory, size);
	else
		*ret_buf = memory;
	return r;
}

static size_t readers_size(const struct backing *b)
{
	return b->options.readers * READ_SIZE + ENGINE_BLOCK_MAX;
}

static int have_readers(struct backing *b)
{
	uint8_t *at;
	int r = have(readers_size(b), &b->memory);

	if (r < 0)
		return r;
	at = b->memory;
	for (unsigned int i = 0; i < b->options.readers; i++, at += READ_SIZE) {
		b->readers[i].io.buf = at;
		b->readers[i].next = b->idle_readers;
		b->idle_readers = &b->readers[i];
	}
	b->header = (struct header *)(void *)at;
	b->memory_size = readers_size(b);
	return 0;
}

/* A buffer, and the places of its objects. */
static size_t batch_size(const struct backing *b)
{
	return b->segment_size + align_up(b->batch_objects_max * sizeof(struct batch_entry), PAGE);
}

int memory_for_batch(struct backing *b, struct batch *batch)
{
	int r = have(batch_size(b), &batch->buf);

	if (r == 0)
		batch->entries = (struct batch_entry *)(void *)(batch->buf + b->segment_size);
	return r;
}

int memory_for_cleaning(struct backing *b)
{
	return have(b->segment_size, &b->cleaning.buf);
}

bool memory_is_at_hand(struct backing *b)
{
	/* As much again is left to others. */
	return headroom_ordinary(&b->headroom) >= 2 * batch_size(b) / PAGE;
}

int memory_open(struct backing *b)
{
	int r;

	for (unsigned int i = 0; i < b->options.depth; i++)
		b->batches[i].backing = b;
	b->cleaning.backing = b;
	r = have_readers(b);
	return r < 0 ? r : memory_for_batch(b, &b->batches[0]);
}

void memory_close(struct backing *b)
{
	for (unsigned int i = 0; b->batches && i < b->options.depth; i++)
		os_unreserve(b->batches[i].buf, batch_size(b));
	os_unreserve(b->cleaning.buf, b->segment_size);
	os_unreserve(b->memory, b->memory_size);
}
