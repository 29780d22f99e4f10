/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads: started ahead of need, so that to start one later takes no memory, neither of ours nor of
 * the kernel's.
 */
#ifndef ZCRAM_THREADS_H
#define ZCRAM_THREADS_H

#include <pthread.h>

/*
 * Have COUNT threads more that wait for thread_begin(). They have what the caller has given to those
 * that it creates, such as its policy, but all signals blocked: these are the process's. Blocks.
 * -EAGAIN, -ENOMEM: and some may be there.
 */
int threads_ahead(unsigned int count);

/* As pthread_create(), by one that waits, if there is one. A negative errno. */
int thread_begin(pthread_t *ret_thread, void *(*fn)(void *opaque), void *opaque);

/* End those that still wait. */
void threads_dismiss(void);

#endif
