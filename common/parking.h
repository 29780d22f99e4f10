/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parking: sleep until somebody may have released something, without a lock of its own.
 *
 * The waiter announces itself, looks at the thing again, and sleeps if it is still taken. The
 * releaser releases the thing, looks whether anybody has announced himself, and wakes. Each
 * writes first and reads the other's word second, both sequentially consistent: so at least one of
 * them sees the other (Dekker). The thing itself must be released and tried with __ATOMIC_SEQ_CST.
 */
#ifndef ZCRAM_PARKING_H
#define ZCRAM_PARKING_H

#include <stdint.h>

#include "common/os.h"
#include "common/util.h"

struct parking {
	uint32_t sequence; /* futex */
	uint32_t waiters;
} __attribute__((aligned(CACHE_LINE)));

/* Announce; then try once more, and call parking_wait() if that fails, or parking_leave(). */
static inline uint32_t parking_enter(struct parking *p)
{
	__atomic_fetch_add(&p->waiters, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&p->sequence, __ATOMIC_SEQ_CST);
}

static inline void parking_leave(struct parking *p)
{
	__atomic_fetch_sub(&p->waiters, 1, __ATOMIC_SEQ_CST);
}

/* Sleep until woken, or for MILLISECONDS; SEQUENCE is what parking_enter() returned. Leaves. */
static inline void parking_wait_for(struct parking *p, uint32_t sequence, int milliseconds)
{
	os_wait(&p->sequence, sequence, milliseconds);
	parking_leave(p);
}

/* The same without a limit. */
static inline void parking_wait(struct parking *p, uint32_t sequence)
{
	parking_wait_for(p, sequence, -1);
}

/*
 * After the release. One load, unless there is somebody to wake. ALL, when those who wait here may
 * wait for different things; else one, who will notify the next in his turn.
 */
static inline void parking_notify(struct parking *p, bool all)
{
	if (likely(__atomic_load_n(&p->waiters, __ATOMIC_SEQ_CST) == 0))
		return;
	__atomic_fetch_add(&p->sequence, 1, __ATOMIC_SEQ_CST);
	os_wake(&p->sequence, all);
}

static inline void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
