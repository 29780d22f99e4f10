/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests: from bytes to entries, and their execution. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/bitmap.h"
#include "common/util.h"
#include "nbd/internal.h"

static uint64_t unparsed(const struct region *region)
{
	return region->received > region->parsed ? region->received - region->parsed : 0;
}

/* Copy N bytes of the client's stream, which are in the stage, from position AT. */
static void stage_copy(const struct region *region, void *buf, uint64_t at, size_t n)
{
	size_t from = at % REGION_STAGE, first = min_u64(n, REGION_STAGE - from);

	memcpy(buf, region->stage + from, first);
	memcpy((char *)buf + first, region->stage, n - first);
}

int request_check(const struct nbd_loop *loop, const struct region_entry *entry)
{
	unsigned int flags = PROTO_FLAG_FUA;
	uint64_t size = loop->options.size;

	if (entry->type == PROTO_WRITE_ZEROES)
		flags |= PROTO_FLAG_NO_HOLE | PROTO_FLAG_FAST_ZERO;
	if (entry->type > PROTO_WRITE_ZEROES || (entry->flags & ~flags) != 0)
		return -EINVAL;
	switch (entry->type) {
	case PROTO_READ:
	case PROTO_WRITE:
		if (region_pages(entry->length) > loop->region->pages || entry->length == 0)
			return -EINVAL;
		break;
	case PROTO_FLUSH:
		return entry->length == 0 && entry->offset == 0 ? 0 : -EINVAL;
	case PROTO_TRIM:
	case PROTO_WRITE_ZEROES:
		break;
	default:
		return -EINVAL;
	}
	if (entry->offset > size || entry->length > size - entry->offset)
		return entry->type == PROTO_READ ? -EINVAL : -ENOSPC;
	return 0;
}

static int call(struct nbd_loop *loop, struct region_entry *entry)
{
	const struct nbd_ops *ops = loop->options.ops;
	void *opaque = loop->options.opaque;

	switch (entry->type) {
	case PROTO_READ:
		return ops->read(opaque, entry_data(loop, entry), entry->offset, entry->length);
	case PROTO_WRITE:
		return ops->write(opaque, entry_data(loop, entry), entry->offset, entry->length);
	case PROTO_TRIM:
		return ops->trim(opaque, entry->offset, entry->length);
	case PROTO_WRITE_ZEROES:
		return ops->zero(opaque, entry->offset, entry->length);
	default:
		return ops->flush(opaque);
	}
}

/* The store to the state comes last: until then it will be executed again. */
static void finish(struct region_entry *entry, int r)
{
	entry->reply.magic = htobe32(PROTO_REPLY_MAGIC);
	entry->reply.error = htobe32(proto_error(r));
	__atomic_store_n(&entry->state, ENTRY_DONE, __ATOMIC_RELEASE);
}

void request_execute(struct nbd_loop *loop, struct region_entry *entry)
{
	int r = call(loop, entry);

	if (r == 0 && (entry->flags & PROTO_FLAG_FUA) != 0 && entry->type != PROTO_READ &&
	    entry->type != PROTO_FLUSH)
		r = loop->options.ops->flush(loop->options.opaque);
	finish(entry, r);
}

void request_refuse(struct region_entry *entry, int r)
{
	finish(entry, r);
}

/* COUNT free pages in a row, at FIRST or behind, which is a multiple of 64; or -1. */
static int find_pages(const struct nbd_loop *loop, uint32_t first, uint32_t count)
{
	unsigned int end = (unsigned int)align_up(loop->region->pages, 64);
	int page = bitmap_find_run(loop->free_pages + first / 64, end - first, count);

	return page < 0 ? -1 : page + (int)first;
}

/*
 * Free pages for a write: at the front of a run that is free as a whole, however few it needs. So there is
 * always one for as many writes as there are runs, in whatever order they come and go.
 */
static int find_run(const struct nbd_loop *loop, uint32_t own)
{
	for (uint32_t at = 0; at < own; at += REGION_RUN)
		if (bitmap_count_range(loop->free_pages, at, REGION_RUN) == REGION_RUN)
			return (int)at;
	return -1;
}

/* A read has those of writes only when there are no others, and gives them back soon. */
static int find_room(const struct nbd_loop *loop, bool write, uint32_t count)
{
	uint32_t own = region_own_pages(loop->region->pages);
	int page;

	if (write && own > 0 && count <= REGION_RUN)
		return find_run(loop, own);
	page = find_pages(loop, own, count);
	return page < 0 ? find_pages(loop, 0, count) : page;
}

