/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dicts: the dictionaries of a device: trained from its own pages, published to all who read, and
 * given back when no object names them.
 *
 * One thread at a time, the *trainer*, makes all of the calls below that change something, and is the
 * only one that compresses with a dictionary: who recompresses (training.h). Readers are all who
 * decompress: requests, each with a stream of the device, and the trainer with one of its own. They
 * look a dictionary up in the table by the generation that a slot names, with one load and no lock.
 *
 * A generation's life:
 *
 *	train	  bytes and checksum go to the store, then its state says that it is live, then the
 *		  table names it: only now can an object be compressed with it. So what a kill leaves
 *		  of an object has its dictionary
 *	use	  each of the trainer's streams compresses with the newest from then on; the table counts
 *		  those that compress with a generation, its users
 *	count	  page_account() counts the objects of each generation, where it counts the rest. Of one
 *		  that has no user objects only go: the sum over all streams' counters may be too high
 *		  while others are at work, never too low. 0 is 0, and stays so
 *	retire	  at 0: the table's entry is cleared, then the store's state; then each of the device's
 *		  streams is claimed once. Who decompresses has a stream, and found the dictionary
 *		  after he took it: when all were free once since the entry was cleared, nobody is in it,
 *		  and it is freed
 *
 * The last is needed although no slot names it: a reader may have copied a payload, whose slot has
 * changed since. The trainer itself must hold no payload when it calls dicts_retire().
 *
 * An object that leaves the pool for the backing store goes on naming its generation, and is counted all
 * the same. So a generation may live for as long as such a page.
 *
 * Locks: dicts_train() and dicts_retire() take the settings lock, for a moment.
 */
#ifndef ZCRAM_DEVICE_DICTS_H
#define ZCRAM_DEVICE_DICTS_H

#include "codec/dict.h"
#include "device/device.h"

struct dicts {
	struct dict_table table; /* see dict.h; the trainer changes it */
	struct dict
		*own[DICT_GENERATIONS]; /* the trainer's, who changes it under the settings lock */
	uint64_t sequence[DICT_GENERATIONS]; /* which is newer; the same */
	uint64_t memory;		     /* bytes of dictionaries; atomic */
};

/* Where a trainer has its samples from. */
struct dicts_source {
	/* A page's content to BUF. A negative errno: it is left out of the sample. */
	int (*read)(void *opaque, uint64_t page, void *buf);
	/* Asked between pages: is all to be given up? May be NULL. */
	bool (*stop)(void *opaque);
	void *opaque;
};

/*
 * Make a new generation, for a LEVEL of zstd's, from a random sample of the pages in the pool.
 * Returns its number. Allocates some 5 MiB for the while, walks the slot table, reads at most
 * DICT_PAGES_MAX pages, and trains for some 50 ms of a CPU in one go.
 * And nothing has changed: -EBUSY: all generations are live; -ENODATA: there are too few pages, or too
 * little is to be had from them; -EINTR: STOP; -EINVAL: there is no such level; -ENOMEM, also where a
 * modest pool's process would have to look for memory.
 */
int dicts_train(struct device *device, int level, const struct dicts_source *source);

/*
 * Make a new generation of a dictionary that was trained elsewhere. Returns its number. Allocates.
 * -EBUSY: all generations are live; -EINVAL: it is no dictionary; -ENOMEM.
 */
int dicts_add(struct device *device, const void *bytes, size_t len);

/*
 * Have one of the trainer's own streams read every generation, and compress with the newest from now
 * on. For each after dicts_train(), and for a new one. Returns the generation that is in use, 0:
 * none, as for lz4. Allocates. -ENOMEM: the stream goes on as before. A stream is freed before the
 * device.
 */
int dicts_use(struct device *device, struct codec_stream *stream);

/*
 * Give back each generation that is not the newest, has no user and is named by no object. Blocks until
 * each stream was free once, if there is any. Returns how many.
 */
unsigned int dicts_retire(struct device *device);

/* The newest generation, 0: there is none. For the trainer; others are told which was, a moment ago. */
unsigned int dicts_newest(const struct device *device);

/* The oldest, likewise. */
unsigned int dicts_oldest(const struct device *device);

/* Objects that name it; exact when nobody is at work. Any thread. */
uint64_t dicts_objects(struct device *device, unsigned int generation);

/* Of a recovered store: load what is whole of its dictionaries. Before slots are looked at. -ENOMEM. */
int dicts_recover(struct device *device);

/* After the slots: give up in the store what could not be loaded, which no slot names any more. */
void dicts_recovered(struct device *device);

/* As device_prefault(), for dictionaries. Settings lock. */
int dicts_prefault(struct device *device);

void dicts_free(struct device *device);

#endif
