/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * link: one connection of the server: its memory, its loop, and the thread that runs it.
 *
 * All of a link is the main thread's, but that its own thread writes RESULT before ENDED. What goes
 * wrong is said in one line (say.h).
 */
#ifndef ZCRAM_SERVER_LINK_H
#define ZCRAM_SERVER_LINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/server.h"
#include "device/device.h"

struct nbd_loop;

struct link {
	const struct control_descriptors *fds; /* open as long as the process lives */
	void *region;			       /* NULL: not mapped */
	size_t region_size;
	struct nbd_loop *loop; /* NULL: there is none, or no more */
	bool running;	       /* the thread is, or has not been joined */
	pthread_t thread;
	int changed;	/* eventfd, borrowed: written when it has ended */
	int result;	/* of nbd_loop_run() */
	uint32_t ended; /* atomic: 1, after RESULT */
};

/*
 * Map the memory, so that no request touches it first, and leave it out of core dumps. Does not look
 * at it: another server may be at work. 0 or -1.
 */
int link_map(struct link *link, const struct control_descriptors *fds);

/* Has a request ever been received on it? Before link_open(). */
bool link_was_served(const struct link *link);

/* How many threads link_open() and link_run() begin, when THREADS are to execute requests; 0: by default. */
unsigned int link_threads(unsigned int threads);

enum link_opened {
	LINK_OPEN,
	LINK_REFUSED, /* this connection cannot be gone on with */
	LINK_FAILED,  /* none can, by this process */
};

/*
 * Have a loop for requests to DEVICE, with so many threads that execute them (0: as the loop likes):
 * take up what a server before has left. CHANGED: as above.
 */
enum link_opened link_open(struct link *link, struct device *device, unsigned int threads,
			   int changed);

/* Serve, in a thread of its own. 0 or -1. */
int link_run(struct link *link);

/* Have it stop: see nbd_loop_stop(). */
void link_stop(struct link *link);

enum link_state {
	LINK_RUNNING,
	LINK_STOPPED, /* a successor can go on */
	LINK_CLOSED,  /* the client has disconnected */
	LINK_BROKEN,  /* there is no going on; it is said, and the socket shut down */
};

/* What has become of it, which ends what has ended; WAIT: until it has. */
enum link_state link_reap(struct link *link, bool wait);

/* No answer will ever come: let the client know. */
void link_shut_down(const struct link *link);

/* Free what is not the process's: not while it runs. */
void link_close(struct link *link);

#endif
