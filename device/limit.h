/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limit: what becomes of writes when the pool comes near its limit, and at it.
 *
 * Near it, where less than the *band* is left, the *relief* thread is told, and as long as it has hope to
 * win something, writes are slowed: each waits, the longer the less is left, but a few milliseconds at
 * most, or until the thread has had a turn.
 *
 * At it a write that finds no place is *held*: it waits, with no stream and no lock, until something comes
 * free that it may fit into, and tries again. It is refused, with -ENOSPC, when the relief thread has found
 * that there is nothing to be won, or when LIMIT_HOLD_MS have passed: in all for one request, and for all
 * that are held together, when none of them has gone on. Then others are refused at once: in the first case
 * until so many cells were freed that there may be something to win again, or the limit was set; in the
 * second until the thread's turn is over. A read waits for none of this. To be refused takes no time: to
 * spread refusals, where a client floods, is for whoever serves it.
 *
 * The relief thread makes room by pages that no cell has reached, then by compaction: as much of it as can
 * be, at the limit, and only the most profitable near it; and then by writeback, of pages of any age, where
 * there is a backing store: at the limit always, near it where writeback is to begin by itself
 * (writeback-at=), and in any case no more a day than may be (writeback-limit=). It does the same when the
 * limit was set below what is held, for as long as that helps. Each turn ends with what hope there is for
 * another. Of a backing store there is new hope when it can be written to again (limit_hope()).
 *
 * The kernel may have no memory left to give long before the limit is met, as it waits for its own writes to swap,
 * which wait for memory. With a backing store the thread then makes room in the same way as near the limit.
 *
 * Where the device is not started the writer does the thread's turns, and waits for nothing but the disk.
 *
 * Locks: none of its own. Nobody who waits here holds one, nor a stream; nor does the thread between its
 * steps, which takes the movers' locks, and the writer lock of writeback.h outside of all of them. So it
 * may wait for a slot, whose holders never wait for it.
 */
#ifndef ZCRAM_DEVICE_LIMIT_H
#define ZCRAM_DEVICE_LIMIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;
struct stream;

/*
 * Long enough for a turn to win its first pages, which those who wait get at once; short beside the seconds
 * after which a client takes a server for dead.
 */
#define LIMIT_HOLD_MS 200

/*
 * So many times as long where there is a backing store: what is won then comes at the pace of a disk, for all
 * that are held, and each of a request's pages may be. Short beside the half minute after which a client wonders.
 */
#define LIMIT_HOLD_DISK 50

/* At the end of the band. With a few writes at a time it leaves some hundred a second. */
#define LIMIT_SLOW_MS 10

struct limit {
	/* Constant while requests go on; tests have others. */
	unsigned int hold_ms, slow_ms;
	/* Who starts and stops. */
	pthread_t thread;
	/* Atomic. */
	bool running;
	uint32_t stop;	/* also of a hunt that the thread is on */
	uint32_t asked; /* futex: enum asked: what the thread is to do next */
	uint32_t hope;	/* enum hope: what may be won by another turn */
	uint32_t turns; /* futex: that have been taken */
	uint64_t
		since; /* os_now() when one was held, and none has gone on, nor a turn ended; or 0 */
};

/* What a request knows of its waits. */
struct limit_wait {
	uint64_t ns;	    /* that it has spent here */
	bool waited;	    /* or had to make room itself */
	unsigned int tries; /* for one page, that found room gone again; who writes sets it to 0 */
};

void limit_init(struct limit *limit);

/* Start the thread, and end it. -EAGAIN. */
int limit_start(struct device *device);
void limit_stop(struct device *device);

/* The limit, or whether to compact, has been set. Any thread; does not block. */
void limit_changed(struct device *device);

/* A backing store can be written to, perhaps again: if there was no hope, there is some. As above. */
void limit_hope(struct device *device);

/* Does the kernel give no memory? Then something has to be done. As above. */
void limit_look(struct device *device);

/* Before a write takes its stream, and now and then in a long one. May block, as said above. */
void limit_slow(struct device *device, struct limit_wait *wait);

/*
 * A write with *STREAM has got -ENOSPC: put the stream back, wait, and take one again. True: try again;
 * false: refuse it.
 */
bool limit_hold(struct device *device, struct stream **stream, struct limit_wait *wait);

#endif
