/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ballast: memory that zcramd has for a server to start with.
 *
 * What a server that dies had of its own is free, and on a starved machine others have it before the next one
 * comes to ask. Then that one looks for memory, which is to be had only by swapping out, which waits for it. The
 * real-time policy helps it to some of what the kernel holds back from others; that may be less than a start takes.
 *
 * So zcramd keeps as much as the last start took, and gives it back to the kernel while a server is starting, as
 * soon as there is so little free that nobody of ordinary policy is given any: then it is the server that gets it.
 * Once that serves, it is taken again in small parts, each when the kernel has some at hand.
 */
#ifndef ZCRAM_DAEMON_BALLAST_H
#define ZCRAM_DAEMON_BALLAST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

#include "common/headroom.h"

/* It is never more: bytes. */
#define BALLAST_MAX ((size_t)16 << 20)

struct ballast {
	struct headroom headroom;
	sd_event_source *timer; /* NULL: none is kept */
	void *memory;		/* BALLAST_MAX of address space */
	size_t held;		/* bytes from its start on that there is memory for */
	size_t wanted;		/* how many there should be */
	bool starting;		/* a server is: none is taken */
};

/* Have what to keep it with, and nothing yet. *BALLAST is all zeros. A negative errno. */
int ballast_open(struct ballast *ballast, sd_event *event);
void ballast_close(struct ballast *ballast);

/* The rest does nothing where it is not open. */

/* A server is being started: have none, as soon as that is what it takes. */
void ballast_offer(struct ballast *ballast);

/* The server PID serves, and has just now what it has taken to start: have as much, by and by. */
void ballast_restore(struct ballast *ballast, pid_t pid);

/* How much a server has of its own, the kernel's part of it guessed: bytes; 0: it cannot be seen. */
size_t ballast_of(pid_t pid);

#endif
