/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hold: keep a device still while its content is saved or restored.
 *
 * What is not in use is claimed, as a mount would: nobody can mount it, or swap on it, meanwhile. What
 * is mounted is frozen (freeze.h).
 */
#ifndef ZCRAM_CTL_HOLD_H
#define ZCRAM_CTL_HOLD_H

#include <stdbool.h>

#include "ctl/devices.h"
#include "ctl/freeze.h"

struct hold {
	int node; /* descriptor of /dev/nbdN; -1: it is not attached, or in use */
	struct freeze freeze;
};

/*
 * Hold the device at INDEX of /dev/nbdN, -1: it is not attached, called NAME. Of a device that is not
 * in use all is written that the kernel has of it. What is mounted is frozen, if PLACE, the file or
 * directory that will be written to, is not on it; PLACE of NULL: it is in use, as anything else is.
 * CTL_OK; else a complaint has been made that names what it is in use as, and nothing is held.
 */
int hold_begin(struct hold *hold, const char *name, int index, const char *place);

/* Say so while it is held, every few seconds at least. */
void hold_stir(struct hold *hold);

/*
 * Let go. False: it was not held to the end. FLUSH: and drop what the kernel has of the device's old
 * content.
 */
bool hold_end(struct hold *hold, bool flush);

/*
 * Where the device is attached: *ret_index; -1: nowhere. STAT is what its server has answered. CTL_OK;
 * else a complaint has been made: there is one in use of which it cannot be told whether it is this.
 */
int hold_find(const struct ctl_device *device, const struct json_object *stat, int *ret_index);

#endif
