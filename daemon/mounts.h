/* SPDX-License-Identifier: BSD-3-Clause */
/* mounts: the view of the file systems that the service manager has given zcramd. */
#ifndef ZCRAM_DAEMON_MOUNTS_H
#define ZCRAM_DAEMON_MOUNTS_H

/*
 * Have the service manager keep our mount namespace until the service is stopped. The kernel shows a
 * swap device by the path that it was turned on with, in that namespace: when the last process in it
 * has ended, as it does when zcramd and the server have both been followed by others, /dev/nbd0 is shown as
 * "/nbd0", which nobody else knows. Without a service manager, or a namespace of our own, nothing is lost.
 */
void mounts_keep(void);

/* What the service manager has kept of an earlier zcramd is for no program that we start. At the beginning. */
void mounts_kept(void);

#endif
