/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/upgrade.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"
#include "daemon/call.h"
#include "daemon/control.h"
#include "daemon/report.h"
#include "daemon/successor.h"
#include "daemon/why.h"
#include "daemon/zcramd.h"

#define VERSION_TIMEOUT USEC_PER_SEC

/* The control socket. */

static struct json_object *on_status(void *opaque)
{
	const struct zcramd *z = opaque;

	return status_json(&z->status);
}

static int on_upgrade(void *opaque, const char **ret_why)
{
	struct zcramd *z = opaque;

	/* Or one that nobody has asked for: renew.h. */
	if (z->upgrade.asked || z->status.state == STATUS_UPGRADING) {
		*ret_why = "one is under way";
		return -EBUSY;
	}
	if (!z->looped) {
		*ret_why = "the server is nbdkit, whose connections are its own and end with it: "
			   "stop the device and start it again";
		return -EOPNOTSUPP;
	}
	switch (z->status.state) {
	case STATUS_SERVING:
		z->upgrade.asked = true;
		return 0;
	case STATUS_STARTING:
		*ret_why = "the device is being started";
		return -EAGAIN;
	case STATUS_RESTARTING:
		*ret_why = "the server has died, and is being brought back";
		return -EAGAIN;
	default:
		*ret_why = "the device is being stopped";
		return -EBUSY;
	}
}

int upgrade_listen(struct zcramd *z, char **why)
{
	struct zcramd_control_options options = {
		.path = z->rundir.files[RUNDIR_ZCRAMD],
		.status = on_status,
		.upgrade = on_upgrade,
		.opaque = z,
	};

	z->status.name = z->device->name;
	z->status.version = ZCRAM_VERSION;
	z->status.path = z->path;
	status_enter(&z->status, STATUS_STARTING);
	return zcramd_control_open(&options, &z->loop, &z->upgrade.control, why);
}

void upgrade_end(struct zcramd *z)
{
	zcramd_control_close(z->upgrade.control);
	z->upgrade.control = NULL;
	free(z->upgrade.unsaid);
	z->upgrade.unsaid = NULL;
}

/* The upgrade. */

/* The line of a server that is there already, and --wait. -ENOMEM. */
static int make_line(const struct zcramd *z, char ***ret_argv)
{
	size_t count = 0;
	char **argv, **more;
	int r;

	r = zcramd_server_argv(z, true, &argv);
	if (r < 0)
		return r;
	while (argv[count] != NULL)
		count++;
	more = reallocarray(argv, count + 2, sizeof(*argv));
	if (more == NULL) {
		zcramd_free_argv(argv);
		return -ENOMEM;
	}
	memmove(more + 2, more + 1, count * sizeof(*more));
	more[1] = strdup("--wait");
	if (more[1] == NULL) {
		/* What is behind it would not be freed. */
		memmove(more + 1, more + 2, count * sizeof(*more));
		zcramd_free_argv(more);
		return -ENOMEM;
	}
	*ret_argv = more;
	return 0;
}

/* {"pid":N,"version":"..."} */
static struct json_object *new_server(pid_t pid, const char *version)
{
	struct json_object *server = json_object_new_object();
	bool ok = control_add(server, "pid", json_object_new_int(pid));

	ok &= control_add(server, "version", json_object_new_string(version));
	if (ok)
		return server;
	json_object_put(server);
	return NULL;
}

static struct json_object *new_result(const struct status *before, const struct status *after,
				      uint64_t pause)
{
	struct json_object *result = json_object_new_object();
	bool ok;

	ok = control_add(result, "old", new_server(before->server, before->server_version));
	ok &= control_add(result, "new", new_server(after->server, after->server_version));
	ok &= control_add(result, "pause-us", json_object_new_uint64(pause));
	if (ok)
		return result;
	json_object_put(result);
	return NULL;
}

static void succeed(struct zcramd *z, const struct succession *s)
{
	struct status before = z->status;
	char version[CALL_VERSION_SIZE];

	z->server = s->next;
	revive_follow(z);
	if (s->died)
		status_died(&z->status, s->death);
	call_version(&z->loop, z->rundir.files[RUNDIR_CONTROL], VERSION_TIMEOUT, version);
	/* It may have died while it was asked: then nothing may be logged, and that is, later. */
	if (z->server->serves)
		status_upgraded(&z->status, z->server->child.pid, version);
	if (z->server->serves)
		report(LOG_NOTICE,
		       "the server, pid %d (version %s)%s%s%s, is followed by pid %d (version %s): "
		       "requests have waited at most %" PRIu64 " ms",
		       (int)before.server, before.server_version,
		       s->died ? ", which has died (" : "", s->died ? s->death : "",
		       s->died ? ")" : "", (int)z->server->child.pid, version, s->pause / 1000);
	zcramd_control_upgraded(z->upgrade.control, new_result(&before, &z->status, s->pause),
				-ENOMEM, NULL);
}

