/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve: what is the same for every front end that serves a device: parameters, the pool, locking,
 * statistics, the control socket, and in what order they begin and end.
 *
 * What goes wrong is said in one line (say.h), and then -1 is returned: call serve_give_up() and end.
 * All of it is called by one thread; requests go to the device straight.
 *
 * A front end that forks in between calls serve_try_lock(), pool_claim(), serve_open(),
 * serve_new_control(), then in the child serve_lock(), serve_start() and serve_answer(). One that does not calls
 * serve_lock() first of all, for what comes then is locked from the start.
 */
#ifndef ZCRAM_SERVE_H
#define ZCRAM_SERVE_H

#include <stdbool.h>

#include "control/server.h"
#include "device/device.h"
#include "serve/lock.h"
#include "serve/params.h"
#include "serve/pool.h"

/* All zeros but for VERSION before the first call. */
struct serve {
	const char *version; /* the program's, shown to clients of the control socket */
	struct params params;
	struct device *device;
	struct control_server *control; /* NULL: none is asked for */
	struct lock_result tried_lock;
	bool locked;  /* memory is, since serve_lock() */
	bool started; /* all is: what comes now is a clean stop */
};

/*
 * See what locking can be done, say what cannot, and undo it: before a fork the user can still be
 * told. No child inherits the lock.
 */
int serve_try_lock(struct serve *serve);

/* Lock memory and mark the calling thread as lock= says: threads inherit the mark. */
int serve_lock(struct serve *serve);

/*
 * While another server has the pool: do all that can be done before it is claimed, so that serve_open()
 * and what follows take little time and, where memory is locked, no memory: THREADS is how many the
 * front end will begin (common/threads.h). Blocks.
 */
int serve_expect(struct serve *serve, unsigned int threads);

/*
 * Attach the pool, which has been claimed (pool.h; MAKE as there), and make the device in it, if none was
 * made ahead: recover what is there. Blocks.
 */
int serve_open(struct serve *serve, bool make);

/* Have the control socket in place. OPTIONS: those that are the front end's own; NULL: none. */
int serve_new_control(struct serve *serve, const struct control_server_options *options);

/*
 * In the process that serves: have all memory that requests need, and start the background threads.
 * Requests can be served from then on.
 */
int serve_start(struct serve *serve);

/*
 * Start the thread that answers SIGUSR1 (stats_catch_signal() was before) and the control socket's.
 * Requests need neither.
 */
int serve_answer(struct serve *serve);

/* Stop these. No request may be under way. Only after serve_start(). */
void serve_stop(struct serve *serve);

/* Free all, and give the pool back; say so to who has asked for it. */
void serve_close(struct serve *serve, enum pool_end end);

/* After a failure: nothing is left of what this server has made. */
void serve_give_up(struct serve *serve);

#endif
