/* SPDX-License-Identifier: BSD-3-Clause */
/* pool: the shared memory in which servers keep the device's content (common/segment.h). */
#ifndef ZCRAM_DAEMON_POOL_H
#define ZCRAM_DAEMON_POOL_H

#include <stdbool.h>

/* Is there a pool called NAME that no server runs on? -EBUSY: one does. */
int pool_find(const char *name, bool *ret_found);

/* Remove it, when its server is dead; one that is not there needs no removal. -EBUSY, -EACCES. */
int pool_remove(const char *name);

#endif
