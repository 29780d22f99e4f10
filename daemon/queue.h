/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue: how many writes the kernel may have under way. At its limit zcram holds writes (device/limit.h), for
 * seconds where there is a backing store; a read must not wait for them, neither for a tag in the kernel
 * nor for room in a connection's memory (nbd/loop.h).
 */
#ifndef ZCRAM_DAEMON_QUEUE_H
#define ZCRAM_DAEMON_QUEUE_H

struct zcramd;

/*
 * Bound them for the device of Z, where zcram-server serves. loop_turn() meanwhile. That it cannot be done is
 * said, and no error: 0 always. As a step (daemon/steps.h).
 */
int queue_bound(void *zcramd, char **why);

#endif
