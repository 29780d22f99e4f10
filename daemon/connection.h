/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connection: what zcramd keeps of the device's connections, so that the kernel does not learn of it
 * when the server dies (nbd/loop.h, docs/loop.md): memory, ring, and the server's end of the socket.
 *
 * The memory is locked here, too: with the server dead, nothing else would keep it from being
 * swapped out, onto the very device that it is needed for.
 */
#ifndef ZCRAM_DAEMON_CONNECTION_H
#define ZCRAM_DAEMON_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"

struct connection {
	int memory, ring, server; /* close-on-exec; what a server gets */
	int client;		  /* the kernel's end; -1: it has it, and we do not */
	void *region;
	size_t size;
};

struct connections {
	unsigned int count; /* 0: there are none, the server is nbdkit */
	struct connection at[CONF_MAX_CONNECTIONS];
};

/* The numbers that the descriptors of one have in a server. */
struct connection_numbers {
	int memory, ring, server;
};

/*
 * Make COUNT of them. -ENOSYS: zcram was built without; -EPERM, -ENOSYS: the kernel gives us no
 * io_uring; others. *why says it.
 */
int connections_open(struct connections *connections, unsigned int count, char **why);

/* Could they be made? As connections_open(), but nothing is left. */
int connections_probe(char **why);

/* Is it an error of these two that says that there are none here, whoever asks again? */
bool connections_are_refused(int r);

/*
 * What the kernel may have under way on each, for a read to find room beside writes that are held (nbd/loop.h): KiB
 * of a request, and writes.
 */
void connections_bounds(unsigned int *ret_kib, unsigned int *ret_writes);

/* Take those of the living server of PIDFD. A negative errno, and *why. */
int connections_adopt(struct connections *connections, int pidfd,
		      const struct connection_numbers *numbers, unsigned int count, char **why);

/*
 * Give the kernel, for its device INDEX, these instead of others that are dead, which it may not
 * have noticed yet: this waits some seconds at most. What it does not want is closed. A negative errno,
 * and *why: it wants none.
 */
int connections_give(struct connections *connections, int index, const char *identifier,
		     char **why);

/*
 * The same for connection I alone, of which the kernel is to see that it is dead; no server knows of the
 * new one yet. On an error it stays as it is. *why as above.
 */
int connections_renew(struct connections *connections, unsigned int i, int index,
		      const char *identifier, char **why);

/* Has it been shut down, at whichever end? */
bool connection_is_dead(const struct connection *connection);

/* The kernel has its ends: close ours. */
void connections_close_clients(struct connections *connections);

/* Have the kernel see that it is dead; that all are. */
void connection_shut_down(const struct connection *connection);
void connections_shut_down(const struct connections *connections);

void connections_close(struct connections *connections);

#define CONNECTIONS_DESCRIPTORS ((size_t)3 * CONF_MAX_CONNECTIONS)

/* All that a server gets, to FDS; returns how many. */
size_t connections_descriptors(const struct connections *connections,
			       int fds[CONNECTIONS_DESCRIPTORS]);

#endif
