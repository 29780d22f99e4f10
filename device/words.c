/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

/* A word stands within this many places of where it hashes to, or nowhere. */
#define PROBES 32

int words_init(struct words *w, uint64_t *word)
{
	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->lock, NULL);
	w->word = word;
	w->is_own = !word;
	if (w->is_own)
		w->word = malloc(WORDS_ENTRIES * sizeof(*w->word));
	if (!w->word)
		return -ENOMEM;
	if (w->is_own)
		memset(w->word, 0, WORDS_ENTRIES * sizeof(*w->word));
	return 0;
}

void words_fini(struct words *w)
{
	if (w->is_own)
		free(w->word);
	pthread_mutex_destroy(&w->lock);
}

/* Fibonacci hashing (Knuth, TAOCP 6.4). */
static uint32_t place(uint64_t word, uint32_t probe)
{
	return ((uint32_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> 32) + probe) % WORDS_ENTRIES;
}

static uint64_t name_of(uint64_t word, uint64_t number)
{
	return (word * UINT64_C(0x9e3779b97f4a7c15) >> 17) * WORDS_ENTRIES + number;
}

int words_get(struct words *w, uint64_t word, uint64_t *ret_name)
{
	int64_t number = -1;

	pthread_mutex_lock(&w->lock);
	for (uint32_t probe = 0; probe < PROBES; probe++) {
		uint32_t at = place(word, probe);

		if (w->references[at] && w->word[at] == word) {
			number = at;
			break;
		}
		if (!w->references[at] && number < 0)
			number = at;
	}
	if (number >= 0) {
		if (!w->references[number])
			store_relaxed(&w->word[number], word);
		w->references[number]++;
		*ret_name = name_of(word, (uint64_t)number);
	}
	pthread_mutex_unlock(&w->lock);
	return number < 0 ? -ENOSPC : 0;
}

bool words_recover(struct words *w, uint64_t name)
{
	uint64_t number = name % WORDS_ENTRIES;

	if (name_of(w->word[number], number) != name)
		return false;
	w->references[number]++;
	return true;
}

void words_put(struct words *w, uint64_t name)
{
	pthread_mutex_lock(&w->lock);
	w->references[name % WORDS_ENTRIES]--;
	pthread_mutex_unlock(&w->lock);
}
