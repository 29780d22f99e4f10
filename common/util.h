/* SPDX-License-Identifier: BSD-3-Clause */
/* Arithmetic and atomics that every room uses. */
#ifndef ZCRAM_UTIL_H
#define ZCRAM_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CACHE_LINE    64
#define NS_PER_MS     UINT64_C(1000000)

#define likely(x)     __builtin_expect(!!(x), 1)
#define unlikely(x)   __builtin_expect(!!(x), 0)

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Round up to a multiple of ALIGN, a power of two. X + ALIGN must not overflow. */
static inline uint64_t align_up(uint64_t x, uint64_t align)
{
	return (x + align - 1) & ~(align - 1);
}

static inline uint64_t div_round_up(uint64_t x, uint64_t y)
{
	return (x + y - 1) / y;
}

/*
 * Relaxed atomics, for counters and for values that a lock protects but that are also peeked at
 * without it.
 */
#define load_relaxed(p)	    __atomic_load_n(p, __ATOMIC_RELAXED)
#define store_relaxed(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define add_relaxed(p, v)   ((void)__atomic_fetch_add(p, v, __ATOMIC_RELAXED))

/*
 * Change a value by N, under the lock that protects it, that others peek at without: an addition
 * that needs no atomicity, and a store that does.
 */
#define bump(p, n) store_relaxed(p, *(p) + (n))

#endif
