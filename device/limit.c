/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/limit.h"

#include "common/os.h"
#include "common/threads.h"
#include "device/device-types.h"
#include "device/writeback.h"

/*
 * The band: a sixteenth of the limit, which is what compaction leaves alone under load (mover.c), but no
 * more than a fast writer fills while a turn is taken.
 */
#define BAND_SHARE 16
#define BAND_MAX   (UINT64_C(16) << 20)

/* Near the limit: what is worth a turn, a part of the band. */
#define WORTH_SHARE 8

/* What a turn writes back at least, a part of the band: what ends it is rounded up, to whole 4 KiB. */
#define TURN_SHARE 2

/* Written back in a turn when the kernel gives no memory: as much as the kernel sends at a time, and more. */
#define STARVING (UINT64_C(1) << 20)

/* At it: as much as the longest zspage takes, with which any write can go on. */
#define ENOUGH ((uint64_t)16 * DEVICE_PAGE_SIZE)

/*
 * Cells to be freed before there may be something to win again: about what a zspage has; of a large pool,
 * which takes longer to be gone over, more.
 */
#define FREES	    32
#define FREES_SHARE 8 /* of the band's pages */

/* Beyond a lowered limit, and without hope: until it is looked whether there is some again. */
#define LOOK_MS 250

/* So often room that was seen was gone again; from then on there is a pause before each try. */
#define TRIES	 8
#define PAUSE_MS 1

/* What the thread is to do: the most that was asked for. */
enum asked { ASKED_NOTHING, ASKED_NEAR, ASKED_AT };

enum hope {
	HOPE_SOME,   /* another turn may win something */
	HOPE_LITTLE, /* not as much as is worth a turn near the limit */
	HOPE_NONE,   /* nothing */
};

static uint64_t band_of(uint64_t limit)
{
	return min_u64(limit / BAND_SHARE, BAND_MAX);
}

static bool is_running(const struct limit *l)
{
	return __atomic_load_n(&l->running, __ATOMIC_SEQ_CST);
}

/* Cells that have to be freed before what the last turn has found says nothing any more. */
static uint64_t frees_for(struct device *d, enum hope hope)
{
	struct zs_room room;
	uint64_t pages;

	zs_get_room(d->pool, &room);
	pages = band_of(room.limit) / DEVICE_PAGE_SIZE;
	return max_u64(FREES, hope == HOPE_NONE ? pages / FREES_SHARE : pages);
}

/* What the last turn has found, unless so much has been freed since. */
static enum hope hope_of(struct device *d)
{
	struct limit *l = &d->limit;
	uint32_t hope = __atomic_load_n(&l->hope, __ATOMIC_SEQ_CST);

	if (hope == HOPE_SOME || zs_freed(d->pool) < frees_for(d, (enum hope)hope))
		return (enum hope)hope;
	/* Unless a turn has ended meanwhile. */
	if (__atomic_compare_exchange_n(&l->hope, &hope, HOPE_SOME, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST)) {
		store_relaxed(&l->since, 0);
		return HOPE_SOME;
	}
	return (enum hope)hope;
}

