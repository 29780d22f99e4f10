/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * words: the repeated words of SAME slots that do not fit into the slot's 60 bits.
 *
 * A fixed table, counted by reference, touched when it is made. Most devices hold a handful of
 * such words (all ones, a few floating point constants); when a word finds no place the page is
 * compressed like any other. Its lock is innermost.
 */
#ifndef ZCRAM_WORDS_H
#define ZCRAM_WORDS_H

#include <pthread.h>
#include <stdint.h>

#define WORDS_ENTRIES 8192

struct words {
	pthread_mutex_t lock; /* of all that follows; a word is constant while it has references */
	uint64_t word[WORDS_ENTRIES];
	uint32_t references[WORDS_ENTRIES];
};

void words_init(struct words *words);

/* A reference to the word's number. -ENOSPC: there is no place for it. */
int words_get(struct words *words, uint64_t word, uint32_t *ret_number);
void words_put(struct words *words, uint32_t number);

/* The word. The caller's slot refers to it, and is locked. */
static inline uint64_t words_word(const struct words *words, uint64_t number)
{
	return words->word[number];
}

#endif
