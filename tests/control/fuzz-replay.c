/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a fuzzer's entry, without libFuzzer, on lines that are right, and on what becomes of
 * them by cutting, repeating, and changing bytes, made from a seed.
 *
 * replay [FILE...]: on these files instead (tests/lib/replay.h).
 */
#include <string.h>

#include "tests/control/fuzz-seeds.h"
#include "tests/lib/replay.h"

#define INPUTS 100000

struct line {
	uint8_t data[REPLAY_INPUT];
	size_t size;
};

static void take_seed(struct rng *rng, struct line *line)
{
	size_t seeds = 0;

	while (fuzz_seeds[seeds] != NULL)
		seeds++;
	seeds = rng_below(rng, seeds);
	line->size = strlen(fuzz_seeds[seeds]);
	memcpy(line->data, fuzz_seeds[seeds], line->size);
}

/* Replace the bytes from AT on by those from FROM to END, a part of the line itself. */
static void splice(struct line *line, size_t at, size_t from, size_t end)
{
	uint8_t part[REPLAY_INPUT];
	size_t n = end - from;

	if (n > REPLAY_INPUT - at)
		n = REPLAY_INPUT - at;
	memcpy(part, line->data + from, n);
	memcpy(line->data + at, part, n);
	line->size = at + n;
}

static void change(struct rng *rng, struct line *line)
{
	static const char bytes[] = "{}[]\":,\\ \n0129-.eu\xc3\xff";
	size_t at = rng_below(rng, line->size + 1);

	switch (rng_below(rng, 4)) {
	case 0: /* drop some */
		splice(line, at, rng_between(rng, at, line->size), line->size);
		break;
	case 1: /* repeat some */
		splice(line, at, rng_below(rng, at + 1), line->size);
		break;
	case 2: /* one that means something, NUL among them */
		if (at < line->size)
			line->data[at] = (uint8_t)bytes[rng_below(rng, sizeof(bytes))];
		break;
	default: /* any */
		if (at < line->size)
			rng_bytes(rng, line->data + at, 1);
		break;
	}
}

static size_t make(struct rng *rng, uint8_t data[REPLAY_INPUT])
{
	uint64_t changes = rng_below(rng, 8);
	struct line line;

	take_seed(rng, &line);
	while (changes-- > 0)
		change(rng, &line);
	memcpy(data, line.data, line.size);
	return line.size;
}

int main(int argc, char **argv)
{
	return replay(argc, argv, INPUTS, make);
}
