/* SPDX-License-Identifier: BSD-3-Clause */
/* call: a command on the server's control socket, with zcramd's events looked after meanwhile. */
#ifndef ZCRAM_DAEMON_CALL_H
#define ZCRAM_DAEMON_CALL_H

#include <stdint.h>
#include <sys/types.h>

#include <json-c/json.h>

#include "daemon/loop.h"

/*
 * Send COMMAND to the socket at PATH, where PEER must be the one that serves it (0: anybody; -ECONNREFUSED:
 * another one does), and wait USEC microseconds at most for the answer; loop_turn()
 * meanwhile. Only a socket that has a whole queue of clients who are not looked at is waited for
 * without, for a tenth of a second. Results are those of control_call() and control_connect().
 */
int call(struct loop *loop, const char *path, pid_t peer, const char *command, uint64_t usec,
	 struct json_object **ret_result, char **ret_message);

#define CALL_VERSION_SIZE 32

/* The version of the server at PATH; "" where it cannot be had within USEC microseconds. */
void call_version(struct loop *loop, const char *path, uint64_t usec,
		  char ret_version[CALL_VERSION_SIZE]);

#endif
