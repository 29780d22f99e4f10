/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connection: one client of a control socket: a line in, a line out, without ever waiting for it.
 * One thread, which polls: control/server.c's, or a program's own (zcramd).
 *
 * The next line is looked at when the answer to the last one has been sent whole. So there is at
 * most one line of either kind in memory, and none at rest.
 */
#ifndef ZCRAM_CONTROL_CONNECTION_H
#define ZCRAM_CONTROL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <json-c/json.h>

#include "control/protocol.h"

enum connection_phase {
	CONNECTION_IDLE,    /* nothing, or nothing whole, has come */
	CONNECTION_READY,   /* a request is whole */
	CONNECTION_WORKING, /* its answer takes long: the server's to set */
	CONNECTION_SENDING, /* its answer is on its way */
};

struct connection {
	int fd;
	enum connection_phase phase;
	uint64_t patience; /* nanoseconds for a whole request to come, or a whole answer to go */
	uint64_t deadline; /* of what the client has to do, on os_now()'s clock; UINT64_MAX: none */
	int passed;	   /* the descriptor that came last, with what has come; -1: none */
	char *in;	   /* CONTROL_REQUEST_MAX bytes and a newline's; NULL: nothing has come */
	size_t in_len;
	size_t line; /* READY: length of the first line in it; IDLE: bytes without a newline */
	char *out;
	size_t out_len, out_sent;
	bool last; /* nothing is taken behind this answer */
};

/* Take the descriptor that came with the request: the caller's then. -1: none came. */
int connection_take_passed(struct connection *connection);

/*
 * Take the next client of LISTENER as CONNECTION: 1. 0: there is none, or it has been told why it is
 * not taken: it is neither root nor our own user, or there is no room, CONNECTION is NULL, of CLIENTS
 * at most. -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: there is nothing to take it with, and it still waits:
 * try again later.
 */
int connection_accept(struct connection *connection, int listener, unsigned int clients,
		      uint64_t patience);

/* Who has connected; false: the kernel does not say. */
bool connection_peer(const struct connection *connection, struct ucred *ret_peer);

/* FD, nonblocking, is taken over. */
void connection_open(struct connection *connection, int fd, uint64_t patience);
void connection_close(struct connection *connection);

/* What to poll it for; 0: nothing but that the client has gone. */
short connection_events(const struct connection *connection);

/*
 * It is IDLE, and can be read from: take what has come. A negative errno: it is to be closed;
 * -EMSGSIZE: with an answer, for what has come is longer than any request.
 */
int connection_read(struct connection *connection);

/*
 * Send ANSWER, which is put; NULL: there was no memory for it. LAST: and then have it closed.
 * A negative errno: it is to be closed.
 */
int connection_answer(struct connection *connection, struct json_object *answer, bool last);

/* The same with an error. */
int connection_refuse(struct connection *connection, const struct control_error *error, bool last);

/* It is SENDING, and can be written to: go on. When all is sent, the next line is looked at. */
int connection_write(struct connection *connection);

#endif
