/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rundir: the directory of a running device, $ZCRAM_RUN_DIR/NAME or /run/zcram/NAME.
 *
 *	lock		locked by zcramd while it lives; its process id
 *	nbd.sock	the server's NBD socket
 *	control		its control socket
 *	log		a pipe of what it writes
 *	pid		its process id, written when it is about to serve
 *	server		locked by each server while it lives
 *	zcramd		zcramd's own control socket
 *	ready		there while the device is in use as configured
 */
#ifndef ZCRAM_DAEMON_RUNDIR_H
#define ZCRAM_DAEMON_RUNDIR_H

#include <stddef.h>

/* Paths in it fit into a socket's address. */
#define RUNDIR_PATH_SIZE 108

enum rundir_file {
	RUNDIR_LOCK,
	RUNDIR_NBD,
	RUNDIR_CONTROL,
	RUNDIR_LOG,
	RUNDIR_PID,
	RUNDIR_SERVER,
	RUNDIR_READY,
	RUNDIR_ZCRAMD,
	RUNDIR_FILES,
};

struct rundir {
	char path[RUNDIR_PATH_SIZE];
	char files[RUNDIR_FILES][RUNDIR_PATH_SIZE];
	int lock; /* -1: not ours */
};

/* Work out the paths for device NAME; makes nothing. -ENAMETOOLONG, and *why. */
int rundir_init(struct rundir *dir, const char *name, char **why);

/*
 * Make the directory, for root alone, and lock it. -EEXIST, and a line with the process id: another
 * zcramd has it. Files that a dead one has left stay.
 */
int rundir_lock(struct rundir *dir, char **why);

/* Make one, empty. */
int rundir_make(const struct rundir *dir, enum rundir_file file);

/* Remove one file, if it is there. */
int rundir_remove(const struct rundir *dir, enum rundir_file file);

/* Unlock the directory, and remove it if nothing but the lock is in it. */
int rundir_unlock(struct rundir *dir);

#endif
