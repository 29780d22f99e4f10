/* SPDX-License-Identifier: BSD-3-Clause */
/* ask: what zcramd asks the server of a run directory, on its control socket. All of it waits. */
#ifndef ZCRAM_DAEMON_ASK_H
#define ZCRAM_DAEMON_ASK_H

#include <stdint.h>
#include <sys/types.h>

#include "daemon/connection.h"
#include "daemon/rundir.h"

/* 0: it answers; it is about to serve, and has a minute. Else a negative errno. */
int ask_anything(const struct rundir *dir);

#define ASK_VERSION_SIZE 32

/*
 * How many pages it has found in its pool, and what version it is, cut to fit. A negative errno: it does
 * not say so within a second.
 */
int ask_recovered(const struct rundir *dir, uint64_t *ret_pages,
		  char ret_version[ASK_VERSION_SIZE]);

/* A server that lives, and how to take what it has. */
struct ask_server {
	pid_t pid;
	int pidfd; /* the caller's to close */
	unsigned int
		count; /* of its connections; 0: it has none that could be taken, it is nbdkit */
	struct connection_numbers numbers[CONF_MAX_CONNECTIONS];
};

/*
 * Who serves, and by what numbers it has its connections: we may take them from then on. -ENOENT,
 * -ECONNREFUSED: nobody answers, or not yet; -EPROTO and others.
 */
int ask_server(const struct rundir *dir, struct ask_server *ret_server);

#endif
