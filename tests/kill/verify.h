/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify: is the device, quiet and just recovered, what the journal says, and is it sound?
 * Whatever is not so ends the program.
 */
#ifndef ZCRAM_TESTS_KILL_VERIFY_H
#define ZCRAM_TESTS_KILL_VERIFY_H

#include "tests/kill/journal.h"

/* What device_new() has made of the store: the same device as before, all of it. */
void verify_recovery(struct journal *journal, struct device *device);

/* The validator; every cell is named by a slot, every slot has its cell and words their counts. */
void verify_pool(struct journal *journal, struct device *device);

/* Every page, and what the journal does not know yet of requests that were cut off. */
void verify_content(struct journal *journal, struct device *device);

/* Trim all of the device: not an object, not a zspage is left. It has not been started. */
void verify_trimmed(struct journal *journal, struct device *device);

#endif
