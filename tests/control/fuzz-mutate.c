/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer's mutations, but every other time of a line that is right: the JSON parser is not
 * instrumented, so libFuzzer would hardly ever come by one on its own.
 */
#include <string.h>

#include "tests/control/fuzz-seeds.h"

/* Called by libFuzzer, and there to be called. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	size_t seeds = 0;

	while (fuzz_seeds[seeds] != NULL)
		seeds++;
	if (seed % 2 == 0) {
		const char *line = fuzz_seeds[seed / 2 % seeds];

		size = strlen(line) < max_size ? strlen(line) : max_size;
		memcpy(data, line, size);
	}
	return LLVMFuzzerMutate(data, size, max_size);
}
