/* SPDX-License-Identifier: BSD-3-Clause */
/* From the pool to the backing store: which pages, by hand and by themselves. */
#include <errno.h>
#include <string.h>

#include "common/os.h"
#include "common/step.h"
#include "device/writeback-types.h"

/* Pages that are appended, and looked at, before the lock is given back and others are listened to. */
#define STEP_PAGES 64
#define STEP_LOOK  (UINT64_C(64) * SLOTS_PER_LEAF)

/* Where an order has come to. */
struct cursor {
	const struct device_writeback *order;
	unsigned int age; /* of pages that are old enough */
	int oldest; /* the age of the oldest that are not, of those that were seen; -1: none */
	unsigned int range;
	uint64_t at, end;
	uint64_t pages;	      /* appended */
	uint64_t bytes;	      /* of their cells, or of the memory pages that they leave whole */
	uint64_t most;	      /* such bytes, when it is enough; 0: no bound */
	bool whole;	      /* of zbud's pages both objects, or neither */
	bool ordered;	      /* it is counted for who has ordered it */
	const uint32_t *stop; /* of a hunt: not 0: it is over; atomic; NULL: never */
};

static void cursor_enter(struct device *d, struct cursor *c)
{
	const struct device_writeback *order = c->order;
	bool any = c->range < order->ranges_count;

	c->at = any ? order->ranges[c->range].first : 0;
	c->end = any ? min_u64(order->ranges[c->range].last, d->pages - 1) + 1 : d->pages;
}

/* False: there is nothing more. */
static bool cursor_advance(struct device *d, struct cursor *c)
{
	while (c->at >= c->end) {
		if (++c->range >= c->order->ranges_count)
			return false;
		cursor_enter(d, c);
	}
	return true;
}

static bool is_of_type(const struct device_writeback *order, slot_word word)
{
	bool huge = codec_encoding_id(slot_encoding(word)) == CODEC_RAW;
	bool idle = slot_age(word) == AGE_MAX;

	switch (order->type) {
	case DEVICE_WRITEBACK_IDLE:
		return idle;
	case DEVICE_WRITEBACK_HUGE:
		return huge;
	case DEVICE_WRITEBACK_HUGE_IDLE:
		return huge && idle;
	case DEVICE_WRITEBACK_INCOMPRESSIBLE:
		return huge && slot_tried(word);
	case DEVICE_WRITEBACK_ALL:
		break;
	}
	return true;
}

static bool is_wanted(struct cursor *c, slot_word word)
{
	int age = (int)slot_age(word);

	if (slot_state(word) != SLOT_POOL || word & SLOT_LOCK ||
	    slot_len(word) < c->order->threshold || !is_of_type(c->order, word))
		return false;
	if (age < (int)c->age && age > c->oldest)
		c->oldest = age;
	return age >= (int)c->age;
}

struct victim {
	uint64_t page;
	slot_word word;
};

/* The memory page that its object stands in. */
static uint64_t place_of(const struct victim *v)
{
	return slot_ref(v->word) * ZS_REF_UNIT / ZS_PAGE_SIZE;
}

/*
 * Is the page wanted at which the cursor stands, and, for the memory of it to come free, which other? How
 * many there are. Of two the cursor comes by both, and they have their turn with the first.
 */
static unsigned int choose(struct device *d, struct cursor *c, struct victim v[2])
{
	uint32_t buddy;

	v[0] = (struct victim){c->at, load_relaxed(&d->slots[c->at])};
	if (!is_wanted(c, v[0].word))
		return 0;
	buddy = c->whole ? zs_buddy(d->pool, slot_ref(v[0].word)) : ZS_OWNER_MAX;
	if (buddy == ZS_OWNER_MAX)
		return 1;
	if (buddy < c->at || buddy >= d->pages || !leaf_ready(d, buddy))
		return 0;
	v[1] = (struct victim){buddy, load_relaxed(&d->slots[buddy])};
	/* It may be nobody's still, or have moved. */
	return is_wanted(c, v[1].word) && place_of(&v[1]) == place_of(&v[0]) ? 2 : 0;
}

/* Copy the payload, if the page is what it was: as long as it says the same with nobody at it, it
 * does not matter what happened between. */
static bool copy_out(struct device *d, uint64_t page, slot_word chosen)
{
	slot_word *slot = &d->slots[page], word;
	bool same;

	if (!slot_trylock(slot, &word))
		return false;
	same = word == chosen;
	if (same)
		memcpy(d->writeback->payload, zs_payload(d->pool, slot_ref(word), slot_len(word)),
		       slot_len(word));
	slot_unlock(slot, slot_parking(d, page), word);
	return same;
}

