/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcramd: that part of it which looks after servers, on a keeper's connections, for tests of
 * daemon/successor.h. What goes wrong of itself ends the program (CHECK).
 */
#ifndef ZCRAM_TESTS_SERVER_ZCRAMD_H
#define ZCRAM_TESTS_SERVER_ZCRAMD_H

#include <stdbool.h>

#include "daemon/successor.h"
#include "tests/server/keeper.h"

#define ZCRAMD_ARGUMENTS 16

struct zcramd_part {
	struct keeper *keeper;
	struct loop loop;
	struct rundir dir;
	struct output log;
	struct connections connections; /* the keeper's descriptors */
	struct server servers[2];
	struct server *server; /* that serves */
	char *argv[ZCRAMD_ARGUMENTS + 1];
};

/* With the keeper's pool; its run directory is in the keeper's directory. */
void zcramd_init(struct zcramd_part *z, struct keeper *keeper);
/* Servers must have ended. */
void zcramd_fini(struct zcramd_part *z);

/* The command line of a server: NULL behind the last of EXTRA. It stays until the next call. */
struct server_line zcramd_line(struct zcramd_part *z, const char *const *extra);

/* The first server, or another one after a death, for a device of SIZE bytes: returns when it serves. */
void zcramd_start(struct zcramd_part *z, uint64_t size);

/*
 * Have it followed by one that is started by LINE. Where it is, z->server is the new one. *ret_why: as
 * successor_start() does.
 */
enum successor_end zcramd_succeed(struct zcramd_part *z, const struct server_line *line,
				  struct succession *ret_succession, char **ret_why);

/* Kill or end z->server, and wait for it. */
void zcramd_signal(struct zcramd_part *z, int signal);

#endif
