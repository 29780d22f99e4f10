/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/threads.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/os.h"
#include "common/util.h"

/* One that waits; on its own stack. */
struct spare {
	struct spare *next; /* the lock's */
	pthread_t thread;
	void *(*fn)(void *opaque); /* NULL: to end */
	void *opaque;
	uint32_t told; /* atomic: 1, after FN and OPAQUE */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct spare *spares; /* the lock's */
static uint32_t arrived;     /* atomic: threads that have ever waited */

static void enlist(struct spare *spare)
{
	pthread_mutex_lock(&lock);
	spare->next = spares;
	spares = spare;
	pthread_mutex_unlock(&lock);
	__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
	os_wake(&arrived, true);
}

static void *wait_to_begin(void *unused)
{
	struct spare self = {.thread = pthread_self()};

	enlist(&self);
	while (!__atomic_load_n(&self.told, __ATOMIC_ACQUIRE))
		os_wait(&self.told, 0, -1);
	return self.fn ? self.fn(self.opaque) : NULL;
}

/* Until they wait: what a thread does before that may take memory, too. */
static void await_arrival(uint32_t wanted)
{
	uint32_t have;

	while ((have = __atomic_load_n(&arrived, __ATOMIC_SEQ_CST)) != wanted)
		os_wait(&arrived, have, -1);
}

int threads_ahead(unsigned int count)
{
	uint32_t wanted = __atomic_load_n(&arrived, __ATOMIC_SEQ_CST);
	sigset_t all, before;
	pthread_t thread;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 0; r == 0 && i < count; i++) {
		r = -pthread_create(&thread, NULL, wait_to_begin, NULL);
		wanted += r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	await_arrival(wanted);
	return r;
}

/* Tell one, if any waits. It is gone as soon as it is told. */
static bool tell(pthread_t *ret_thread, void *(*fn)(void *opaque), void *opaque)
{
	struct spare *spare;
	uint32_t *told;

	pthread_mutex_lock(&lock);
	spare = spares;
	if (spare)
		spares = spare->next;
	pthread_mutex_unlock(&lock);
	if (!spare)
		return false;
	*ret_thread = spare->thread;
	spare->fn = fn;
	spare->opaque = opaque;
	told = &spare->told;
	__atomic_store_n(told, 1, __ATOMIC_RELEASE);
	/* An address is enough, whatever is there by now. */
	os_wake(told, false);
	return true;
}

int thread_begin(pthread_t *ret_thread, void *(*fn)(void *opaque), void *opaque)
{
	return tell(ret_thread, fn, opaque) ? 0 : -pthread_create(ret_thread, NULL, fn, opaque);
}

void threads_dismiss(void)
{
	pthread_t thread;

	while (tell(&thread, NULL, NULL))
		pthread_join(thread, NULL);
}
