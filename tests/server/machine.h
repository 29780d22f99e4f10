/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * machine: zcramd as it is, with its servers, on a machine of its own: a kernel that is the test's
 * (kernel.h), a configuration and a run directory in a directory of their own. Device zcram0 has a file
 * system, which nobody makes. What goes wrong of itself ends the program (CHECK).
 *
 * $ZCRAMD is the program under test, $ZCRAM_SERVER what it has serve, $ZCRAM_CTL zcramctl.
 */
#ifndef ZCRAM_TESTS_SERVER_MACHINE_H
#define ZCRAM_TESTS_SERVER_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/server/kernel.h"

#define MACHINE_NAME "zcram0"
#define MACHINE_MIB  16

struct machine {
	char dir[32];
	struct kernel kernel;
	pid_t zcramd; /* 0: there is none */
	int pidfd;
	int said;    /* a file with what all of them have said */
	off_t heard; /* up to where machine_said() has told it */
};

/*
 * CONNECTIONS of the device. This process becomes the one that orphans go to, and gets pools that
 * nobody else sees: 77, and nothing is made, where it may not.
 */
int machine_init(struct machine *machine, unsigned int connections);

/* All processes must have ended. */
void machine_fini(struct machine *machine);

/*
 * Start zcramd, with $VARIABLE as VALUE, unless NULL. True: it has said that all is ready; false: it is
 * dead, and *ret_status is that of waitpid().
 */
bool machine_start(struct machine *machine, const char *variable, const char *value,
		   int *ret_status);

/* Send it SIGNAL, unless 0, and wait for its end: the status of waitpid(). */
int machine_end(struct machine *machine, int signal);

/* zcramctl upgrade: its exit status. Zcramd may die meanwhile. */
int machine_upgrade(struct machine *machine);

/* The server, as whoever connects to it sees it. */
pid_t machine_server(struct machine *machine);

/* Wait until there is one server, and no other waits or is about to end: for ever, if there never is. */
void machine_await_one_server(struct machine *machine);

/* Kill the server, and have another serve: so does the zcramd that lives. */
void machine_kill_server(struct machine *machine);

/* What was said since the last call, or the first SIZE bytes of it. */
void machine_said(struct machine *machine, char *text, size_t size);

/* Wait until TEXT has been said since the last call of machine_said(); it stays to be read. */
void machine_await_said(struct machine *machine, const char *text);

/* Have the server that is started next be PROGRAM, or, NULL, $ZCRAM_SERVER. */
void machine_install(struct machine *machine, const char *program);

/* Write over the first bytes of what the server and zcramd keep of connection I. */
void machine_damage(struct machine *machine, unsigned int i);

#endif
