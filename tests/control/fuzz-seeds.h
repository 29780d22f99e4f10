/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fuzzer of lines begins with: each target names its own, for the replay without libFuzzer. */
#ifndef ZCRAM_TESTS_FUZZ_SEEDS_H
#define ZCRAM_TESTS_FUZZ_SEEDS_H

#include "tests/lib/replay.h"

/* Lines that are right, NULL behind the last. */
extern const char *const fuzz_seeds[];

#endif
