/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a fuzzer's entry on inputs made from a seed, without libFuzzer.
 *
 * fuzz-replay [FILE...]: on these files instead (tests/lib/replay.h).
 */
#include "tests/lib/replay.h"
#include "tests/nbd-loop/served.h"

#define INPUTS 1500
#define SHORT  60
#define LONG   400

/* Short ones too: what is damaged in many places is refused for the first of them. */
static size_t make(struct rng *rng, uint8_t data[REPLAY_INPUT])
{
	size_t size = rng_below(rng, rng_chance(rng, 50) ? SHORT : LONG + 1);

	rng_bytes(rng, data, size);
	return size;
}

int main(int argc, char **argv)
{
	served_need_ring();
	return replay(argc, argv, INPUTS, make);
}
