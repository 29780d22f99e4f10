/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the configuration fuzzer's entry on inputs made from a seed, without libFuzzer:
 * files that are mostly right, with an error or two.
 *
 * fuzz-replay [FILE...]: on these files instead (tests/lib/replay.h).
 */
#include <string.h>

#include "common/util.h"
#include "tests/lib/replay.h"

#define INPUTS 20000

static const char *const lines[] = {
	"[zcram0]",
	"[zram1]",
	"[zcram23]",
	"[defaults]",
	"zram-size = min(ram / 2, 4096)",
	"zram-size = 3 * (ram - 1000) / 4",
	"size = 10G",
	"size = ram - 4096",
	"zram-resident-limit = ram / 3",
	"mem-limit = 0",
	"algorithm = zstd(level=3)",
	"algorithm = lz4",
	"filter = none",
	"compact = off",
	"reserve = 1M",
	"lock = auto",
	"connections = 4",
	"threads = auto",
	"device = nbd3",
	"host-memory-limit = 2048",
	"host-memory-limit = none",
	"swap-priority = -1",
	"fs-type = ext4",
	"mount-point = /mnt//x/.",
	"options = discard=pages",
	"options =",
	"# nothing",
	"",
};

/* Some lines of the above, now and then with a byte changed. */
static size_t make_file(struct rng *rng, uint8_t *data)
{
	uint64_t count = rng_between(rng, 1, 12);
	size_t size = 1;

	data[0] = 0;
	for (uint64_t i = 0; i < count; i++) {
		/* A file begins with a section, mostly. */
		uint64_t line =
			rng_below(rng, i == 0 && rng_chance(rng, 90) ? 4 : ARRAY_SIZE(lines));
		size_t len = strlen(lines[line]);

		memcpy(data + size, lines[line], len);
		size += len;
		data[size++] = '\n';
	}
	if (rng_chance(rng, 30))
		data[rng_between(rng, 1, size - 1)] = (uint8_t)rng_below(rng, 256);
	return size;
}

static size_t make(struct rng *rng, uint8_t data[REPLAY_INPUT])
{
	size_t size;

	if (rng_chance(rng, 70))
		return make_file(rng, data);
	size = rng_below(rng, 256);
	rng_bytes(rng, data, size);
	return size;
}

int main(int argc, char **argv)
{
	return replay(argc, argv, INPUTS, make);
}
