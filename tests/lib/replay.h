/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay: a fuzzer's entry without libFuzzer: on inputs made from a seed, or on files, such as those in
 * which libFuzzer found something. A program of this is a main() that calls replay(), and a fuzzer.
 */
#ifndef ZCRAM_TESTS_REPLAY_H
#define ZCRAM_TESTS_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "tests/lib/rng.h"

/* Bytes of an input that is made. */
#define REPLAY_INPUT 4096

/* The fuzzer's entry. Ends the program when what is checked does not hold. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * On the files that are given, or on so many INPUTS, or $ZCRAM_TEST_OPS of them, that MAKE makes, which
 * returns their size. Returns what main() does.
 */
int replay(int argc, char **argv, uint64_t inputs,
	   size_t (*make)(struct rng *rng, uint8_t data[REPLAY_INPUT]));

#endif
