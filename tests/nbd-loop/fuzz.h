/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz: what the fuzzers of the loop have in common: an input that is used up bit by bit. */
#ifndef ZCRAM_TESTS_NBD_FUZZ_H
#define ZCRAM_TESTS_NBD_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/lib/replay.h"

struct input {
	const uint8_t *data;
	size_t left;
};

/* The next BYTES bytes as a number; zeros when there are none left. */
static inline uint64_t input_take(struct input *input, size_t bytes)
{
	uint64_t value = 0;
	size_t n = bytes < input->left ? bytes : input->left;

	memcpy(&value, input->data, n);
	input->data += n;
	input->left -= n;
	return value;
}

#endif
