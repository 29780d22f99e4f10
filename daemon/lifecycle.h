/* SPDX-License-Identifier: BSD-3-Clause */
/* lifecycle: the steps from nothing to a device in use, and back. */
#ifndef ZCRAM_DAEMON_LIFECYCLE_H
#define ZCRAM_DAEMON_LIFECYCLE_H

#include "daemon/steps.h"
#include "daemon/zcramd.h"

/*
 * For Z with its configuration, names and loop, index -1, and a server to fill in. Steps that an
 * earlier zcramd has done are not done again. revive.h says what becomes of a server that dies.
 */
struct steps lifecycle(struct zcramd *z);

#endif
