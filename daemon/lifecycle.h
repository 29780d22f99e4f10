/* SPDX-License-Identifier: BSD-3-Clause */
/* lifecycle: the steps from nothing to a device in use, and back. */
#ifndef ZCRAM_DAEMON_LIFECYCLE_H
#define ZCRAM_DAEMON_LIFECYCLE_H

#include "daemon/steps.h"
#include "daemon/zcramd.h"

/*
 * For Z with its configuration, names and loop, and index -1. When the server dies at any time
 * between, it is said, the device is disconnected, and Z is marked lost.
 */
struct steps lifecycle(struct zcramd *z);

#endif
