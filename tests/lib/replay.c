/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/check.h"

static void replay_file(const char *name)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(name, "rbe");
	size_t size;

	CHECK(file != NULL, "cannot open %s", name);
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	printf("%s: %zu bytes\n", name, size);
}

int replay(int argc, char **argv, uint64_t inputs,
	   size_t (*make)(struct rng *rng, uint8_t data[REPLAY_INPUT]))
{
	static uint8_t data[REPLAY_INPUT];
	struct rng rng;

	for (int i = 1; i < argc; i++)
		replay_file(argv[i]);
	if (argc > 1)
		return EXIT_SUCCESS;
	rng = rng_make(test_seed(0));
	inputs = test_ops(inputs);
	for (uint64_t i = 0; i < inputs; i++) {
		size_t size = make(&rng, data);

		LLVMFuzzerTestOneInput(data, size);
	}
	printf("%" PRIu64 " inputs\n", inputs);
	return EXIT_SUCCESS;
}
