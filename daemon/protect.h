/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * protect: what keeps zcramd, and what it starts, alive and moving while memory runs out.
 */
#ifndef ZCRAM_DAEMON_PROTECT_H
#define ZCRAM_DAEMON_PROTECT_H

#include <stdbool.h>

/*
 * Lock this process's memory, as it is touched; mark it PR_SET_IO_FLUSHER, and have the OOM killer
 * pass it by: the latter two are inherited by processes that it starts. URGENT: give it a real-time
 * policy, too, so that it gets memory for a new server when there is hardly any. What cannot be done is
 * said as a warning, and the rest is done.
 */
void protect_self(bool urgent);

/*
 * Say what about this machine's settings is worth knowing of one that swaps on zcram. ROOT: as in
 * attach/attach.h.
 */
void protect_advise(const char *root);

#endif
