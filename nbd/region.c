/* SPDX-License-Identifier: BSD-3-Clause */
#include "nbd/region.h"

#include <endian.h>
#include <errno.h>
#include <liburing.h>
#include <string.h>

#include "common/bitmap.h"
#include "common/util.h"

#define REGION_MAGIC   0x31706f6f6c64626eu /* "nbdloop1" */
#define REGION_VERSION 1

/* Positions begin at 0, and no connection lives to see 2^60 bytes. */
#define POSITION_MAX (UINT64_C(1) << 60)

/* FNV-1a, 64 bits: against damage, not against malice. */
static uint64_t checksum(const struct region *region)
{
	const uint8_t *bytes = (const uint8_t *)region;
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < offsetof(struct region, checksum); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

void region_init(struct region *region, size_t size, const struct io_uring_params *p)
{
	memset(region, 0, size);
	region->magic = REGION_MAGIC;
	region->version = REGION_VERSION;
	region->header_size = sizeof(*region);
	region->entries = REGION_ENTRIES;
	region->stage_size = REGION_STAGE;
	region->pages = (uint32_t)((size - sizeof(*region)) / REGION_PAGE);
	region->ring = (struct region_ring){
		.flags = p->flags,
		.sq_entries = p->sq_entries,
		.cq_entries = p->cq_entries,
		.features = p->features,
		.sq_head = p->sq_off.head,
		.sq_tail = p->sq_off.tail,
		.sq_mask = p->sq_off.ring_mask,
		.sq_entries_at = p->sq_off.ring_entries,
		.sq_flags = p->sq_off.flags,
		.sq_dropped = p->sq_off.dropped,
		.sq_array = p->sq_off.array,
		.cq_head = p->cq_off.head,
		.cq_tail = p->cq_off.tail,
		.cq_mask = p->cq_off.ring_mask,
		.cq_entries_at = p->cq_off.ring_entries,
		.cq_overflow = p->cq_off.overflow,
		.cqes = p->cq_off.cqes,
		.cq_flags = p->cq_off.flags,
	};
	region->checksum = checksum(region);
}

void region_get_params(const struct region *region, struct io_uring_params *p)
{
	const struct region_ring *r = &region->ring;

	*p = (struct io_uring_params){
		.flags = r->flags,
		.sq_entries = r->sq_entries,
		.cq_entries = r->cq_entries,
		.features = r->features,
		.sq_off = {.head = r->sq_head,
			   .tail = r->sq_tail,
			   .ring_mask = r->sq_mask,
			   .ring_entries = r->sq_entries_at,
			   .flags = r->sq_flags,
			   .dropped = r->sq_dropped,
			   .array = r->sq_array},
		.cq_off = {.head = r->cq_head,
			   .tail = r->cq_tail,
			   .ring_mask = r->cq_mask,
			   .ring_entries = r->cq_entries_at,
			   .overflow = r->cq_overflow,
			   .cqes = r->cqes,
			   .flags = r->cq_flags},
	};
}

static int unclean(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EUCLEAN;
}

static int validate_header(const struct region *region, size_t size, const char **ret_why)
{
	if (size < sizeof(*region) || region->magic != REGION_MAGIC)
		return unclean(ret_why, "it is no region of a connection");
	if (region->version != REGION_VERSION || region->header_size != sizeof(*region) ||
	    region->entries != REGION_ENTRIES || region->stage_size != REGION_STAGE)
		return unclean(ret_why, "it is another version's");
	if (region->pages == 0 || region->pages > REGION_PAGES_MAX ||
	    (size - sizeof(*region)) / REGION_PAGE != region->pages)
		return unclean(ret_why, "its size is not what it says");
	if (region->checksum != checksum(region))
		return unclean(ret_why, "its header is damaged");
	if (region->end > REGION_BROKEN)
		return unclean(ret_why, "the connection's end cannot be");
	if (region->received > POSITION_MAX || region->sent > POSITION_MAX ||
	    region->parsed > POSITION_MAX)
		return unclean(ret_why, "a position is too far on");
	if (region->received > region->parsed && region->received - region->parsed > REGION_STAGE)
		return unclean(ret_why, "more was received than there is room for");
	if (region->parsed > region->received && region->parsed - region->received > UINT32_MAX)
		return unclean(ret_why, "more is to be received than a request has");
	return 0;
}

/* What counts of the entry: not a request whose parsing was not finished. */
static bool counts(const struct region *region, const struct region_entry *entry)
{
	return entry->state != ENTRY_FREE &&
	       !(entry->state == ENTRY_TAKEN && entry->begin >= region->parsed);
}

/* Its pages lie in the region, and are nobody else's: USED has a bit for each that somebody has. */
static int validate_pages(const struct region *region, const struct region_entry *entry,
			  uint64_t *used, const char **ret_why)
{
	uint32_t count = region_pages(entry->length);

	if (entry->page == REGION_NO_PAGE) {
		/* A request that is refused has none. */
		if (entry->type == PROTO_READ && entry->state >= ENTRY_DONE &&
		    entry->reply.error == 0)
			return unclean(ret_why, "a reply has no data");
		return 0;
	}
	if (!entry_has_data(entry))
		return unclean(ret_why, "a request without data has pages");
	if (count == 0 || entry->page >= region->pages || count > region->pages - entry->page)
		return unclean(ret_why, "a request's data is outside the region");
	if (bitmap_count_range(used, entry->page, count) > 0)
		return unclean(ret_why, "two requests have the same page");
	bitmap_set_range(used, entry->page, count);
	return 0;
}

static int validate_entry(const struct region *region, const struct region_entry *entry,
			  uint64_t *used, const char **ret_why)
{
	if (entry->state >= ENTRY_STATES)
		return unclean(ret_why, "a request's state cannot be");
	if (!counts(region, entry))
		return 0;
	if (entry->type == PROTO_DISC || entry->begin > POSITION_MAX ||
	    entry->begin + sizeof(struct proto_request) > region->received ||
	    entry_end(entry) > region->parsed)
		return unclean(ret_why, "a request is not from the client's stream");
	if (entry_end(entry) > region->received && entry_end(entry) != region->parsed)
		return unclean(ret_why, "a request that is not the last is not complete");
	if (entry->state >= ENTRY_DONE && entry->reply.magic != htobe32(PROTO_REPLY_MAGIC))
		return unclean(ret_why, "a reply is none");
	if (entry->state == ENTRY_REPLYING && entry->reply_begin > POSITION_MAX)
		return unclean(ret_why, "a reply is not in our stream");
	return validate_pages(region, entry, used, ret_why);
}

/* The replies that are not sent yet follow each other without a gap, the first around SENT. */
static int validate_replies(const struct region *region, const char **ret_why)
{
	uint64_t at = region->sent, last = at, total = 0, first = UINT64_MAX;
	const struct region_entry *entry;

	for (entry = region->entry; entry < region->entry + REGION_ENTRIES; entry++) {
		if (entry->state != ENTRY_REPLYING || entry_reply_end(entry) <= at)
			continue;
		first = min_u64(first, entry->reply_begin);
		last = max_u64(last, entry_reply_end(entry));
		total += entry_reply_end(entry) - entry->reply_begin;
		/* Each of the others is wholly before it or wholly behind it. */
		for (const struct region_entry *other = region->entry; other < entry; other++)
			if (other->state == ENTRY_REPLYING && entry_reply_end(other) > at &&
			    other->reply_begin < entry_reply_end(entry) &&
			    entry->reply_begin < entry_reply_end(other))
				return unclean(ret_why, "two replies overlap");
	}
	if (total > 0 && (first > at || last - first != total))
		return unclean(ret_why, "there is a gap between replies");
	return 0;
}

int region_validate(const struct region *region, size_t size, const char **ret_why)
{
	uint64_t used[REGION_PAGES_MAX / 64] = {0};
	unsigned int incomplete = 0;
	int r = validate_header(region, size, ret_why);

	for (size_t i = 0; r == 0 && i < REGION_ENTRIES; i++) {
		const struct region_entry *entry = &region->entry[i];

		r = validate_entry(region, entry, used, ret_why);
		if (r == 0 && counts(region, entry) && entry_end(entry) > region->received &&
		    ++incomplete > 1)
			r = unclean(ret_why, "two requests are not complete");
	}
	return r < 0 ? r : validate_replies(region, ret_why);
}
