/* SPDX-License-Identifier: BSD-3-Clause */
/* release: having a device out of use, before it may be let go of. */
#ifndef ZCRAM_DAEMON_RELEASE_H
#define ZCRAM_DAEMON_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/attach.h"

struct zcramd;

/*
 * Swap off, and unmount where zcramd has mounted, and return when nobody uses the device: for as
 * long as that takes. What is in the way is said, and tried again when memory may have come, every
 * few seconds, and whenever zcramd is asked once more to stop; I/O goes on all the while.
 *
 * Where the server has died nothing is waited for: a negative errno when the device is still in
 * use.
 */
int release(struct zcramd *z);

/* May swapoff do now, with AVAILABLE bytes of memory, that has failed before? */
bool release_is_worth_trying(const struct attach_use *use, uint64_t available);

#endif
