/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first ENGINE_BLOCK_MAX bytes of a backing store, in the byte order of the host; what is
 * behind the struct is zero. The rest of the first segment is not used.
 */
#ifndef ZCRAM_BACKING_HEADER_H
#define ZCRAM_BACKING_HEADER_H

#include <stdint.h>

#include "backing/backing.h"

#define HEADER_LAYOUT 1U /* another number: records or segments mean something else */

struct header {
	char magic[8];
	uint32_t layout;
	uint32_t segment_size; /* bytes */
	uint64_t segments;     /* with the first */
	uint8_t uuid[16];      /* another one whenever the store begins anew */
	char name[BACKING_NAME];
	uint64_t checksum; /* XXH3 of all before it */
};

#endif
