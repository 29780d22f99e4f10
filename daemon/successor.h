/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * successor: a new server in the place of the one that serves, on the same connections and the same
 * pool (server/zcram-server.pod, --wait and handover).
 *
 * Until the old server is asked to hand over, nothing is lost by giving up; from then on there is no
 * way back, and what goes wrong is as good as a death of the server. What happens, and what comes of
 * it (T: it is taken over; K: kept, the old one goes on; N: none is left):
 *
 *	                        the new one        the old one         zcramd is to stop
 *	                        dies               dies
 *	new one starts, until   K: why it died     T: it waits for     K: canceled, the new
 *	  it is ready                              the pool already    one is ended
 *	handover asked,         N: the old one     T: the same         T: it does not take
 *	  not answered          ends all the same                      long, and then stops
 *	handed over, until it   N                  T: it has nothing   T: the same
 *	  serves                                   any more
 *
 * A new one that is not ready in time is ended: K. An old one that does not answer in time is killed: T.
 * One that refuses, or whose socket cannot be had, though it lives: K. When zcramd itself is killed,
 * all goes on as far as it was asked for; a new one that waits is left, and ended by the next zcramd:
 * successor_clear().
 */
#ifndef ZCRAM_DAEMON_SUCCESSOR_H
#define ZCRAM_DAEMON_SUCCESSOR_H

#include "daemon/server.h"

struct succession {
	struct loop *loop;
	const struct rundir *dir;
	struct output *log;
	struct server *server;		/* that serves */
	struct server *next;		/* an unused place for the new one */
	const struct server_line *line; /* that it is started by, with --wait */
	uint64_t patience; /* microseconds to be ready in, and to hand over in; 0: a minute */
	/* What came of it: */
	bool died;		     /* the old one has not handed over, but died */
	char death[CHILD_TEXT_SIZE]; /* how, if so */
	uint64_t pause;		     /* T: microseconds at most that nobody served */
};

enum successor_end {
	SUCCESSOR_SERVES, /* T: NEXT serves, and SERVER has ended and is forgotten */
	SUCCESSOR_KEPT,	  /* K: NEXT is forgotten */
	SUCCESSOR_NONE,	  /* N: the same; SERVER has ended, and its on_exit has not been called */
};

/*
 * Returns when it is done or has come to nothing, with loop_turn() meanwhile; for recovery, there is no
 * limit to that. *ret_why, unless it serves: a line that the caller frees, or NULL. Nothing is logged
 * while nobody serves.
 *
 * Until it returns, SERVER's on_exit is not called.
 */
enum successor_end successor_start(struct succession *succession, char **ret_why);

/*
 * End what an earlier zcramd has left waiting for POOL, but not SERVER, which has it, or 0, and wait for
 * its death. Before the next server is started.
 */
void successor_clear(const char *pool, pid_t server);

#endif