/* Room for an entry and its data: false when there is none. */
static bool get_room(struct nbd_loop *loop, bool write, uint32_t pages, unsigned int *ret_index,
		     uint32_t *ret_page)
{
	int index = bitmap_find_run(loop->free_entries, REGION_ENTRIES, 1), page = 0;

	if (index < 0)
		return false;
	*ret_page = REGION_NO_PAGE;
	if (pages > 0) {
		page = find_room(loop, write, pages);
		if (page < 0)
			return false;
		*ret_page = (uint32_t)page;
		bitmap_clear_range(loop->free_pages, (unsigned int)page, pages);
	}
	bitmap_clear_range(loop->free_entries, (unsigned int)index, 1);
	*ret_index = (unsigned int)index;
	return true;
}

/* As many of a write's bytes as have come with its header; the others are received to their place. */
static void copy_data(struct nbd_loop *loop, const struct region_entry *entry)
{
	uint64_t at = entry->begin + sizeof(struct proto_request);

	if (entry->page != REGION_NO_PAGE)
		stage_copy(loop->region, entry_data(loop, entry), at,
			   min_u64(loop->region->received - at, entry->length));
}

/*
 * Make the request one, and do with it what can be done. R: what it is refused with; its data, if it
 * has any, is then thrown away as it comes.
 */
static void accept_request(struct nbd_loop *loop, unsigned int index, int r)
{
	struct region *region = loop->region;
	struct region_entry *entry = &region->entry[index];

	bump(&region->requests, 1);
	__atomic_store_n(&region->parsed, entry_end(entry), __ATOMIC_RELEASE);
	if (r < 0) {
		request_refuse(entry, r);
		reply_queue(loop, index);
	} else if (region->parsed > region->received) {
		loop->filling = index;
	} else {
		loop->working++;
		work_put(loop->work, index);
	}
}

static int parse_one(struct nbd_loop *loop, const struct proto_request *wire)
{
	struct region *region = loop->region;
	struct region_entry draft = {
		.state = ENTRY_FREE,
		.reply.cookie = wire->cookie,
		.offset = be64toh(wire->offset),
		.length = be32toh(wire->length),
		.type = be16toh(wire->type),
		.flags = be16toh(wire->flags),
		.begin = region->parsed,
	};
	int r = request_check(loop, &draft);
	unsigned int index;

	if (r < 0 && entry_is_write(&draft) && draft.length > REFUSED_DATA_MAX)
		return -EPROTO;
	if (!get_room(loop, entry_is_write(&draft),
		      r == 0 && entry_has_data(&draft) ? region_pages(draft.length) : 0, &index,
		      &draft.page)) {
		loop->stalled = true;
		return 0;
	}
	copy_data(loop, &draft);
	region->entry[index] = draft;
	/* Whole before it is TAKEN: what the entry said before lies before PARSED, and would count. */
	__atomic_store_n(&region->entry[index].state, ENTRY_TAKEN, __ATOMIC_RELEASE);
	accept_request(loop, index, r);
	return 0;
}

/* The data that was under way has come. */
static void finish_filling(struct nbd_loop *loop)
{
	if (loop->filling == NO_ENTRY || loop->region->parsed > loop->region->received)
		return;
	loop->working++;
	work_put(loop->work, loop->filling);
	loop->filling = NO_ENTRY;
}

int requests_parse(struct nbd_loop *loop)
{
	struct region *region = loop->region;
	struct proto_request wire;
	bool was_stalled = loop->stalled;
	int r = 0;

	finish_filling(loop);
	loop->stalled = loop->has_more_room = false;
	while (r == 0 && !loop->stalled && region->end == REGION_OPEN &&
	       unparsed(region) >= sizeof(wire)) {
		stage_copy(region, &wire, region->parsed, sizeof(wire));
		if (wire.magic != htobe32(PROTO_REQUEST_MAGIC))
			r = -EPROTO;
		else if (wire.type == htobe16(PROTO_DISC))
			__atomic_store_n(&region->end, REGION_CLOSED, __ATOMIC_RELEASE);
		else
			r = parse_one(loop, &wire);
	}
	if (loop->stalled && !was_stalled)
		bump(&region->stalls, 1);
	return r;
}

unsigned int requests_room(const struct nbd_loop *loop, struct iovec *iov)
{
	struct region *region = loop->region;
	uint64_t at = max_u64(region->received, region->parsed), rest = at - region->received;
	size_t room = REGION_STAGE - unparsed(region), from = at % REGION_STAGE, first;
	unsigned int n = 0;

	if (rest > 0 && loop->filling == NO_ENTRY) {
		/* Nobody wants it, and there is nothing else in the stage. */
		iov[0] = (struct iovec){region->stage, min_u64(rest, REGION_STAGE)};
		return 1;
	}
	if (rest > 0) {
		const struct region_entry *entry = &region->entry[loop->filling];

		iov[n++] = (struct iovec){entry_data(loop, entry) + entry->length - rest, rest};
	}
	first = min_u64(room, REGION_STAGE - from);
	if (first > 0)
		iov[n++] = (struct iovec){region->stage + from, first};
	if (room > first)
		iov[n++] = (struct iovec){region->stage, room - first};
	return n;
}
