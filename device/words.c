/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/words.h"

#include <errno.h>
#include <string.h>

/* A word stands within this many places of where it hashes to, or nowhere. */
#define PROBES 32

void words_init(struct words *w)
{
	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->lock, NULL);
}

/* Fibonacci hashing (Knuth, TAOCP 6.4). */
static uint32_t place(uint64_t word, uint32_t probe)
{
	return ((uint32_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> 32) + probe) % WORDS_ENTRIES;
}

int words_get(struct words *w, uint64_t word, uint32_t *ret_number)
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
			w->word[number] = word;
		w->references[number]++;
		*ret_number = (uint32_t)number;
	}
	pthread_mutex_unlock(&w->lock);
	return number < 0 ? -ENOSPC : 0;
}

void words_put(struct words *w, uint32_t number)
{
	pthread_mutex_lock(&w->lock);
	w->references[number]--;
	pthread_mutex_unlock(&w->lock);
}
