/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the rooms ask of the kernel: address space, memory in it, and sleep. All of it blocks and
 * may fail; nothing of it belongs under a slot's or a class's lock.
 */
#ifndef ZCRAM_OS_H
#define ZCRAM_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * SIZE bytes of address space (a multiple of the page size), zero when touched, private to the
 * process and left out of core dumps. Takes no memory until it is touched. -ENOMEM, -EAGAIN.
 */
int os_reserve(size_t size, void **ret_base);
void os_unreserve(void *base, size_t size);

/* Have memory for [addr, addr + size), page aligned, so that touching it never faults. -ENOMEM. */
int os_commit(void *addr, size_t size);

/* The same for SIZE bytes anywhere, and all else of the pages that they are in: also those that a
 * fork has left shared with the parent. -ENOMEM. */
int os_prefault(const void *addr, size_t size);

/* Give the memory of [addr, addr + size) back, also if it is locked; it reads as zeros. */
int os_release(void *addr, size_t size);

/*
 * The same of memory that is shared and backed by nothing but swap: the pages are gone for whoever has
 * it mapped. -EOPNOTSUPP, -EINVAL: it is not.
 */
int os_release_shared(void *addr, size_t size);

/*
 * Which pages of [addr, addr + size) are in memory: bit 0 of a byte each, in ret_resident. What is
 * swapped out is not, and neither is a hole. -ENOMEM: a part is not mapped.
 */
int os_resident(const void *addr, size_t size, uint8_t *ret_resident);

/*
 * Have in the page tables what is in memory of [addr, addr + size), page aligned, so that touching it
 * does not fault; what is not is left as it is. A page that is given back by another process just
 * then comes back, as zeros. -ENOMEM: no page tables, or a part is not mapped.
 */
int os_map_resident(const void *addr, size_t size);

/* Sleep while *WORD is VALUE, until woken or MILLISECONDS (< 0: for ever) have passed. */
void os_wait(const uint32_t *word, uint32_t value, int milliseconds);
void os_wake(const uint32_t *word, bool all);

/* Nanoseconds of the monotonic clock. */
uint64_t os_now(void);

/* Nanoseconds of CPU time that the calling thread has used. */
uint64_t os_thread_cpu(void);

/* Name the calling thread, in 15 characters. */
void os_thread_name(const char *name);

/*
 * Run the calling thread, and those that it creates, before all of ordinary policy: SCHED_RR, lowest
 * priority. Or as the others again. -EPERM: it takes CAP_SYS_NICE or RLIMIT_RTPRIO.
 */
int os_thread_urgent(bool urgent);

/*
 * Run the calling thread only while nobody else wants its CPU, or hardly: SCHED_IDLE. It may be stopped
 * at any instant, for long: so it must hold no lock that others wait for. -EPERM: a sandbox forbids it.
 */
int os_thread_idle(void);

/* Have THREAD, which others wait for now, be of idle priority no more. -EPERM: it takes CAP_SYS_NICE. */
int os_thread_normal(pthread_t thread);

/* Has the calling thread a real-time policy? */
bool os_thread_is_urgent(void);

unsigned int os_cpus(void);

#endif
