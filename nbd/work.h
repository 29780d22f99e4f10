/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * work: entries on their way to those who execute them, and back to the loop's thread.
 *
 * Three queues: short requests, which the loop's thread may execute itself; other reads; and writes
 * and all else that may take long, behind which no read is to wait.
 */
#ifndef ZCRAM_NBD_WORK_H
#define ZCRAM_NBD_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "nbd/region.h"

struct nbd_loop;
struct work;

/* Numbers of entries, each in it once at most: it is never full. */
struct fifo {
	unsigned int head, tail;
	uint8_t item[REGION_ENTRIES];
};

static inline bool fifo_is_empty(const struct fifo *fifo)
{
	return fifo->head == fifo->tail;
}

static inline void fifo_put(struct fifo *fifo, unsigned int item)
{
	fifo->item[fifo->tail++ % REGION_ENTRIES] = (uint8_t)item;
}

static inline unsigned int fifo_first(const struct fifo *fifo)
{
	return fifo->item[fifo->head % REGION_ENTRIES];
}

static inline unsigned int fifo_get(struct fifo *fifo)
{
	return fifo->item[fifo->head++ % REGION_ENTRIES];
}

/* COUNT workers, who wait. -EAGAIN, -ENOMEM. */
int work_new(struct nbd_loop *loop, unsigned int count, struct work **ret_work);

/* Waits until each has finished what it has in hand. NULL is fine. */
void work_free(struct work *work);

/* The loop's thread: add an entry; wakes nobody. */
void work_put(struct work *work, unsigned int index);

/* Have workers take what was put. KEPT short ones are left: the loop's thread will take them. */
void work_wake(struct work *work, unsigned int kept);

/*
 * Take one that the loop's thread may execute itself; false: there is none. What has become slow since it was
 * put is left to workers, who are woken for it.
 */
bool work_take_short(struct work *work, unsigned int *ret_index);

/* Take all that are done, to the end of RET. */
void work_collect(struct work *work, struct fifo *ret);

/*
 * The loop's thread is about to sleep: from now on its event tells it when something is done. False:
 * something is, do not sleep. work_awake() ends it.
 */
bool work_sleep(struct work *work);
void work_awake(struct work *work);

#endif
