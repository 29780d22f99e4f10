/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evictor: a backing store in memory for a device, and orders to write to it, of any pages.
 */
#ifndef ZCRAM_TESTS_EVICTOR_H
#define ZCRAM_TESTS_EVICTOR_H

#include "device/device.h"
#include "tests/lib/rng.h"

struct evictor {
	int file; /* in memory; inherited by children */
	uint64_t size;
};

/* SIZE bytes, so small that the store is full, and cleaned, now and then. Ends the program without. */
void evictor_init(struct evictor *evictor, uint64_t size);
void evictor_fini(struct evictor *evictor);

/* Have the device have it; by io_uring, or by threads. What it has there is found again. */
void evictor_open(const struct evictor *evictor, struct device *device, struct rng *rng);

/* Write some pages. What does not fit stays where it is. */
void evictor_order(struct device *device, struct rng *rng);

/* Bytes of the store that are live. */
uint64_t evictor_live(struct device *device);

#endif
