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
#include <stdbool.h>
#include <stdint.h>

#define WORDS_ENTRIES 8192

/*
 * With a store the words stand in it, and the references are counted again from the slots. A word is
 * written before a slot names it, and is another only after no slot does: words_get() is called
 * before the slot's exchange, words_put() after it, and the lock orders what is between.
 */
struct words {
	pthread_mutex_t lock; /* of all that follows; a word is constant while it has references */
	uint64_t *word;	      /* the store's, or own */
	uint32_t references[WORDS_ENTRIES];
	bool is_own;
};

/* WORD: WORDS_ENTRIES of the store's, or NULL: private memory. -ENOMEM. */
int words_init(struct words *words, uint64_t *word);
void words_fini(struct words *words);

/* Recovery: one more reference to a word. False: what is in the table is not what has that name. */
bool words_recover(struct words *words, uint64_t name);

/*
 * A reference to the word, by its name: its number, and above that bits of a hash of it, so that
 * neither a slot's nor the table's stray bits make a page of another page's word. Less than 2^60.
 * -ENOSPC: there is no place for it.
 */
int words_get(struct words *words, uint64_t word, uint64_t *ret_name);
void words_put(struct words *words, uint64_t name);

/* The word. The caller's slot refers to it, and is locked. */
static inline uint64_t words_word(const struct words *words, uint64_t name)
{
	return words->word[name % WORDS_ENTRIES];
}

#endif
