/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the operation fuzzer's entry on inputs made from a seed, without libFuzzer.
 *
 * fuzz-replay [FILE...]: on these files instead (tests/lib/replay.h).
 */
#include "tests/lib/replay.h"

#define INPUTS 400

static size_t make(struct rng *rng, uint8_t data[REPLAY_INPUT])
{
	size_t size = rng_below(rng, REPLAY_INPUT + 1);

	rng_bytes(rng, data, size);
	return size;
}

int main(int argc, char **argv)
{
	return replay(argc, argv, INPUTS, make);
}
