/* SPDX-License-Identifier: BSD-3-Clause */
/* swap: making swap of a device, and taking it back. */
#ifndef ZCRAM_DAEMON_SWAP_H
#define ZCRAM_DAEMON_SWAP_H

#include <stdint.h>

struct zcramd;

/* mkswap. As a step: errors as child_run()'s. */
int swap_format(struct zcramd *z, char **why);

/* Swap on, with the priority and discard of the configuration. As a step. */
int swap_on(struct zcramd *z, char **why);

/*
 * Swap off: the kernel reads all back. Takes as long as that takes; loop_turn() meanwhile. 0: the
 * device is not swap any more, whoever has done it. A negative errno, and *why: it still is.
 */
int swap_off(struct zcramd *z, char **why);

/* The memory in bytes that the kernel could give without swapping; 0: not known. */
uint64_t swap_available_memory(const char *root);

#endif
