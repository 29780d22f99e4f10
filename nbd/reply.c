/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies: from entries that are done to bytes, in the order in which they became so. */
#include "common/bitmap.h"
#include "common/util.h"
#include "nbd/internal.h"

/* The place first: it counts when the state says so, and follows from those before it. */
void reply_queue(struct nbd_loop *loop, unsigned int index)
{
	struct region_entry *entry = &loop->region->entry[index];

	entry->reply_begin = loop->queued;
	__atomic_store_n(&entry->state, ENTRY_REPLYING, __ATOMIC_RELEASE);
	loop->queued = entry_reply_end(entry);
	fifo_put(&loop->replies, index);
}

/* Add [base + skip, base + size) to the parts, when there is any of it. */
static unsigned int add_part(struct iovec *iov, unsigned int n, void *base, uint64_t size,
			     uint64_t *skip)
{
	uint64_t skipped = min_u64(*skip, size);

	*skip -= skipped;
	if (skipped == size)
		return n;
	iov[n] = (struct iovec){(char *)base + skipped, size - skipped};
	return n + 1;
}

unsigned int replies_parts(struct nbd_loop *loop, struct iovec *iov)
{
	const struct fifo *f = &loop->replies;
	unsigned int n = 0;

	for (unsigned int i = f->head; i != f->tail && n + 2 <= REPLY_PARTS; i++) {
		struct region_entry *entry = &loop->region->entry[f->item[i % REGION_ENTRIES]];
		uint64_t size = entry_reply_end(entry) - entry->reply_begin;
		uint64_t skip = 0;

		if (loop->region->sent > entry->reply_begin)
			skip = loop->region->sent - entry->reply_begin;
		n = add_part(iov, n, &entry->reply, sizeof(entry->reply), &skip);
		if (size > sizeof(entry->reply))
			n = add_part(iov, n, entry_data(loop, entry), entry->length, &skip);
	}
	return n;
}

/* They are free when the entry has ceased to name them: a successor finds them so, or still its own. */
void reply_drop_data(struct nbd_loop *loop, struct region_entry *entry)
{
	uint32_t page = entry->page;

	if (page == REGION_NO_PAGE)
		return;
	__atomic_store_n(&entry->page, REGION_NO_PAGE, __ATOMIC_RELEASE);
	bitmap_set_range(loop->free_pages, page, region_pages(entry->length));
	loop->has_more_room = true;
}

static void retire(struct nbd_loop *loop, unsigned int index)
{
	struct region_entry *entry = &loop->region->entry[index];

	if (entry->page != REGION_NO_PAGE)
		bitmap_set_range(loop->free_pages, entry->page, region_pages(entry->length));
	__atomic_store_n(&entry->state, ENTRY_FREE, __ATOMIC_RELEASE);
	bitmap_set_range(loop->free_entries, index, 1);
}

void replies_retire(struct nbd_loop *loop)
{
	struct fifo *f = &loop->replies;

	while (!fifo_is_empty(f) &&
	       entry_reply_end(&loop->region->entry[fifo_first(f)]) <= loop->region->sent)
		retire(loop, fifo_get(f));
}
