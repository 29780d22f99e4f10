/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filter: the byte shuffle in front of a coder. Inside codec/ only.
 *
 * A page of numbers or references is 512 words whose high bytes hardly differ. Shuffled, all first
 * bytes of the words come first, then all second bytes, and so on: what is alike stands together.
 * Nothing here allocates or fails; pages may have any alignment and must not overlap.
 */
#ifndef ZCRAM_FILTER_H
#define ZCRAM_FILTER_H

#include <stdbool.h>

#include "codec/codec.h"

#define FILTER_WORD_SIZE 8

void filter_shuffle(const void *page, void *ret_shuffled);
void filter_unshuffle(const void *shuffled, void *ret_page);

/* Is the payload of the page, compressed by ID, likely to be shorter if it is shuffled first? */
bool filter_predict(enum codec_id id, const void *page);

#endif
