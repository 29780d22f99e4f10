/* SPDX-License-Identifier: BSD-3-Clause */
/* internal: what the files of this room share. */
#ifndef ZCRAM_NBD_INTERNAL_H
#define ZCRAM_NBD_INTERNAL_H

#include <stdbool.h>

#include "nbd/loop.h"
#include "nbd/region.h"
#include "nbd/ring.h"
#include "nbd/work.h"

/* A request of which nothing is to be kept may have so many bytes of data; more breaks off. */
#define REFUSED_DATA_MAX (64u << 20)

#define NO_ENTRY	 REGION_ENTRIES

struct nbd_loop {
	struct nbd_loop_options options;
	struct region *region;
	struct io_uring ring;
	struct work *work;
	int event;     /* eventfd: a worker is done, or nbd_loop_stop() */
	uint32_t stop; /* atomic */

	/* What follows from the region: which of its entries and pages are free (a bit each), the
	   entry whose data is under way, and those that wait to be sent, in order. */
	uint64_t free_entries[REGION_ENTRIES / 64];
	uint64_t free_pages[REGION_PAGES_MAX / 64];
	unsigned int filling; /* or NO_ENTRY */
	struct fifo replies;
	struct fifo
		refused; /* those that are done, and to be answered not before answer_at, in turn */
	uint64_t answer_at;   /* os_now() */
	uint64_t queued;      /* position in our stream where the next reply begins */
	unsigned int working; /* entries that have been put to work and are not back */

	bool stalled;		      /* no room for the request at PARSED */
	bool has_more_room;	      /* than when it became so */
	bool cannot_send, is_drained; /* the socket is full, empty */
	bool is_gone;		      /* nobody will take a reply */
};

/* request.c */

/*
 * Make entries of what has been received, and put those that are complete to work. Returns when
 * there is no more, or no room (stalled). -EPROTO: this is no NBD.
 */
int requests_parse(struct nbd_loop *loop);

/* Where the next bytes of the client's stream go: up to 3 parts; 0: nowhere. */
unsigned int requests_room(const struct nbd_loop *loop, struct iovec *iov);

/* Execute, now, by whoever calls; it may block. The entry is DONE then. */
void request_execute(struct nbd_loop *loop, struct region_entry *entry);

/* The entry is DONE, with the error R. */
void request_refuse(struct region_entry *entry, int r);

/* May the device be asked this? 0, or the error for the client. */
int request_check(const struct nbd_loop *loop, const struct region_entry *entry);

/* reply.c */

#define REPLY_PARTS 64

/* Queue the reply of an entry that is DONE. */
void reply_queue(struct nbd_loop *loop, unsigned int index);

/* An entry's data is of no more use: its pages are free from now on. */
void reply_drop_data(struct nbd_loop *loop, struct region_entry *entry);

/* What is to be sent next: up to REPLY_PARTS parts. */
unsigned int replies_parts(struct nbd_loop *loop, struct iovec *iov);

/* Free the entries whose replies are behind SENT. */
void replies_retire(struct nbd_loop *loop);

/* recover.c: make all that follows from the region; what can be executed is put to work. */
int loop_recover(struct nbd_loop *loop, const char **ret_why);

static inline uint8_t *entry_data(const struct nbd_loop *loop, const struct region_entry *entry)
{
	return loop->region->data + (size_t)entry->page * REGION_PAGE;
}

#endif
