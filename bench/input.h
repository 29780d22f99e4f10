/* SPDX-License-Identifier: BSD-3-Clause */
/* input: the pages that the benchmarks work on, and random choices that come out alike everywhere.
 */
#ifndef ZCRAM_BENCH_INPUT_H
#define ZCRAM_BENCH_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE   4096
#define KIB_128	    (UINT64_C(128) << 10)
#define MIB	    (UINT64_C(1) << 20)
#define INPUT_ALIGN 64 /* an input is this many pages times a whole number */

struct input {
	unsigned char *pages;
	size_t count;
};

/*
 * Read FILE, its first MAX_MIB at most (0: all), into memory of our own, aligned to a page: a page
 * of a mapped file would come and go in the resident size. Exits with a message when it cannot.
 */
void input_load(struct input *input, const char *file, uint64_t max_mib);

/* Page I of a device that holds the input over and over. */
static inline const void *input_page(const struct input *input, uint64_t i)
{
	return input->pages + i % input->count * PAGE_SIZE;
}

/* The next of a sequence of random numbers. */
uint64_t random_next(uint64_t *state);

/* Is page I one of the 75% that are trimmed? The same ones on each device. */
bool input_is_trimmed(uint64_t i);

/* A number from the command line, 1 at least; exits with a message when it is none. */
uint64_t parse_number(const char *option, const char *text);

#endif
