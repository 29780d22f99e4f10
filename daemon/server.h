/* SPDX-License-Identifier: BSD-3-Clause */
/* server: nbdkit with the zcram plugin, a child of zcramd. */
#ifndef ZCRAM_DAEMON_SERVER_H
#define ZCRAM_DAEMON_SERVER_H

#include <stdbool.h>

#include "daemon/child.h"
#include "daemon/output.h"
#include "daemon/rundir.h"

struct server {
	struct child child;
	struct output output; /* of the pipe that it writes to */
};

/*
 * Start it by ARGV, and return when it serves; files that a dead server has left in DIR are
 * replaced. A negative errno, and *why with the last line that it wrote. -ECANCELED: zcramd is to
 * stop.
 */
int server_start(struct server *server, struct loop *loop, const struct rundir *dir,
		 char *const argv[], char **why);

/*
 * End it, when it has not ended by itself, and remove its files. The device must not be attached
 * any more: what the server holds is lost.
 */
int server_stop(struct server *server, struct loop *loop, const struct rundir *dir);

/* Is there a server on DIR's control socket, whoever has started it? *ret_pid 0: not known. */
bool server_find(const struct rundir *dir, pid_t *ret_pid);

#endif