/* -ENOSPC: there is none to be made. What cannot be cleaned is not tried again. */
static int make_room(struct backing *backing)
{
	int r = backing_clean(backing);

	if (r == -EAGAIN)
		return -ENOSPC;
	return r == -EIO ? 0 : r;
}

/*
 * Write a page, or leave it alone if it is in use, or was on its way and has arrived. 1: it will be written;
 * 0: it is left alone.
 */
static int append(struct device *d, uint64_t page, slot_word word, bool ordered)
{
	struct writeback *w = device_writeback_of(d);
	uint64_t cookie = word | (ordered ? COOKIE_ORDERED : 0);
	int r;

	for (;;) {
		if (!copy_out(d, page, word))
			return 0;
		r = backing_append(w->backing, (uint32_t)page, slot_encoding(word), w->payload,
				   slot_len(word), cookie, NULL);
		if (r == -ENOSPC)
			r = make_room(w->backing);
		else if (r == -EALREADY)
			r = backing_flush(w->backing);
		else
			break;
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	STEP("writeback: appended");
	return 1;
}

static bool is_enough(const struct cursor *c)
{
	return (c->order->max_pages > 0 && c->pages >= c->order->max_pages) ||
	       (c->most > 0 && c->bytes >= c->most);
}

/* What is chosen where the cursor stands. */
static int write_chosen(struct device *d, struct cursor *c)
{
	struct victim victims[2];
	unsigned int n = choose(d, c, victims);
	uint64_t before = c->pages;

	for (unsigned int i = 0; i < n; i++) {
		int r = append(d, victims[i].page, victims[i].word, c->ordered);

		if (r < 0)
			return r;
		if (r > 0 && !c->whole)
			c->bytes += zs_cell_bytes(d->pool, slot_len(victims[i].word));
		c->pages += (unsigned int)r;
	}
	if (c->whole && c->pages > before)
		c->bytes += ZS_PAGE_SIZE;
	return 0;
}

/* Some pages. 1: there is more to do. */
static int write_some(struct device *d, struct cursor *c)
{
	struct writeback *w = device_writeback_of(d);
	uint64_t before = c->pages, look = STEP_LOOK;
	int r;

	for (; look > 0 && c->pages - before < STEP_PAGES; c->at++, look--) {
		if (is_enough(c) || !cursor_advance(d, c))
			return 0;
		if (!leaf_ready(d, c->at)) {
			c->at |= SLOTS_PER_LEAF - 1;
			continue;
		}
		r = write_chosen(d, c);
		if (r < 0)
			return r;
	}
	backing_reap(w->backing);
	return 1;
}

static int write_all(struct device *d, const struct device_writeback *order)
{
	struct writeback *w = device_writeback_of(d);
	const uint32_t *stop = background_canceled(&d->background);
	struct cursor cursor = {.order = order, .ordered = true};
	int r = 1, flushed;

	cursor_enter(d, &cursor);
	while (r > 0 && !background_is_canceled(&d->background) && writer_take(w, stop)) {
		r = write_some(d, &cursor);
		writer_put(w);
	}
	if (r > 0)
		r = -ECANCELED;
	if (!writer_take(w, stop))
		return r < 0 ? r : -ECANCELED;
	flushed = backing_flush(w->backing);
	writer_put(w);
	return flushed < 0 && r >= 0 ? flushed : r;
}

/* A hunt: by itself, for so many bytes. */

#define DAY_NS (UINT64_C(24) * 3600 * 1000000000)

/* Bytes that may still be written today, if LIMIT may be a day; 0: no limit. A day begins when one is over. */
static uint64_t allowance(struct writeback *w, uint64_t limit)
{
	uint64_t now = os_now();
	struct backing_stats s;

	if (limit == 0)
		return UINT64_MAX;
	backing_get_stats(w->backing, &s);
	if (w->day == 0 || now - w->day >= DAY_NS) {
		w->day = now;
		w->day_written = s.bytes_written;
	}
	return limit - min_u64(limit, s.bytes_written - w->day_written);
}

/* Go round once, from where the last hunt ended, or until it is enough. 1: it was ended. */
static int hunt_round(struct device *d, struct cursor *c)
{
	struct writeback *w = device_writeback_of(d);
	int r = 1;

	c->range = 0;
	c->oldest = -1;
	cursor_enter(d, c);
	while (r > 0 && writer_take(w, c->stop)) {
		r = write_some(d, c);
		writer_put(w);
	}
	return r;
}

/* From the age of MOST, or of the oldest that there are, down to that of LEAST. 1: it was ended. */
static int hunt_down(struct device *d, struct cursor *c, unsigned int most, unsigned int least)
{
	int r = 0;

	c->oldest = (int)most;
	while (r == 0 && !is_enough(c) && c->oldest >= (int)least) {
		c->age = (unsigned int)c->oldest;
		r = hunt_round(d, c);
	}
	return r;
}

/*
 * A page of zbud is as old as the younger of its objects, and both leave together, so that it comes free
 * whole. Then what has grown old beside one that has not leaves alone, which makes room beside that one. Last,
 * whole again, come those that were touched since the hand came by.
 */
static void hunt_whole(struct device *d, struct cursor *c, unsigned int least)
{
	unsigned int some = least > 0 ? least : 1;
	int r;

	c->whole = true;
	r = hunt_down(d, c, AGE_MAX, some);
	c->whole = false;
	if (r == 0)
		r = hunt_down(d, c, AGE_MAX, some);
	c->whole = true;
	if (r == 0 && least == 0)
		hunt_down(d, c, 0, 0);
}

/* Incompressible pages first, then the oldest, then those that are less old, down to the age of LEAST. */
static void hunt(struct device *d, struct cursor *c, unsigned int least)
{
	struct device_writeback order = *c->order;
	int r;

	c->order = &order;
	order.type = DEVICE_WRITEBACK_HUGE;
	c->age = least;
	r = hunt_round(d, c);
	order.type = DEVICE_WRITEBACK_ALL;
	if (r == 0 && d->allocator == ZS_ZBUD)
		hunt_whole(d, c, least);
	else if (r == 0)
		hunt_down(d, c, AGE_MAX, least);
}

uint64_t writeback_relieve(struct device *d, uint64_t bytes, unsigned int least, uint64_t limit,
			   const uint32_t *stop)
{
	struct writeback *w = device_writeback_of(d);
	struct device_writeback order = {.ranges_count = 2};
	struct cursor cursor = {.order = &order, .stop = stop};
	uint64_t before;

	if (!w || !writer_take(w, stop))
		return 0;
	bytes = min_u64(bytes, allowance(w, limit));
	before = w->relieved;
	order.ranges[0] = (struct device_range){w->hunt, d->pages - 1};
	order.ranges[1] = (struct device_range){0, w->hunt > 0 ? w->hunt - 1 : 0};
	writer_put(w);
	cursor.most = bytes;
	if (bytes > 0)
		hunt(d, &cursor, least);
	if (!writer_take(w, stop))
		return 0;
	if (cursor.pages > 0)
		backing_flush(w->backing);
	w->hunt = cursor.at < d->pages ? cursor.at : 0;
	before = w->relieved - before;
	writer_put(w);
	return before;
}

bool writeback_is_possible(struct device *d, uint64_t limit, const uint32_t *stop)
{
	struct writeback *w = device_writeback_of(d);
	bool possible;

	if (!w || backing_get_state(w->backing) != BACKING_READY || !writer_take(w, stop))
		return false;
	possible = allowance(w, limit) > 0 && backing_has_room(w->backing);
	writer_put(w);
	return possible;
}

int device_writeback(struct device *d, const struct device_writeback *order,
		     struct device_written_back *ret)
{
	struct writeback *w = device_writeback_of(d);
	uint32_t none = 0;
	int r = -ECANCELED;

	*ret = (struct device_written_back){0};
	if (!w)
		return d->seek ? -ENOTCONN : -ENOENT;
	for (unsigned int i = 0; i < order->ranges_count; i++)
		if (order->ranges[i].first > order->ranges[i].last ||
		    order->ranges[i].first >= d->pages)
			return -EINVAL;
	if (!__atomic_compare_exchange_n(&w->ordered, &none, 1, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return -EBUSY;
	if (writer_take(w, background_canceled(&d->background))) {
		w->done = (struct device_written_back){0};
		/* Whoever orders it has seen to the store. */
		backing_retry(w->backing);
		writer_put(w);
		r = write_all(d, order);
		*ret = w->done;
	}
	__atomic_store_n(&w->ordered, 0, __ATOMIC_SEQ_CST);
	limit_hope(d);
	return r;
}
