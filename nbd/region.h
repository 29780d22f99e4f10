/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region: all that a server knows of a connection, in memory that outlives it.
 *
 * A connection is two streams of bytes, and the truth about it is three positions in them:
 *
 *	received  bytes of the client's stream that have been taken from the socket
 *	parsed    of these, where the first request begins that has no entry yet; beyond RECEIVED
 *		  when the last one's data is still under way
 *	sent      bytes of our stream that the socket has taken
 *
 * Each is one word, changed by one store, after all that it speaks of is in place; and what changes
 * RECEIVED and SENT is known to the kernel's ring, which outlives the server too (ring.h). So a
 * server may die between any two instructions: its successor finds each request in an entry, or in
 * bytes that are still to be parsed, and each reply in an entry, and knows what of it was sent.
 *
 * An entry is
 *
 *	FREE      nothing
 *	TAKEN     a request: it begins at BEGIN. Counts only if that is before PARSED: the store to
 *		  PARSED is what makes it one. A write whose data ends after RECEIVED is not
 *		  complete; any other may be executed, and again, if it is not known to have been
 *	DONE      executed, or refused: REPLY stands, and a read's data
 *	REPLYING  its reply takes the bytes of our stream from REPLY_BEGIN; done with when SENT is
 *		  behind it
 *
 * and the states follow each other in this order. Pages of data belong to the entry that names them.
 *
 * Executing a request twice does no harm: nobody has been told that it was executed, and as long as
 * that is so, no client may expect another one on the same range to come after it.
 */
#ifndef ZCRAM_REGION_H
#define ZCRAM_REGION_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nbd/loop.h"
#include "nbd/proto.h"

struct io_uring_params;

#define REGION_PAGE	 4096
#define REGION_ENTRIES	 128 /* the kernel's client has no more requests under way */
#define REGION_STAGE	 (64u << 10)
#define REGION_PAGES_MAX 16384

enum region_state { ENTRY_FREE, ENTRY_TAKEN, ENTRY_DONE, ENTRY_REPLYING, ENTRY_STATES };

/* No page of data. */
#define REGION_NO_PAGE UINT32_MAX

struct region_entry {
	uint32_t state;		  /* enum region_state; atomic */
	uint32_t page;		  /* the first of its pages of data, or REGION_NO_PAGE */
	struct proto_reply reply; /* as it goes out; its cookie is there from the start */
	uint64_t offset;
	uint32_t length;
	uint16_t type, flags;
	uint64_t begin, reply_begin; /* positions in the streams */
};

/* Of a ring, what whoever maps it must know: liburing's io_uring_params, without what is not used. */
struct region_ring {
	uint32_t flags, sq_entries, cq_entries, features;
	uint32_t sq_head, sq_tail, sq_mask, sq_entries_at, sq_flags, sq_dropped, sq_array;
	uint32_t cq_head, cq_tail, cq_mask, cq_entries_at, cq_overflow, cqes, cq_flags;
};

enum region_end {
	REGION_OPEN,
	REGION_CLOSED, /* the client has said that it wants no more, or has gone */
	REGION_BROKEN, /* the client has said what is no NBD */
};

struct region {
	uint64_t magic;
	uint32_t version, header_size;
	uint32_t entries, stage_size, pages, reserved; /* geometry */
	struct region_ring ring;
	uint64_t checksum; /* of all before it, which never changes */

	uint32_t end;			 /* enum region_end; atomic */
	uint64_t received, parsed, sent; /* atomic; see above */

	/* statistics, for whoever wants to see them */
	uint64_t requests, takeovers, repeated, stalls;
	uint64_t alive_ns;	 /* when a server was last seen at work, by the monotonic clock */
	uint64_t longest_gap_ns; /* that a successor has found since then */

	struct region_entry entry[REGION_ENTRIES] __attribute__((aligned(64)));
	/* Where the byte at position P of the client's stream is found, at P % REGION_STAGE,
	   unless it went to an entry's pages at once. */
	uint8_t stage[REGION_STAGE] __attribute__((aligned(REGION_PAGE)));
	uint8_t data[] __attribute__((aligned(REGION_PAGE)));
};

static_assert(sizeof(struct region) % REGION_PAGE == 0, "data is page aligned");

/* A run of pages: as many as a request should have at most. */
#define REGION_RUN (NBD_LOOP_REQUEST / REGION_PAGE)

/*
 * Of PAGES pages, the first so many are the writes' own, in whole runs: three quarters. What is left is for
 * the replies of reads, of which each takes its pages for a short time only. A small region is not divided.
 */
static inline uint32_t region_own_pages(uint32_t pages)
{
	return pages / 4 * 3 / 64 * 64;
}

static_assert(64 % REGION_RUN == 0, "whole runs, and whole words of a bitmap");

/* Pages that LENGTH bytes of data take. */
static inline uint32_t region_pages(uint32_t length)
{
	return length / REGION_PAGE + (length % REGION_PAGE != 0);
}

static inline bool entry_is_write(const struct region_entry *entry)
{
	return entry->type == PROTO_WRITE;
}

static inline bool entry_has_data(const struct region_entry *entry)
{
	return entry->type == PROTO_READ || entry_is_write(entry);
}

/* Where the request's bytes end, in the client's stream. */
static inline uint64_t entry_end(const struct region_entry *entry)
{
	return entry->begin + sizeof(struct proto_request) +
	       (entry_is_write(entry) ? entry->length : 0);
}

/* Where the reply's end, in ours. */
static inline uint64_t entry_reply_end(const struct region_entry *entry)
{
	bool data = entry->type == PROTO_READ && entry->reply.error == 0;

	return entry->reply_begin + sizeof(entry->reply) + (data ? entry->length : 0);
}

/* Make a new region of SIZE bytes at BASE, for a connection of which nothing has been received. */
void region_init(struct region *region, size_t size, const struct io_uring_params *params);

/* What is needed to map the ring. */
void region_get_params(const struct region *region, struct io_uring_params *ret_params);

/*
 * May a server go on with this? Nothing in the region is trusted before; afterwards, all of it can
 * be followed. -EUCLEAN, with what is wrong in ret_why (a constant).
 */
int region_validate(const struct region *region, size_t size, const char **ret_why);

#endif
