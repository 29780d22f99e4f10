/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/thread.h"

#include <signal.h>

/* A codec at its highest level is what needs most; sanitizers take several times as much. */
#define STACK_SIZE ((size_t)256 << 10)

int thread_start(pthread_t *ret_thread, void *(*fn)(void *argument), void *argument)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret_thread, &attr, fn, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}
