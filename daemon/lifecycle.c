/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "common/util.h"
#include "daemon/dropin.h"
#include "daemon/fs.h"
#include "daemon/release.h"
#include "daemon/report.h"
#include "daemon/swap.h"
#include "daemon/why.h"

/*
 * Seconds. When a request takes longer, the kernel cuts its connection, and with that a server that
 * is only slow: swapping to a starved one was seen to take more than 30 s, which is what 0 means as
 * soon as there are several connections. A server that is dead is known at once, and its device
 * disconnected: nothing waits for this.
 */
#define REQUEST_TIMEOUT 600
/* Requests do not wait for a server that has died: nothing would bring its content back. */
#define CONNECTION_TIMEOUT 0

static int start_run_directory(void *context, char **why)
{
	struct zcramd *z = context;

	return rundir_lock(&z->rundir, why);
}

static int stop_run_directory(void *context)
{
	struct zcramd *z = context;

	return rundir_unlock(&z->rundir);
}

/* A device that a zcramd which was killed has left: nobody answers its requests any more. */
static int clear_device(struct zcramd *z, int index, char **why)
{
	struct attach_use use;
	bool used;
	char *how;
	int r;

	r = attach_use(NULL, index, &use);
	if (r < 0)
		return say_why(why, r, "nbd%d: %s", index, strerror(-r));
	used = attach_is_used(&use);
	how = attach_use_describe(&use);
	attach_use_free(&use);
	if (used)
		r = say_why(
			why, -EBUSY,
			"/dev/nbd%d is left from an earlier zcramd, without a server, and is in "
			"use %s: end that first",
			index, how ? how : "");
	free(how);
	if (r < 0)
		return r;
	r = attach_disconnect(index, why);
	if (r == 0)
		report(LOG_NOTICE, "/dev/nbd%d was left from an earlier zcramd: detached", index);
	return r;
}

static int start_survey(void *context, char **why)
{
	struct zcramd *z = context;
	pid_t pid;
	int index, r;

	r = attach_probe(why);
	if (r < 0)
		return r;
	if (server_find(&z->rundir, &pid))
		return say_why(why, -EEXIST,
			       "a server of an earlier zcramd is still running, pid %d: detach it "
			       "and end it first",
			       (int)pid);
	r = attach_find(NULL, z->identifier, &index);
	if (r == 0)
		return clear_device(z, index, why);
	if (r != -ENOENT)
		return say_why(why, r, "/sys/block: %s", strerror(-r));
	return 0;
}

static void lose(struct child *child, void *opaque)
{
	struct zcramd *z = opaque;
	char text[CHILD_TEXT_SIZE], *why;

	z->lost = true;
	child_describe(child, text);
	report(LOG_CRIT, "the server (pid %d) has ended (%s): what it held is lost",
	       (int)child->pid, text);
	if (z->index < 0)
		return;
	/* Requests that it has not answered would wait for ever; now they fail. */
	if (attach_disconnect(z->index, &why) < 0) {
		report_lines(LOG_ERR, why);
		free(why);
	}
}

static int start_server(void *context, char **why)
{
	struct zcramd *z = context;
	char **argv;
	int r;

	r = zcramd_server_argv(z, &argv);
	if (r < 0)
		return say_why(why, r, "no memory");
	r = server_start(&z->server, &z->loop, &z->rundir, argv, why);
	zcramd_free_argv(argv);
	if (r < 0)
		return r;
	z->server.child.opaque = z;
	z->server.child.on_exit = lose;
	return 0;
}

static int stop_server(void *context)
{
	struct zcramd *z = context;

	return server_stop(&z->server, &z->loop, &z->rundir);
}

static int start_attach(void *context, char **why)
{
	struct zcramd *z = context;
	struct attach_options options = {
		.socket = z->rundir.files[RUNDIR_NBD],
		.connections = zcramd_connections(z),
		.index = z->device->nbd_index,
		.identifier = z->identifier,
		.timeout = REQUEST_TIMEOUT,
		.dead_timeout = CONNECTION_TIMEOUT,
	};
	int r;

	r = attach_connect(&options, &z->index, why);
	if (r < 0)
		return r;
	snprintf(z->path, sizeof(z->path), "/dev/nbd%d", z->index);
	return 0;
}

/* Somebody may have detached the device, and attached it to something else. */
static bool is_ours(const struct zcramd *z)
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

	if (is_ours(z))
		r = release(z);
	/* A device of a dead server is disconnected, and free when its last user has gone. */
	if (r == 0 && is_ours(z)) {
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
	int r;

	add_drop_in(z);
	r = z->device->swap ? swap_on(z, why) : fs_mount(z, why);
	if (r < 0)
		remove_drop_in(z);
	return r;
}

static int stop_use(void *context)
{
	struct zcramd *z = context;
	int r;

	r = is_ours(z) ? release(z) : 0;
	remove_drop_in(z);
	return r;
}

static const struct step table[] = {
	{"run-directory", "run directory", start_run_directory, stop_run_directory},
	{"survey", "what is there already", start_survey, NULL},
	{"server", "server", start_server, stop_server},
	{"attach", "attaching", start_attach, stop_attach},
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
