/* SPDX-License-Identifier: BSD-3-Clause */
/* Bits in an array of 64-bit words. No bounds are checked. */
#ifndef ZCRAM_BITMAP_H
#define ZCRAM_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

static inline bool bitmap_test(const uint64_t *map, unsigned int bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

/* The bits of word WORD that fall into [first, first + count). */
static inline uint64_t bitmap_word_mask(unsigned int word, unsigned int first, unsigned int count)
{
	unsigned int lo = word * 64, hi = lo + 64, end = first + count;
	uint64_t mask = ~UINT64_C(0);

	if (first >= hi || end <= lo)
		return 0;
	if (first > lo)
		mask &= ~UINT64_C(0) << (first - lo);
	if (end < hi)
		mask &= ~UINT64_C(0) >> (hi - end);
	return mask;
}

static inline void bitmap_set_range(uint64_t *map, unsigned int first, unsigned int count)
{
	for (unsigned int w = first / 64; count && w <= (first + count - 1) / 64; w++)
		map[w] |= bitmap_word_mask(w, first, count);
}

static inline void bitmap_clear_range(uint64_t *map, unsigned int first, unsigned int count)
{
	for (unsigned int w = first / 64; count && w <= (first + count - 1) / 64; w++)
		map[w] &= ~bitmap_word_mask(w, first, count);
}

static inline unsigned int bitmap_count_range(const uint64_t *map, unsigned int first,
					      unsigned int count)
{
	unsigned int n = 0;

	for (unsigned int w = first / 64; count && w <= (first + count - 1) / 64; w++)
		n += (unsigned int)__builtin_popcountll(map[w] & bitmap_word_mask(w, first, count));
	return n;
}

/* Length of the run of bits of value VALUE that starts at FIRST, up to END. */
static inline unsigned int bitmap_run(const uint64_t *map, bool value, unsigned int first,
				      unsigned int end)
{
	unsigned int at = first;

	while (at < end) {
		uint64_t word = (value ? ~map[at / 64] : map[at / 64]) >> (at % 64);

		if (word) {
			at += (unsigned int)__builtin_ctzll(word);
			break;
		}
		at += 64 - at % 64;
	}
	return (at < end ? at : end) - first;
}

/*
 * The first of NBITS bits (a multiple of 64) that starts COUNT set ones in a row, or -1.
 */
static inline int bitmap_find_run(const uint64_t *map, unsigned int nbits, unsigned int count)
{
	unsigned int at = 0;

	while (at + count <= nbits) {
		unsigned int len;

		at += bitmap_run(map, false, at, nbits);
		if (at >= nbits)
			break;
		len = bitmap_run(map, true, at, nbits);
		if (len >= count)
			return (int)at;
		at += len;
	}
	return -1;
}

#endif
