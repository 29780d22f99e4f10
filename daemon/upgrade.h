/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * upgrade: what zcramd is asked on its own control socket (control.h): how the server is, and to have it
 * followed by the one that is installed (successor.h).
 *
 * The socket only notes that an upgrade is asked for. It is done in its turn, as a reload is, while the
 * server serves.
 */
#ifndef ZCRAM_DAEMON_UPGRADE_H
#define ZCRAM_DAEMON_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

struct zcramd;
struct zcramd_control;

struct upgrade {
	struct zcramd_control *control; /* NULL: not listening */
	bool asked;
	pid_t known;  /* the server whose version was asked for last */
	char *unsaid; /* why one has failed: for the log, as soon as a server serves; or NULL */
};

/* Listen, in the run directory. A negative errno, and *why. */
int upgrade_listen(struct zcramd *z, char **why);

/* No more. */
void upgrade_end(struct zcramd *z);

/* In use as it should be, and after each event: do what is asked for, if a server serves. */
void upgrade_look(struct zcramd *z);

/* Do it at once, while the server serves, whoever has asked for it. */
void upgrade_now(struct zcramd *z);

/* The device is to be taken out of use: what was asked for is not done any more. */
void upgrade_stop(struct zcramd *z);

#endif
