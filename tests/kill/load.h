/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load: what is done to the device while it waits to be killed: writes, trims and zeroes of any
 * range and content, reads that are verified, compaction, changes of the settings, dictionaries that
 * are trained, used and retired, writeback.
 */
#ifndef ZCRAM_TESTS_KILL_LOAD_H
#define ZCRAM_TESTS_KILL_LOAD_H

#include "tests/kill/journal.h"

/*
 * Have the journal's threads make REQUESTS each, or, when it is 0, go on until they are killed.
 * The device is started or not, and the journal says what it must hold.
 */
void load_run(struct journal *journal, struct device *device, uint64_t seed, uint64_t requests);

/* The same on the caller's thread alone, as the first worker; nothing is compacted or set. */
void load_here(struct journal *journal, struct device *device, uint64_t seed, uint64_t requests);

#endif
