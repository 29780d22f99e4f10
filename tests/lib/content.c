/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/content.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

#define PAGE_SIZE  4096
#define VOCABULARY 512

static void fill_word(uint8_t *buf, size_t len, uint64_t word)
{
	for (size_t at = 0; at < len; at += sizeof(word))
		memcpy(buf + at, &word, len - at < sizeof(word) ? len - at : sizeof(word));
}

static void fill_text(struct rng *rng, uint8_t *buf, size_t len)
{
	size_t at = 0;

	while (at < len) {
		/* The product of two makes low numbers, the common words, the likely ones. */
		uint64_t number = rng_below(rng, VOCABULARY) * rng_below(rng, VOCABULARY);
		uint64_t letters = rng_mix(number / VOCABULARY + 1);
		size_t length = 2 + letters % 9;

		for (size_t i = 0; i < length && at < len; i++, letters /= 26)
			buf[at++] = (uint8_t)('a' + letters % 26);
		if (at < len)
			buf[at++] = rng_chance(rng, 90) ? ' ' : '\n';
	}
}

static void fill_pointers(struct rng *rng, uint8_t *buf, size_t len)
{
	uint64_t heap = 0x00007f0000000000u + (rng_below(rng, 1 << 20) << 12);

	for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
		uint64_t draw = rng_below(rng, 8);
		uint64_t word = draw < 4   ? heap + 16 * rng_below(rng, 1 << 12)
				: draw < 6 ? rng_below(rng, 256)
					   : 0;

		memcpy(buf + at, &word, len - at < sizeof(word) ? len - at : sizeof(word));
	}
}

static void fill_integers(struct rng *rng, uint8_t *buf, size_t len)
{
	uint32_t number = (uint32_t)rng_below(rng, 1 << 16);
	uint32_t step = (uint32_t)rng_between(rng, 1, 64);

	for (size_t at = 0; at < len; at += sizeof(number)) {
		memcpy(buf + at, &number, len - at < sizeof(number) ? len - at : sizeof(number));
		number += (uint32_t)rng_below(rng, step);
	}
}

void content_fill(struct rng *rng, enum content_kind kind, void *buf, size_t len)
{
	switch (kind) {
	case CONTENT_ZERO:
		memset(buf, 0, len);
		break;
	case CONTENT_SAME:
		fill_word(buf, len, rng_next(rng) | 0x8000000000000001u);
		break;
	case CONTENT_TEXT:
		fill_text(rng, buf, len);
		break;
	case CONTENT_POINTERS:
		fill_pointers(rng, buf, len);
		break;
	case CONTENT_INTEGERS:
		fill_integers(rng, buf, len);
		break;
	case CONTENT_RANDOM:
	case CONTENT_KINDS:
		rng_bytes(rng, buf, len);
		break;
	}
}

enum content_kind content_pick(struct rng *rng)
{
	static const uint8_t share[CONTENT_KINDS] = {
		[CONTENT_ZERO] = 6,	 [CONTENT_SAME] = 4,	  [CONTENT_TEXT] = 30,
		[CONTENT_POINTERS] = 30, [CONTENT_INTEGERS] = 20, [CONTENT_RANDOM] = 10,
	};
	uint64_t draw = rng_below(rng, 100);
	unsigned int kind = 0;

	while (draw >= share[kind])
		draw -= share[kind++];
	return kind;
}

void corpus_init(struct corpus *corpus, struct rng *rng, size_t size)
{
	corpus->size = size;
	corpus->bytes = malloc(size);
	CHECK(corpus->bytes != NULL, "no memory for %zu bytes of content", size);
	for (size_t at = 0; at < size; at += PAGE_SIZE)
		content_fill(rng, content_pick(rng), corpus->bytes + at,
			     size - at < PAGE_SIZE ? size - at : PAGE_SIZE);
}

void corpus_fini(struct corpus *corpus)
{
	free(corpus->bytes);
	corpus->bytes = NULL;
}

void corpus_copy(const struct corpus *corpus, struct rng *rng, void *buf, size_t len)
{
	uint8_t *bytes = buf;

	if (rng_chance(rng, 10)) {
		content_fill(rng, rng_chance(rng, 50) ? CONTENT_ZERO : CONTENT_SAME, buf, len);
		return;
	}
	memcpy(bytes, corpus->bytes + rng_below(rng, corpus->size - len + 1), len);
	for (size_t at = rng_below(rng, PAGE_SIZE); at < len; at += PAGE_SIZE) {
		uint64_t stamp = rng_next(rng);

		memcpy(bytes + at, &stamp, len - at < sizeof(stamp) ? len - at : sizeof(stamp));
	}
}
