/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a fuzzer's entry on inputs made from a seed, without libFuzzer.
 *
 * fuzz-replay [FILE...]: on these files instead, such as those in which libFuzzer found something.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/check.h"
#include "tests/lib/rng.h"
#include "tests/nbd-loop/fuzz.h"
#include "tests/nbd-loop/served.h"

#define MAX_INPUT 400
#define INPUTS	  1500

static void replay_file(const char *name)
{
	static uint8_t data[1 << 16];
	FILE *file = fopen(name, "rb");
	size_t size;

	CHECK(file != NULL, "cannot open %s", name);
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	printf("%s: %zu bytes\n", name, size);
}

static void replay_made(void)
{
	uint8_t data[MAX_INPUT];
	struct rng rng = rng_make(test_seed(0));
	uint64_t inputs = test_ops(INPUTS);

	for (uint64_t i = 0; i < inputs; i++) {
		/* Short ones too: what is damaged in many places is refused for the first of them. */
		size_t size = rng_below(&rng, rng_chance(&rng, 50) ? 60 : sizeof(data) + 1);

		rng_bytes(&rng, data, size);
		LLVMFuzzerTestOneInput(data, size);
	}
	printf("%" PRIu64 " inputs\n", inputs);
}

int main(int argc, char **argv)
{
	served_need_ring();
	for (int i = 1; i < argc; i++)
		replay_file(argv[i]);
	if (argc == 1)
		replay_made();
	return EXIT_SUCCESS;
}
