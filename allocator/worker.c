/* SPDX-License-Identifier: BSD-3-Clause */
#include "allocator/worker.h"

#include <errno.h>

#include "common/os.h"
#include "common/threads.h"

int worker_start(struct zs_worker *w, void *(*fn)(void *pool), struct zs_pool *pool)
{
	int r;

	store_relaxed(&w->stop, 0);
	r = thread_begin(&w->thread, fn, pool);
	w->running = r == 0;
	return r;
}

void worker_stop(struct zs_worker *w)
{
	if (!w->running)
		return;
	__atomic_store_n(&w->stop, 1, __ATOMIC_SEQ_CST);
	os_wake(&w->stop, true);
	worker_poke(w);
	pthread_join(w->thread, NULL);
	w->running = false;
}

bool worker_sleep(struct zs_worker *w, int milliseconds, bool *ret_poked)
{
	if (__atomic_load_n(&w->poked, __ATOMIC_SEQ_CST) == 0)
		os_wait(&w->poked, 0, milliseconds);
	/* Whatever is poked after this is seen by the next sleep; what was before, by the caller.
	 */
	*ret_poked = __atomic_exchange_n(&w->poked, 0, __ATOMIC_SEQ_CST);
	return !__atomic_load_n(&w->stop, __ATOMIC_SEQ_CST);
}

void worker_poke(struct zs_worker *w)
{
	if (__atomic_load_n(&w->poked, __ATOMIC_SEQ_CST))
		return;
	if (!__atomic_exchange_n(&w->poked, 1, __ATOMIC_SEQ_CST))
		os_wake(&w->poked, false);
}