/* WHY: a line that is freed, or NULL. */
static void keep(struct zcramd *z, char *why)
{
	char *line = NULL;

	status_enter(&z->status, STATUS_SERVING);
	say_why(&line, 0, "%s; the old one goes on", why ? why : "no memory");
	report(LOG_ERR, "upgrade: %s", line ? line : "no memory");
	zcramd_control_upgraded(z->upgrade.control, NULL, -EIO, line);
	free(line);
	free(why);
}

/* The same; nothing may be logged before there is a server again. */
static void lose_both(struct zcramd *z, char *why)
{
	struct child *server = &z->server->child;
	char *line = NULL;

	server->on_exit(server, server->opaque);
	/* It was asked to end: its connections are not to blame. */
	z->revive.row = 0;
	say_why(&line, 0, "%s; the old one had ended: another is started", why ? why : "no memory");
	zcramd_control_upgraded(z->upgrade.control, NULL, -EIO, line);
	free(z->upgrade.unsaid);
	z->upgrade.unsaid = line;
	free(why);
}

static void run(struct zcramd *z, char **argv)
{
	struct server_line line = {
		.argv = argv,
		.connections = &z->connections,
		.urgent = z->device->swap,
	};
	struct succession s = {
		.loop = &z->loop,
		.dir = &z->rundir,
		.log = &z->log,
		.server = z->server,
		.next = z->server == &z->servers[0] ? &z->servers[1] : &z->servers[0],
		.line = &line,
	};
	char *why = NULL;

	switch (successor_start(&s, &why)) {
	case SUCCESSOR_SERVES:
		succeed(z, &s);
		break;
	case SUCCESSOR_KEPT:
		keep(z, why);
		break;
	default:
		lose_both(z, why);
		break;
	}
}

void upgrade_now(struct zcramd *z)
{
	char **argv;

	report_step("upgrade");
	report_status("Upgrading: a new server is started");
	status_enter(&z->status, STATUS_UPGRADING);
	if (make_line(z, &argv) < 0) {
		keep(z, NULL);
	} else {
		run(z, argv);
		zcramd_free_argv(argv);
	}
	z->upgrade.asked = false;
	report_status("%s is served as %s", z->device->name, z->path);
	report_step(NULL);
}

static void say_unsaid(struct zcramd *z)
{
	report_step("upgrade");
	report(LOG_ERR, "upgrade: %s", z->upgrade.unsaid);
	report_step(NULL);
	free(z->upgrade.unsaid);
	z->upgrade.unsaid = NULL;
}

static void ask_version(struct zcramd *z)
{
	bool first = z->status.state == STATUS_STARTING;
	char version[CALL_VERSION_SIZE];

	/* Once: nothing depends on it. */
	z->upgrade.known = z->server->child.pid;
	call_version(&z->loop, z->rundir.files[RUNDIR_CONTROL], VERSION_TIMEOUT, version);
	/* It may have died meanwhile. */
	if (!z->server->serves)
		return;
	if (first)
		status_serves(&z->status, z->server->child.pid, version);
	else
		snprintf(z->status.server_version, sizeof(z->status.server_version), "%s", version);
}

void upgrade_look(struct zcramd *z)
{
	if (!z->server->serves || z->lost)
		return;
	/* The first, or one that was too busy to say when it was brought back. */
	if (z->status.state == STATUS_STARTING ||
	    (*z->status.server_version == '\0' && z->upgrade.known != z->server->child.pid))
		ask_version(z);
	if (z->upgrade.unsaid != NULL)
		say_unsaid(z);
	if (z->upgrade.asked && z->loop.stops == 0)
		upgrade_now(z);
}

void upgrade_stop(struct zcramd *z)
{
	if (z->upgrade.asked)
		zcramd_control_upgraded(z->upgrade.control, NULL, -EBUSY, "zcramd is to stop");
	z->upgrade.asked = false;
	if (z->status.state != STATUS_GIVEN_UP)
		status_enter(&z->status, z->revive.failing ? STATUS_FAILING : STATUS_STOPPING);
}
