/* SPDX-License-Identifier: BSD-3-Clause */
/* socket: a control socket in the file system, the side that is asked. */
#ifndef ZCRAM_CONTROL_SOCKET_H
#define ZCRAM_CONTROL_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

struct control_socket {
	int fd; /* listening, nonblocking */
	const char *path;
	dev_t dev; /* what the path was when it was made */
	ino_t ino;
};

/*
 * Bind and listen at PATH, which is borrowed: see control_server_new(). Those who do this and
 * socket_end() in one directory take turns by a lock on it: nobody takes a socket away between
 * another's look at it and his own. Where somebody serves, WAIT milliseconds at most are waited for
 * him to be gone.
 */
int socket_make(const char *path, unsigned int wait, struct control_socket *ret_socket);

/*
 * The calling process is from now on the one that clients see as their peer, whoever has made the
 * socket: the kernel notes it when a socket listens.
 */
int socket_take_over(const struct control_socket *socket);

/* Close it, and if REMOVE, and the path is still this socket, take that away. */
void socket_end(struct control_socket *socket, bool remove);

#endif
