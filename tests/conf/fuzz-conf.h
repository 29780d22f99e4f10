/* SPDX-License-Identifier: BSD-3-Clause */
/* The fuzzer's entry, which the replay calls as well. */
#ifndef ZCRAM_TESTS_CONF_FUZZ_CONF_H
#define ZCRAM_TESTS_CONF_FUZZ_CONF_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
