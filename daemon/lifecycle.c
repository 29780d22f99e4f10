/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/lifecycle.h"

#include <errno.h>
#include <linux/nbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "common/util.h"
#include "daemon/dropin.h"
#include "daemon/fs.h"
#include "daemon/mounts.h"
#include "daemon/pool.h"
#include "daemon/queue.h"
#include "daemon/release.h"
#include "daemon/report.h"
#include "daemon/survey.h"
#include "daemon/swap.h"
#include "daemon/why.h"

/* Headers of older kernels lack it; kernels that do not know it ignore it. */
#ifndef NBD_FLAG_SEND_WRITE_ZEROES
#define NBD_FLAG_SEND_WRITE_ZEROES (1 << 6)
#endif

/*
 * Seconds that a request may take before the kernel cuts its connection; 0: any time, but with several
 * connections that is 30 s. Nothing waits for it when the server dies. A server that is only slow is cut off
 * by it: swapping to a starved one was seen to take more than 30 s. And when zcramd and the server die
 * at once, requests that were under way wait until it is over (with 0: 30 s) before they are sent again
 * on the connections that the next zcramd makes. nbdkit's content would be gone by then.
 */
#define REQUEST_TIMEOUT_ONE	0
#define REQUEST_TIMEOUT_SEVERAL 120
#define REQUEST_TIMEOUT_NBDKIT	600

/*
 * Seconds that requests wait for connections to be begun anew, by us or by the zcramd that systemd starts
 * in our place. Those to nbdkit fail at once: nothing would bring its content back.
 */
#define CONNECTION_TIMEOUT 60

/* What zcram-server does. What it has acknowledged is in force: there is nothing to flush. */
#define SERVER_FLAGS                                                            \
	(NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | \
	 NBD_FLAG_CAN_MULTI_CONN)

static int start_run_directory(void *context, char **why)
{
	struct zcramd *z = context;
	int r;

	r = rundir_lock(&z->rundir, why);
	if (r < 0)
		return r;
	r = server_open_log(&z->log, &z->loop, &z->rundir, why);
	if (r < 0)
		rundir_unlock(&z->rundir);
	return r;
}

static int stop_run_directory(void *context)
{
	struct zcramd *z = context;

	output_close(&z->log);
	/* One that could not be taken over still writes to it. */
	if (!server_is_alive(&z->rundir)) {
		rundir_remove(&z->rundir, RUNDIR_LOG);
		rundir_remove(&z->rundir, RUNDIR_SERVER);
	}
	return rundir_unlock(&z->rundir);
}

static int start_control(void *context, char **why)
{
	return upgrade_listen(context, why);
}

static int stop_control(void *context)
{
	upgrade_end(context);
	return 0;
}

static int start_survey(void *context, char **why)
{
	return survey(context, why);
}

/*
 * In the place of those that have gone with an earlier zcramd and its server. Before there is a server: what
 * the kernel does not take at once it is given anew, and the server is to have what was taken.
 */
static int give_connections(struct zcramd *z, char **why)
{
	int r = connections_open(&z->connections, zcramd_connections(z), why);

	if (r == 0)
		r = connections_give(&z->connections, z->index, z->identifier, why);
	if (r < 0)
		connections_close(&z->connections);
	return r;
}

static int start_connections(void *context, char **why)
{
	struct zcramd *z = context;
	int r;

	if (z->found == FOUND_SERVER || !z->looped)
		return 0;
	if (z->found == FOUND_POOL)
		return give_connections(z, why);
	r = connections_open(&z->connections, zcramd_connections(z), why);
	if (!connections_are_refused(r))
		return r;
	report(LOG_WARNING,
	       "%s: nbdkit serves, and if it dies what it holds is lost: see "
	       "kernel.io_uring_disabled",
	       *why ? *why : "no io_uring");
	free(*why);
	*why = NULL;
	z->looped = false;
	return 0;
}

static int stop_connections(void *context)
{
	struct zcramd *z = context;

	connections_close(&z->connections);
	return 0;
}

static int start_server(void *context, char **why)
{
	struct zcramd *z = context;
	struct server_line line = {.connections = &z->connections, .urgent = z->device->swap};
	char **argv;
	int r;

	if (z->found != FOUND_SERVER) {
		r = zcramd_server_argv(z, z->found == FOUND_POOL, &argv);
		if (r < 0)
			return say_why(why, r, "no memory");
		line.argv = argv;
		r = server_start(z->server, &z->loop, &z->rundir, &z->log, &line, why);
		zcramd_free_argv(argv);
		if (r < 0)
			return r;
	}
	r = revive_watch(z);
	if (r < 0) {
		say_why(why, r, "the server cannot be watched: %s", strerror(-r));
		if (z->found == FOUND_NOTHING)
			server_stop(z->server, &z->loop);
	}
	return r;
}

/* The pool goes with its device; that of a server that was given up is the administrator's. */
static int stop_server(void *context)
{
	struct zcramd *z = context;
	int r, removed = 0;

	revive_end(z);
	r = server_stop(z->server, &z->loop);
	if (z->looped && !z->lost)
		removed = pool_remove(z->device->name);
	if (removed < 0)
		report(LOG_WARNING, "the pool %s cannot be removed: %s", z->device->name,
		       strerror(-removed));
	return r < 0 ? r : removed;
}

