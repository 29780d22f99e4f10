/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcramd: one device, from its section of the configuration to swap or a file system and back.
 *
 * What is attached and in use is always asked of the kernel (attach/attach.h), and where the server
 * is, of its control socket; here stands only what this process has started. The truth is outside,
 * so that another zcramd can find it.
 */
#ifndef ZCRAM_DAEMON_ZCRAMD_H
#define ZCRAM_DAEMON_ZCRAMD_H

#include <stdbool.h>

#include "config/conf.h"
#include "daemon/loop.h"
#include "daemon/rundir.h"
#include "daemon/server.h"

struct zcramd {
	const char *root;   /* of the configuration; NULL: the system's */
	const char *plugin; /* as nbdkit takes it */
	struct conf_host host;
	struct conf *conf;		  /* what it was started with */
	struct conf *reloaded;		  /* what was read last, or NULL */
	const struct conf_device *device; /* of conf */
	char identifier[64];		  /* what the kernel's device is attached with */
	struct loop loop;
	struct rundir rundir;
	struct server server;
	int index;     /* of /dev/nbdN, -1: not attached */
	char path[32]; /* "/dev/nbdN" */
	bool lost;     /* the server has died, and the content with it */
};

/* Connections and threads as they come out of "auto". */
unsigned int zcramd_connections(const struct zcramd *z);
unsigned int zcramd_threads(const struct zcramd *z);

/*
 * The nbdkit command line: the array and all of its strings are freed by zcramd_free_argv(). -ENOMEM.
 */
int zcramd_server_argv(const struct zcramd *z, char ***ret_argv);
void zcramd_free_argv(char **argv);

/* Print what would be done. 0, or -ENOMEM. */
int zcramd_print_plan(const struct zcramd *z);

/* SIGHUP: read the configuration again, and put in force what can be. What comes of it is said. */
void zcramd_reload(struct zcramd *z);

#endif
