/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * training: when dictionaries (dicts.h) are trained, used and given back by who recompresses.
 *
 * Once before a round, for its recompressor:
 *
 *	retire	what no object names any more
 *	train	where there is a method of zstd's, and enough pages that it is for: when there is no
 *		dictionary yet; and again when the pool's size has been written several times since, for
 *		what is in it is other content then
 *	evict	if that is due and all generations are live: have the round compress the pages of the oldest
 *		again with the newest, whatever comes of it, so that the next one can retire it
 *	use	the newest, from the round's first page on
 *
 * It allocates, trains for some 50 ms of a CPU in one go, and takes locks: by the proxy (background.h), or
 * by who recompresses without the threads. Either way it is one thread at a time, as dicts.h wants.
 */
#ifndef ZCRAM_DEVICE_TRAINING_H
#define ZCRAM_DEVICE_TRAINING_H

#include <stdbool.h>
#include <stdint.h>

struct device;
struct recompressor;

/*
 * Pages that are to be recompressed, at least, for a dictionary: of 16 MiB it saves some 400 KiB; it and
 * what compresses with it take that much.
 */
#define TRAINING_PAGES 4096

/* How often the bytes of all pages in the pool are written before there is another. */
#define TRAINING_TURNOVER 4

/* Whose who recompresses. The first two are constant but for tests. */
struct training {
	uint64_t least, turnover;
	bool tried;
	uint64_t written; /* bytes, by the device's counters, when it was tried last */
};

void training_init(struct training *training);

/* All of the above, before a round of R. What fails is tried another time. Blocks, allocates. */
void training_step(struct device *device, struct recompressor *r);

#endif