static unsigned int request_timeout(const struct zcramd *z)
{
	if (!z->looped)
		return REQUEST_TIMEOUT_NBDKIT;
	return z->connections.count == 1 ? REQUEST_TIMEOUT_ONE : REQUEST_TIMEOUT_SEVERAL;
}

static int attach(struct zcramd *z, char **why)
{
	struct attach_options options = {
		.socket = z->rundir.files[RUNDIR_NBD],
		.connections = z->looped ? z->connections.count : zcramd_connections(z),
		.index = z->device->nbd_index,
		.identifier = z->identifier,
		.timeout = request_timeout(z),
		.dead_timeout = z->looped ? CONNECTION_TIMEOUT : 0,
	};
	int clients[CONF_MAX_CONNECTIONS], r;

	if (!z->looped)
		return attach_connect(&options, &z->index, why);
	for (unsigned int i = 0; i < z->connections.count; i++)
		clients[i] = z->connections.at[i].client;
	r = attach_connect_sockets(&options, clients, z->device->size, SERVER_FLAGS, &z->index,
				   why);
	if (r == 0)
		connections_close_clients(&z->connections);
	return r;
}

static int start_attach(void *context, char **why)
{
	struct zcramd *z = context;
	int r;

	if (z->found != FOUND_NOTHING)
		return 0;
	r = attach(z, why);
	if (r < 0)
		return r;
	snprintf(z->path, sizeof(z->path), "/dev/nbd%d", z->index);
	return 0;
}

bool zcramd_is_ours(const struct zcramd *z)
{
	char identifier[ATTACH_IDENTIFIER_SIZE];

	return attach_identifier(NULL, z->index, identifier, sizeof(identifier)) == 0 &&
	       strcmp(identifier, z->identifier) == 0;
}

static int stop_attach(void *context)
{
	struct zcramd *z = context;
	char *why;
	int r = 0;

	if (zcramd_is_ours(z))
		r = release(z);
	/* Its end is not to be answered by a new one. */
	revive_end(z);
	/* A device of a dead server is disconnected, and free when its last user has gone. */
	if (r == 0 && zcramd_is_ours(z)) {
		r = attach_disconnect(z->index, &why);
		if (r < 0) {
			report_lines(LOG_ERR, why);
			free(why);
		}
	}
	z->index = -1;
	return r;
}

static int start_format(void *context, char **why)
{
	struct zcramd *z = context;

	if (z->in_use)
		return 0;
	return z->device->swap ? swap_format(z, why) : fs_format(z, why);
}

/* For the unit that systemd makes by itself as soon as the device is in use. */
static void add_drop_in(const struct zcramd *z)
{
	const struct conf_device *device = z->device;
	int r = 0;

	if (device->swap)
		r = dropin_add_swap(NULL, device->name, z->path);
	else if (device->mount_point != NULL)
		r = dropin_add_mount(NULL, device->name, device->mount_point);
	if (r < 0)
		report(LOG_WARNING,
		       "systemd cannot be told that %s is zcramd's: %s: at shutdown it may turn it "
		       "off too early",
		       z->path, strerror(-r));
}

static void remove_drop_in(const struct zcramd *z)
{
	if (z->device->swap)
		dropin_remove_swap(NULL, z->path);
	else if (z->device->mount_point != NULL)
		dropin_remove_mount(NULL, z->device->mount_point);
}

static int start_use(void *context, char **why)
{
	struct zcramd *z = context;
	int r = 0;

	add_drop_in(z);
	if (!z->in_use)
		r = z->device->swap ? swap_on(z, why) : fs_mount(z, why);
	if (r < 0) {
		remove_drop_in(z);
		return r;
	}
	if (z->device->swap && !z->in_use)
		mounts_keep();
	/* For the next zcramd, which could not tell a file system that nobody has mounted from none. */
	r = rundir_make(&z->rundir, RUNDIR_READY);
	if (r < 0)
		report(LOG_WARNING, "%s: %s", z->rundir.files[RUNDIR_READY], strerror(-r));
	return 0;
}

static int stop_use(void *context)
{
	struct zcramd *z = context;
	int r;

	r = zcramd_is_ours(z) ? release(z) : 0;
	remove_drop_in(z);
	rundir_remove(&z->rundir, RUNDIR_READY);
	return r;
}

static const struct step table[] = {
	{"run-directory", "run directory", start_run_directory, stop_run_directory},
	{"control", "control socket", start_control, stop_control},
	{"survey", "what is there already", start_survey, NULL},
	{"connections", "connections", start_connections, stop_connections},
	{"server", "server", start_server, stop_server},
	{"attach", "attaching", start_attach, stop_attach},
	{"queue", "bounding writes", queue_bound, NULL},
	{"format", "formatting", start_format, NULL},
	{"use", "use", start_use, stop_use},
};

static void enter(const struct step *step, bool starting)
{
	report_step(step->name);
	report_status("%s: %s", starting ? "Starting" : "Stopping", step->doing);
}

struct steps lifecycle(struct zcramd *z)
{
	return (struct steps){
		.table = table,
		.count = ARRAY_SIZE(table),
		.context = z,
		.entered = enter,
	};
}
