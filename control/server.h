/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server: the control socket of a running device. control/protocol.h says what is spoken there.
 *
 * Two threads: one polls the socket and its clients and answers, one does what takes long (work.h).
 * Neither is ever waited for by a request of the device, and neither holds a lock of the device's
 * while it allocates, prints or sends: what the device has to say is copied out first. No client makes
 * the first wait: nothing blocks, all buffers have bounds, and who is slow is dropped.
 *
 * Served are root and the user that the server runs as.
 */
#ifndef ZCRAM_CONTROL_SERVER_H
#define ZCRAM_CONTROL_SERVER_H

#include <sys/types.h>

#include "device/device.h"

#define CONTROL_CLIENTS_MAX 16

struct control_server;

/* A connection that the server did not make itself, by the numbers of its descriptors. */
struct control_descriptors {
	int region, ring, socket;
};

/* Of a server that another can go on for; called on the thread that polls. */
struct control_succession {
	const struct control_descriptors *connections;
	unsigned int nr_connections;
	/*
	 * Come to an end soon, and return at once: control_server_stop() and what follows are another
	 * thread's. A negative errno, and *ret_why, a constant: it cannot be.
	 */
	int (*begin)(void *opaque, const char **ret_why);
	/* Let process PID take the descriptors. 0, or a negative errno. */
	int (*allow)(void *opaque, pid_t pid);
	void *opaque;
};

/* The strings, the device and the succession are borrowed until control_server_free(). */
struct control_server_options {
	const char *path;      /* of the socket; absolute, if the directory is changed later */
	const char *name;      /* of the device, shown to clients; NULL: it has none */
	struct device *device; /* started or not */
	const char
		*writeback;  /* where its backing store is, shown to clients; NULL: there is none */
	const char *version; /* of the program, shown to clients */
	unsigned int
		patience;  /* milliseconds that a request or an answer may be half-way; 0: 10 s */
	unsigned int wait; /* milliseconds at most for who serves at PATH to be gone */
	const struct control_succession *succession; /* NULL: no other server can go on for it */
};

/*
 * Have the socket in place, mode 0600 from the first moment on, before the fork. One that is there
 * and that nobody serves is replaced. Allocates; waits for another server that does the same in the
 * same directory. -EADDRINUSE: a live one; -EEXIST: something that is no socket; -ENAMETOOLONG: the
 * path has more bytes than a socket's address (CONTROL_PATH_MAX); -ENOENT, -ENOTDIR, -EACCES: of
 * the directory; -ENOMEM, -EMFILE, -EROFS, -ENOSPC.
 */
int control_server_new(const struct control_server_options *options,
		       struct control_server **ret_server);

/* Start the threads, after the fork. Clients that came before are served now. -EAGAIN, -ENOMEM. */
int control_server_start(struct control_server *server);

/*
 * Close all connections, but that of who waits for a handover, and end the threads. Waits for a
 * compaction that is under way; recompression, writeback, a save or a restore is broken off. Before device_stop().
 * Also when it was never started.
 */
void control_server_stop(struct control_server *server);

/* The pool has been given up: say so to who waits for it. After control_server_stop(). */
void control_server_handed_over(struct control_server *server);

/*
 * Remove the socket, if it is still the one that was made, and by the process that started the
 * server, or made it where it was not started; free all. NULL: nothing. After control_server_stop().
 */
void control_server_free(struct control_server *server);

#endif
