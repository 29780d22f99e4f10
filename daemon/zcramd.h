/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcramd: one device, from its section of the configuration to swap or a file system and back.
 *
 * What is attached and in use is always asked of the kernel (attach/attach.h), whether there is a
 * server, of the run directory, and where it is, of its control socket; here stands only what this
 * process has started, or taken over. The truth is outside, so that another zcramd can find it.
 */
#ifndef ZCRAM_DAEMON_ZCRAMD_H
#define ZCRAM_DAEMON_ZCRAMD_H

#include <stdbool.h>

#include "config/conf.h"
#include "daemon/connection.h"
#include "daemon/loop.h"
#include "daemon/output.h"
#include "daemon/renew.h"
#include "daemon/revive.h"
#include "daemon/rundir.h"
#include "daemon/server.h"
#include "daemon/status.h"
#include "daemon/upgrade.h"

/* What an earlier zcramd has left. */
enum found {
	FOUND_NOTHING,
	FOUND_SERVER, /* it is still served */
	FOUND_POOL,   /* attached, and the server is dead too, but what it served is there */
};

struct zcramd {
	const char *root;	 /* of the configuration; NULL: the system's */
	const char *server_path; /* of zcram-server */
	const char *plugin;	 /* as nbdkit takes it, where that is the server */
	struct conf_host host;
	struct conf *conf;		  /* what it was started with */
	struct conf *reloaded;		  /* what was read last, or NULL */
	const struct conf_device *device; /* of conf */
	char identifier[64];		  /* what the kernel's device is attached with */
	struct loop loop;
	struct rundir rundir;
	struct output log; /* of servers */
	bool looped;	   /* the server is, or is to be, zcram-server, and can be brought back */
	struct connections connections;
	struct server servers[2];
	struct server *server; /* the one of them that serves; the other is for its successor */
	struct revive revive;
	struct renew renew;
	struct status status;
	struct upgrade upgrade;
	enum found found;
	bool in_use;   /* what was found is used as it should be */
	int index;     /* of /dev/nbdN, -1: not attached */
	char path[32]; /* "/dev/nbdN" */
	bool lost;     /* the server has died, and no other can answer requests */
};

/* Connections and threads as they come out of "auto"; the threads are nbdkit's. */
unsigned int zcramd_connections(const struct zcramd *z);
unsigned int zcramd_threads(const struct zcramd *z);

/*
 * The server's command line: the array and all of its strings are freed by zcramd_free_argv(). AGAIN: for
 * a server on a pool that is there. Connections that are not there yet stand in it by a word for each
 * descriptor. -ENOMEM.
 */
int zcramd_server_argv(const struct zcramd *z, bool again, char ***ret_argv);
void zcramd_free_argv(char **argv);

/* Print what would be done, and by which server; the kernel is asked for an io_uring. 0, or -ENOMEM. */
int zcramd_print_plan(struct zcramd *z);

/* Is the device still attached, and to us? Somebody may have detached it, and attached something else. */
bool zcramd_is_ours(const struct zcramd *z);

/* SIGHUP: read the configuration again, and put in force what can be. What comes of it is said. */
void zcramd_reload(struct zcramd *z);

#endif
