/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * revive: what is done when the server dies.
 *
 * Another one is started on the same connections and the same pool, and the kernel does not learn of
 * it. That is done by handlers of events, whatever else zcramd is waiting for: swapping off, too,
 * takes a server. Two rules keep it from waiting for what only the server can give:
 *
 * - While there is none, nothing is said: the journal may be swapped out.
 * - Where the device is swap, zcramd and the server are of a real-time policy from before the fork on.
 *   The kernel lets such tasks have some of the memory that it keeps back from others; a server that is
 *   about to start takes some, and has not locked any yet. (PR_SET_IO_FLUSHER is inherited, too.) That may
 *   not be enough, and so zcramd has some for it (ballast.h), and all that it is to read (text.h).
 *
 * A server that ends by itself twice in a row, and not by a signal, cannot go on with its connections,
 * or they are gone: then new ones are begun, which the kernel learns of; requests that were under way
 * wait until their own time is over, and are sent again.
 *
 * One that dies too often (deaths.h) is on its way out: the device is taken out of use, which takes
 * the server, so it is still brought back, and does nothing in the background any more. If it dies
 * as often again, and no less is in swap than before, it is given up: the device is detached, requests fail, and the pool stays.
 */
#ifndef ZCRAM_DAEMON_REVIVE_H
#define ZCRAM_DAEMON_REVIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/ballast.h"
#include "daemon/child.h"
#include "daemon/deaths.h"
#include "daemon/output.h"
#include "daemon/text.h"

struct zcramd;

struct revive {
	struct deaths deaths;
	struct ballast ballast; /* of swap */
	struct text text;	/* the same */
	bool failing;		/* it has died too often: the device is to be taken out of use */
	uint64_t left;		/* then: bytes in swap, when that was last looked at */
	unsigned int times;	/* that it was brought back */
	unsigned int row;	/* ends by itself, in a row */
	unsigned int width;	/* connections, when they were complete */
	uint64_t died;		/* loop_now(), when the last that served ended; 0: one serves */
	pid_t pid;		/* which one */
	char how[CHILD_TEXT_SIZE];
	char said[OUTPUT_LINE_SIZE]; /* the last that it wrote */
	sd_event_source *timer; /* until the next try, or for a try's patience; NULL: not watched */
};

/* From now on; z->server serves. A negative errno. */
int revive_watch(struct zcramd *z);

/* Another server is z->server, and serves: the old one has handed over to it. */
void revive_follow(struct zcramd *z);

/* No more: it is to end. */
void revive_end(struct zcramd *z);

#endif
