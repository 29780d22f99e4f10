/* SPDX-License-Identifier: BSD-3-Clause */
/* numbers: time, and what is made of many measurements. */
#ifndef ZCRAM_BENCH_NUMBERS_H
#define ZCRAM_BENCH_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

/* Monotonic time in nanoseconds. */
uint64_t now_ns(void);

/* Both sort VALUES. */
double median(double *values, size_t n);
uint32_t percentile(uint32_t *values, size_t n, double percent);

/*
 * Run FN(OPAQUE, 0) to FN(OPAQUE, THREADS - 1) at once, each in a thread of its own. Returns the
 * seconds from when all were there until the last was done.
 */
double run_parallel(unsigned int threads, void (*fn)(void *opaque, unsigned int thread),
		    void *opaque);

#endif
