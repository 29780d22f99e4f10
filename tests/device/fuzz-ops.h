/* SPDX-License-Identifier: BSD-3-Clause */
/* The fuzzer's entry, which libFuzzer calls, and fuzz-replay where there is none. */
#ifndef ZCRAM_TESTS_FUZZ_OPS_H
#define ZCRAM_TESTS_FUZZ_OPS_H

#include <stddef.h>
#include <stdint.h>

/* Ends the program when the device is not what it must be. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
