/* SPDX-License-Identifier: BSD-3-Clause */
/* An export of a real nbdkit on a Unix socket, to be killed and started again. */
#ifndef ZCRAM_TESTS_BACKING_EXPORT_H
#define ZCRAM_TESTS_BACKING_EXPORT_H

#include <stdint.h>
#include <sys/types.h>

struct export
{
	char socket[64];
	char uri[100];
	pid_t pid; /* 0: none runs */
};

/* Choose a socket; nobody listens yet. */
void export_init(struct export *export);

/*
 * Start nbdkit with these arguments, the last of them NULL. It can be connected to when this
 * returns, as the socket is made here and inherited.
 */
void export_start(struct export *export, const char *const *args);

/* Send it SIGNAL; wait until SIGSTOP has stopped it, or SIGKILL ended it, so that the socket
 * refuses. */
void export_signal(struct export *export, int signal);

/* Kill it, if it runs, and remove the socket. */
void export_fini(struct export *export);

#endif
