/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page content for the tests, of the kinds that the memory of processes is made of.
 */
#ifndef ZCRAM_TESTS_CONTENT_H
#define ZCRAM_TESTS_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "tests/lib/rng.h"

enum content_kind {
	CONTENT_ZERO,
	CONTENT_SAME,	  /* one 8-byte word, all its bits in use, over and over */
	CONTENT_TEXT,	  /* words of a small vocabulary, some of them often */
	CONTENT_POINTERS, /* a heap: addresses that are near each other, small numbers, nulls */
	CONTENT_INTEGERS, /* arrays of 32-bit numbers that grow or stay small */
	CONTENT_RANDOM,	  /* does not shrink */
	CONTENT_KINDS,
};

/* Fill LEN bytes, any number, with content of one kind. */
void content_fill(struct rng *rng, enum content_kind kind, void *buf, size_t len);

/* A kind, each as often as in real memory, roughly: shrinking content most often. */
enum content_kind content_pick(struct rng *rng);

/*
 * Content made in advance, page by page of all kinds, so that a test that runs millions of
 * operations spends its time in the device.
 */
struct corpus {
	uint8_t *bytes;
	size_t size;
};

/* Ends the program when there is no memory. */
void corpus_init(struct corpus *corpus, struct rng *rng, size_t size);
void corpus_fini(struct corpus *corpus);

/*
 * Copy LEN bytes, at most the corpus's size, from anywhere in the corpus, and make them unlike what
 * was copied from there before by a stamp here and there. Now and then, they are one word over and
 * over instead.
 */
void corpus_copy(const struct corpus *corpus, struct rng *rng, void *buf, size_t len);

#endif
