/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tests' random numbers: a small generator that repeats itself from its seed.
 *
 * A test takes its seed from test_seed(), which prints it, so that any failure can be had again:
 *
 *	ZCRAM_TEST_SEED  the seed of the run, as it was printed
 *	ZCRAM_TEST_OPS   how many operations a test makes, in place of its own number
 */
#ifndef ZCRAM_TESTS_RNG_H
#define ZCRAM_TESTS_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline struct rng rng_make(uint64_t seed)
{
	return (struct rng){.state = seed};
}

/* Spread one number over all 64 bits: the same number always gives the same. */
static inline uint64_t rng_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static inline uint64_t rng_next(struct rng *rng)
{
	rng->state += 0x9e3779b97f4a7c15u;
	return rng_mix(rng->state);
}

/* 0 .. bound - 1. */
static inline uint64_t rng_below(struct rng *rng, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)rng_next(rng) * bound) >> 64);
}

/* lowest .. highest. */
static inline uint64_t rng_between(struct rng *rng, uint64_t lowest, uint64_t highest)
{
	return lowest + rng_below(rng, highest - lowest + 1);
}

/* True in PERCENT of a hundred. */
static inline bool rng_chance(struct rng *rng, unsigned int percent)
{
	return rng_below(rng, 100) < percent;
}

void rng_bytes(struct rng *rng, void *buf, size_t len);

/*
 * The seed of this run: ZCRAM_TEST_SEED when it is set, else FALLBACK, else, when that is 0, one
 * that the kernel draws. Printed.
 */
uint64_t test_seed(uint64_t fallback);

/* How many operations to make: ZCRAM_TEST_OPS when it is set, else FALLBACK. */
uint64_t test_ops(uint64_t fallback);

#endif
