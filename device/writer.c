/* SPDX-License-Identifier: BSD-3-Clause */
/* Who the writer of the backing store is: the writer lock, which can be given up waiting for. */
#include "device/writeback-types.h"

static bool is_stopped(const uint32_t *stop)
{
	return stop && __atomic_load_n(stop, __ATOMIC_SEQ_CST) != 0;
}

static bool try_take(struct writeback *w)
{
	return __atomic_exchange_n(&w->taken, 1, __ATOMIC_SEQ_CST) == 0;
}

bool writer_take(struct writeback *w, const uint32_t *stop)
{
	for (;;) {
		uint32_t sequence = parking_enter(&w->parking);
		bool stopped = is_stopped(stop), taken = !stopped && try_take(w);

		if (stopped || taken) {
			parking_leave(&w->parking);
			if (taken)
				backing_set_stop(w->backing, stop);
			return taken;
		}
		parking_wait(&w->parking, sequence);
	}
}

void writer_put(struct writeback *w)
{
	__atomic_store_n(&w->taken, 0, __ATOMIC_SEQ_CST);
	/* All: one that is to stop would take the word and not the lock. */
	parking_notify(&w->parking, true);
}

void writeback_wake(struct writeback *w)
{
	if (!w)
		return;
	parking_notify(&w->parking, true);
	backing_wake(w->backing);
}
