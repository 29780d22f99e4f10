/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trainer: who trains a device's dictionaries (device/dicts.h) and compresses pages with them, in
 * place of a background thread. One at a time for a device.
 */
#ifndef ZCRAM_TESTS_TRAINER_H
#define ZCRAM_TESTS_TRAINER_H

#include "device/device-types.h"

struct trainer {
	struct device *device;
	struct codec_stream *codec; /* NULL: no page can be read or compressed */
};

void trainer_init(struct trainer *trainer, struct device *device, const char *algorithm, int level);
void trainer_fini(struct trainer *trainer);

/*
 * dicts_train() with the device's own pages, and dicts_use() if that has made a generation. Returns
 * its number, or the error of either.
 */
int trainer_train(struct trainer *trainer);

/*
 * dicts_add() of one that was made of text, and dicts_use() likewise. It is made by whoever comes
 * first: by trainer_prepare(), so that processes that are forked later have it.
 */
void trainer_prepare(void);
int trainer_add(struct trainer *trainer);

/* Compress the page anew, as the trainer's method and dictionary make it. As a write of it. */
int trainer_recompress(struct trainer *trainer, uint64_t page);

#endif
