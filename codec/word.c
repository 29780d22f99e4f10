/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "codec/codec.h"

bool codec_same_word(const void *page, uint64_t *ret_word)
{
	const unsigned char *bytes = page;
	size_t rest = CODEC_PAGE_SIZE - sizeof(*ret_word);

	/*
	 * Of pages that begin with one word over and over, most end in another: look there first.
	 * Then, a page that equals itself one word further on is that word throughout.
	 */
	if (memcmp(bytes, bytes + rest, sizeof(*ret_word)) != 0 ||
	    memcmp(bytes, bytes + sizeof(*ret_word), rest) != 0)
		return false;
	memcpy(ret_word, bytes, sizeof(*ret_word));
	return true;
}

void codec_fill_word(void *page, uint64_t word)
{
	typedef uint64_t line __attribute__((vector_size(64)));
	const line words = {word, word, word, word, word, word, word, word};
	unsigned char *bytes = page;

	for (size_t i = 0; i < CODEC_PAGE_SIZE; i += sizeof(words))
		memcpy(bytes + i, &words, sizeof(words));
}
