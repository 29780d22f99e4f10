/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tests/lib/check.h"

void rng_bytes(struct rng *rng, void *buf, size_t len)
{
	uint8_t *at = buf;

	while (len > 0) {
		uint64_t word = rng_next(rng);
		size_t n = len < sizeof(word) ? len : sizeof(word);

		memcpy(at, &word, n);
		at += n;
		len -= n;
	}
}

static bool number_from_env(const char *name, uint64_t *ret_number)
{
	const char *text = getenv(name);
	char *end;

	if (text == NULL || *text == '\0')
		return false;
	*ret_number = strtoull(text, &end, 0);
	CHECK(*end == '\0', "%s=%s is not a number", name, text);
	return true;
}

uint64_t test_seed(uint64_t fallback)
{
	uint64_t seed = fallback;

	if (!number_from_env("ZCRAM_TEST_SEED", &seed) && seed == 0)
		CHECK(getrandom(&seed, sizeof(seed), 0) == sizeof(seed), "no random seed");
	printf("# ZCRAM_TEST_SEED=0x%" PRIx64 "\n", seed);
	fflush(stdout);
	return seed;
}

uint64_t test_ops(uint64_t fallback)
{
	uint64_t ops = fallback;

	number_from_env("ZCRAM_TEST_OPS", &ops);
	return ops;
}
