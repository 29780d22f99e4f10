/* SPDX-License-Identifier: BSD-3-Clause */
/* thread: the server's threads. Inside control/ only. */
#ifndef ZCRAM_CONTROL_THREAD_H
#define ZCRAM_CONTROL_THREAD_H

#include <pthread.h>

/*
 * Start a thread with a small stack, which locking the process's memory would hold whole on some
 * systems, and with all signals blocked: they are for the program. -EAGAIN, -ENOMEM.
 */
int thread_start(pthread_t *ret_thread, void *(*fn)(void *argument), void *argument);

#endif
