/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery: from what the region says to what a loop works with. A fresh region is one in which
 * there is nothing to recover.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/bitmap.h"
#include "common/os.h"
#include "common/util.h"
#include "nbd/internal.h"

static int by_reply(const void *a, const void *b)
{
	const struct region_entry *const *x = a, *const *y = b;

	return (*x)->reply_begin < (*y)->reply_begin ? -1 : 1;
}

/* Those that are partly or not sent, in order; what comes next begins where the last of them ends. */
static void recover_replies(struct nbd_loop *loop)
{
	struct region *region = loop->region;
	const struct region_entry *found[REGION_ENTRIES];
	size_t n = 0;

	for (struct region_entry *e = region->entry; e < region->entry + REGION_ENTRIES; e++)
		if (e->state == ENTRY_REPLYING)
			found[n++] = e;
	qsort(found, n, sizeof(found[0]), by_reply);
	loop->queued = region->sent;
	for (size_t i = 0; i < n; i++) {
		fifo_put(&loop->replies, (unsigned int)(found[i] - region->entry));
		loop->queued = entry_reply_end(found[i]);
	}
}

/* What the predecessor had not made a request of yet, or had sent the whole reply of. */
static void drop_entry(const struct region *region, struct region_entry *entry)
{
	if ((entry->state == ENTRY_TAKEN && entry->begin >= region->parsed) ||
	    (entry->state == ENTRY_REPLYING && entry_reply_end(entry) <= region->sent))
		__atomic_store_n(&entry->state, ENTRY_FREE, __ATOMIC_RELEASE);
}

/* A TAKEN one: refused again, if it was to be; else to be executed, or still to be received. */
static int recover_request(struct nbd_loop *loop, unsigned int index, const char **ret_why)
{
	struct region_entry *entry = &loop->region->entry[index];
	int r = request_check(loop, entry);

	if (r < 0) {
		request_refuse(entry, r);
		return 0;
	}
	if (entry_has_data(entry) && entry->page == REGION_NO_PAGE) {
		*ret_why = "a request has no room for its data";
		return -EUCLEAN;
	}
	if (entry_end(entry) > loop->region->received)
		loop->filling = index;
	return 0;
}

static int recover_entry(struct nbd_loop *loop, unsigned int index, const char **ret_why)
{
	struct region_entry *entry = &loop->region->entry[index];

	drop_entry(loop->region, entry);
	if (entry->state == ENTRY_FREE)
		return 0;
	bitmap_clear_range(loop->free_entries, index, 1);
	if (entry->page != REGION_NO_PAGE)
		bitmap_clear_range(loop->free_pages, entry->page, region_pages(entry->length));
	return entry->state == ENTRY_TAKEN ? recover_request(loop, index, ret_why) : 0;
}

/* Last of all: from here on, entries change by the workers' hands. */
static void repeat_requests(struct nbd_loop *loop)
{
	struct fifo taken = {0};

	for (unsigned int i = 0; i < REGION_ENTRIES; i++)
		if (loop->region->entry[i].state == ENTRY_TAKEN && i != loop->filling)
			fifo_put(&taken, i);
	while (!fifo_is_empty(&taken)) {
		bump(&loop->region->repeated, 1);
		loop->working++;
		work_put(loop->work, fifo_get(&taken));
	}
}

static void note_gap(struct region *region)
{
	uint64_t now = os_now();

	if (region->alive_ns == 0)
		return;
	bump(&region->takeovers, 1);
	if (now > region->alive_ns && now - region->alive_ns > region->longest_gap_ns)
		store_relaxed(&region->longest_gap_ns, now - region->alive_ns);
}

int loop_recover(struct nbd_loop *loop, const char **ret_why)
{
	struct region *region = loop->region;
	int r = 0;

	if (region->end == REGION_BROKEN) {
		*ret_why = "the connection is broken";
		return -EUCLEAN;
	}
	note_gap(region);
	bitmap_set_range(loop->free_entries, 0, REGION_ENTRIES);
	bitmap_set_range(loop->free_pages, 0, region->pages);
	loop->filling = NO_ENTRY;
	for (unsigned int i = 0; r == 0 && i < REGION_ENTRIES; i++)
		r = recover_entry(loop, i, ret_why);
	if (r < 0)
		return r;
	recover_replies(loop);
	for (unsigned int i = 0; i < REGION_ENTRIES; i++)
		if (region->entry[i].state == ENTRY_DONE)
			reply_queue(loop, i);
	repeat_requests(loop);
	return 0;
}