/* Have the thread take a turn. */
static void ask(struct limit *l, enum asked what)
{
	uint32_t asked = __atomic_load_n(&l->asked, __ATOMIC_SEQ_CST);

	while (asked < what)
		if (__atomic_compare_exchange_n(&l->asked, &asked, what, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			os_wake(&l->asked, false);
}

/* Turns. */

/*
 * By writeback, of pages of any age: so much that there is a band, or as far below a lowered limit as that, or
 * some when the kernel has no memory to give; but no more in a turn than those who are held can wait for. Bytes
 * of cells that came free.
 */
static uint64_t relieve(struct device *d)
{
	struct zs_room room;
	uint64_t band, lacking = 0;

	zs_get_room(d->pool, &room);
	band = band_of(room.limit);
	if (room.left < band)
		lacking = max_u64(band + room.over - room.left, band / TURN_SHARE);
	if (zs_is_starving(d->pool))
		lacking = max_u64(lacking, STARVING);
	if (!device_writeback_of(d) || lacking == 0)
		return 0;
	return writeback_relieve(d, min_u64(lacking, BAND_MAX), 0, load_relaxed(&d->policy.a_day),
				 &d->limit.stop);
}

static bool is_enough(struct device *d)
{
	struct zs_room room;

	zs_get_room(d->pool, &room);
	return room.left >= ENOUGH;
}

/*
 * Pages that no cell has reached cost nothing but to be had again; to move objects costs time, and to write
 * them costs a disk's. Cells that come free by that are in zspages that others are still in. Bytes of them.
 * RET_TRIED: all of it was done; else there was room meanwhile, which may be gone again.
 */
static uint64_t make_room(struct device *d, bool *ret_tried)
{
	uint64_t relieved = 0;

	zs_trim(d->pool);
	if (!is_enough(d))
		zs_make_room(d->pool);
	*ret_tried = !is_enough(d);
	if (*ret_tried)
		relieved = relieve(d);
	if (relieved > 0 && !is_enough(d))
		zs_make_room(d->pool);
	return relieved;
}

/* Before it is needed: what costs little; and, where writeback is to begin by itself, that. */
static uint64_t make_some_room(struct device *d, uint64_t worth)
{
	uint64_t relieved = 0;

	zs_compact_lightly(d->pool, worth);
	if (load_relaxed(&d->policy.at) > 0 || zs_is_starving(d->pool))
		relieved = relieve(d);
	/* Or the next turn would write as much again. */
	if (relieved > 0)
		zs_make_room(d->pool);
	return relieved;
}

/* What WON bytes say of another turn. TRIED: it was all that can be done. */
static enum hope judge(struct device *d, bool tried, uint64_t won, uint64_t worth)
{
	if (won >= worth)
		return HOPE_SOME;
	return tried && won == 0 && !is_enough(d) ? HOPE_NONE : HOPE_LITTLE;
}

static void end_turn(struct device *d, enum hope hope)
{
	struct limit *l = &d->limit;

	store_relaxed(&l->since, 0);
	__atomic_store_n(&l->hope, hope, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&l->turns, 1, __ATOMIC_SEQ_CST);
	os_wake(&l->turns, true);
	parking_notify(zs_room_parking(d->pool), true);
}

static void take_turn(struct device *d, enum asked what)
{
	uint64_t before, worth, won;
	struct zs_room room;
	bool tried = false;

	zs_get_room(d->pool, &room);
	worth = max_u64(band_of(room.limit) / WORTH_SHARE, DEVICE_PAGE_SIZE);
	/* First: what is freed while the turn is taken may be for another one to find. */
	zs_watch(d->pool);
	before = zs_returned(d->pool);
	won = what == ASKED_AT ? make_room(d, &tried) : make_some_room(d, worth);
	won += (zs_returned(d->pool) - before) * DEVICE_PAGE_SIZE;
	end_turn(d, judge(d, tried, won, worth));
}

/* What there is to do, of what was asked. */
static enum asked next(struct device *d, uint64_t over)
{
	uint32_t asked = __atomic_exchange_n(&d->limit.asked, ASKED_NOTHING, __ATOMIC_SEQ_CST);
	enum hope hope = hope_of(d);

	if (over > 0)
		asked = ASKED_AT;
	if (hope == HOPE_NONE ||
	    (hope == HOPE_LITTLE && asked == ASKED_NEAR && !zs_is_starving(d->pool)))
		return ASKED_NOTHING;
	return asked;
}

static void *relief_main(void *opaque)
{
	struct device *d = opaque;
	struct limit *l = &d->limit;

	/* As the mover: long at work, with locks that writers wait for, a few microseconds at a time. */
	os_thread_name("zcram-relief");
	os_thread_urgent(false);
	for (;;) {
		struct zs_room room;
		enum asked what;

		zs_get_room(d->pool, &room);
		what = next(d, room.over);
		/* Behind what was asked: to be stopped is to be asked too. */
		if (__atomic_load_n(&l->stop, __ATOMIC_SEQ_CST))
			return NULL;
		if (what != ASKED_NOTHING)
			take_turn(d, what);
		else
			os_wait(&l->asked, ASKED_NOTHING, room.over > 0 ? LOOK_MS : -1);
	}
}

/* Writes. */

/* Milliseconds: the square of the part of the band that is used up, so that it begins gently. */
static uint64_t delay(const struct limit *l, uint64_t left, uint64_t band)
{
	uint64_t used = (band - left) / DEVICE_PAGE_SIZE, all = band / DEVICE_PAGE_SIZE;

	return all > 0 ? l->slow_ms * used * used / (all * all) : 0;
}

static void slow(struct device *d, struct limit_wait *w, uint64_t left, uint64_t band)
{
	struct limit *l = &d->limit;
	uint32_t turns = __atomic_load_n(&l->turns, __ATOMIC_SEQ_CST);
	uint64_t ms = delay(l, left, band), start;

	if (!is_running(l) || hope_of(d) != HOPE_SOME)
		return;
	ask(l, ASKED_NEAR);
	if (ms == 0 || w->ns + ms * NS_PER_MS > l->hold_ms * NS_PER_MS)
		return;
	start = os_now();
	os_wait(&l->turns, turns, (int)ms);
	w->ns += os_now() - start;
	w->waited = true;
}

void limit_look(struct device *d)
{
	if (unlikely(zs_is_starving(d->pool) && device_writeback_of(d)))
		ask(&d->limit, ASKED_NEAR);
}

void limit_slow(struct device *d, struct limit_wait *w)
{
	struct zs_room room;
	uint64_t band;

	zs_get_room(d->pool, &room);
	band = band_of(room.limit);
	if (unlikely(room.left < band))
		slow(d, w, room.left, band);
	else
		limit_look(d);
}

/* Nobody is served beside: the thread's turn is the caller's. */
static bool make_room_here(struct device *d, struct limit_wait *w)
{
	enum hope hope = hope_of(d);

	if (hope == HOPE_NONE || w->tries++ == TRIES)
		return false;
	w->waited = true;
	take_turn(d, ASKED_AT);
	return true;
}

/* Nanoseconds for which this write may still be held. */
static uint64_t patience(struct device *d, uint64_t waited)
{
	struct limit *l = &d->limit;
	uint64_t hold = l->hold_ms * NS_PER_MS * (device_writeback_of(d) ? LIMIT_HOLD_DISK : 1),
		 now = os_now(), none = 0, since;

	/* The first of those that are held. */
	__atomic_compare_exchange_n(&l->since, &none, now, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	since = load_relaxed(&l->since);
	waited = max_u64(waited, since > 0 && since < now ? now - since : 0);
	return waited < hold ? hold - waited : 0;
}

/* It may find a place now; where that was an error several times, not at once. */
static bool try_again(struct limit *l, struct limit_wait *w)
{
	static const uint32_t never;

	store_relaxed(&l->since, 0);
	if (w->tries++ >= TRIES)
		os_wait(&never, 0, PAUSE_MS);
	return true;
}

/* True: try again. */
static bool await_room(struct device *d, size_t len, struct limit_wait *w)
{
	struct parking *parking = zs_room_parking(d->pool);
	uint64_t start = os_now(), left;

	while (is_running(&d->limit)) {
		uint32_t sequence = parking_enter(parking);
		bool fits = zs_may_fit(d->pool, len), hopeless = hope_of(d) == HOPE_NONE;

		left = patience(d, w->ns + os_now() - start);
		if (fits || hopeless || left == 0) {
			parking_leave(parking);
			return fits && left > 0 && try_again(&d->limit, w);
		}
		w->waited = true;
		ask(&d->limit, ASKED_AT);
		parking_wait_for(parking, sequence, (int)div_round_up(left, NS_PER_MS));
	}
	return make_room_here(d, w);
}

bool limit_hold(struct device *d, struct stream **stream, struct limit_wait *w)
{
	size_t len = (*stream)->wanted;
	uint64_t start = os_now();
	bool again;

	stream_put(d, *stream);
	again = await_room(d, len, w);
	w->ns += os_now() - start;
	*stream = stream_get(d);
	return again;
}

/* From outside. */

void limit_init(struct limit *l)
{
	*l = (struct limit){.hold_ms = LIMIT_HOLD_MS, .slow_ms = LIMIT_SLOW_MS};
}

int limit_start(struct device *d)
{
	struct limit *l = &d->limit;
	int r;

	r = thread_begin(&l->thread, relief_main, d);
	if (r < 0)
		return r;
	__atomic_store_n(&l->running, true, __ATOMIC_SEQ_CST);
	return 0;
}

void limit_stop(struct device *d)
{
	struct limit *l = &d->limit;

	if (!is_running(l))
		return;
	__atomic_store_n(&l->running, false, __ATOMIC_SEQ_CST);
	__atomic_store_n(&l->stop, 1, __ATOMIC_SEQ_CST);
	ask(l, ASKED_AT);
	writeback_wake(device_writeback_of(d));
	pthread_join(l->thread, NULL);
	__atomic_store_n(&l->stop, 0, __ATOMIC_SEQ_CST);
	parking_notify(zs_room_parking(d->pool), true);
}

void limit_changed(struct device *d)
{
	struct limit *l = &d->limit;

	__atomic_store_n(&l->hope, HOPE_SOME, __ATOMIC_SEQ_CST);
	store_relaxed(&l->since, 0);
	/* A look is enough: it sees whether there is more than the limit allows. */
	ask(l, ASKED_NEAR);
	parking_notify(zs_room_parking(d->pool), true);
}

void limit_hope(struct device *d)
{
	if (__atomic_load_n(&d->limit.hope, __ATOMIC_SEQ_CST) == HOPE_NONE)
		limit_changed(d);
}
