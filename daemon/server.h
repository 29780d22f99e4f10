/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server: zcram-server, or nbdkit with the zcram plugin: a child of zcramd, or of one before it.
 *
 * There may be two at a time, of which one waits for the other to hand over. A server that lives, from
 * before its first instruction to its end, has the run directory's "server" locked; its descriptor
 * is inherited. So a zcramd that was started anew knows whether there is one, also one that does not
 * answer yet.
 */
#ifndef ZCRAM_DAEMON_SERVER_H
#define ZCRAM_DAEMON_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/child.h"
#include "daemon/connection.h"
#include "daemon/output.h"
#include "daemon/rundir.h"

struct server {
	struct child child; /* its on_exit is whoever's that started the server */
	const struct rundir *dir;
	char program[32]; /* without its directory; of an adopted one: what it was */
	bool serves;	  /* its pid file has been written, by this one */
	uint64_t since;	  /* loop_now(), when we saw that it serves */
	void (*on_serving)(struct server *server, void *opaque); /* at that instant; or NULL */
	void *opaque;						 /* for it */
	sd_event_source *watch; /* of the run directory, until it serves */
};

/* How to start one. */
struct server_line {
	char *const *argv;
	const struct connections *connections; /* that it gets by the same numbers */
	bool urgent;			       /* for swap: see revive.h */
};

/*
 * Have the pipe that servers write to, new, or that which a zcramd before us has made. Each line goes to
 * the log. A negative errno, and *why.
 */
int server_open_log(struct output *log, struct loop *loop, const struct rundir *dir, char **why);

/*
 * Start one, and return at once: SERVER->serves and its on_exit say what comes of it. SERVER must stay
 * where it is until it is forgotten. Nothing is logged. A negative errno: there is no process. That
 * there is no such program is learned later: child.error.
 */
int server_launch(struct server *server, struct loop *loop, const struct rundir *dir,
		  struct output *log, const struct server_line *line);

/* It no longer lives, and the place that SERVER takes is to be used again. */
void server_forget(struct server *server);

/*
 * The first: files that a dead server has left in DIR are replaced; returns when it serves. A negative
 * errno, and *why with the last line that it wrote. -ECANCELED: zcramd is to stop.
 */
int server_start(struct server *server, struct loop *loop, const struct rundir *dir,
		 struct output *log, const struct server_line *line, char **why);

/* Watch one that serves and that another zcramd has started; the descriptor is the server's. */
int server_adopt(struct server *server, struct loop *loop, const struct rundir *dir, pid_t pid,
		 int pidfd);

/*
 * End it, when it has not ended by itself, and remove its files. The device must not be attached
 * any more: what the server holds, but for a pool that is kept, is lost.
 */
int server_stop(struct server *server, struct loop *loop);

/* Is one alive in DIR, whoever has started it, and whether it serves or not? */
bool server_is_alive(const struct rundir *dir);

#endif
