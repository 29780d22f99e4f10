/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/revive.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach/attach.h"
#include "daemon/ask.h"
#include "daemon/report.h"
#include "daemon/zcramd.h"

/* After a server that did not come to serve: what it lacked, such as memory, may be there then. */
#define PAUSE (USEC_PER_SEC / 4)

/* A pool of many GiB on a starved machine is recovered in less. */
#define PATIENCE (120 * USEC_PER_SEC)

#define ACCURACY (USEC_PER_SEC / 1000)

/* What ends by itself so often in a row, and soon, has its connections to blame. */
#define OWN_ENDS     2
#define LONG_SERVICE USEC_PER_SEC

static void begin(struct zcramd *z);

static void arm(struct zcramd *z, uint64_t usec)
{
	sd_event_source_set_time_relative(z->revive.timer, usec);
	sd_event_source_set_enabled(z->revive.timer, SD_EVENT_ONESHOT);
}

/* Nothing would answer requests any more: let them fail. TEXT: why, said when they do. */
static void lose(struct zcramd *z, const char *text)
{
	char *why = NULL;

	z->lost = true;
	status_enter(&z->status, STATUS_GIVEN_UP);
	revive_end(z);
	/* A request that is stuck in a full socket would hold the kernel's part up. */
	connections_shut_down(&z->connections);
	if (z->index >= 0)
		attach_disconnect(z->index, &why);
	report(LOG_CRIT, "the server (pid %d) has ended (%s): %s", (int)z->revive.pid,
	       z->revive.how, text);
	if (why != NULL)
		report_lines(LOG_ERR, why);
	free(why);
}

/* Requests that it would have answered fail now; what is stored may be looked at. */
static void give_up(struct zcramd *z)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "it has died too often and is given up: requests fail; the pool stays: "
		 "zcramctl purge %s ends it",
		 z->device->name);
	lose(z, text);
}

/* Is there less in swap than the last time? Then it serves long enough to be drained. */
static bool has_progressed(struct zcramd *z)
{
	uint64_t before = z->revive.left;
	struct attach_use use;

	if (attach_use(NULL, z->index, &use) < 0)
		return false;
	z->revive.left = use.swap_used;
	attach_use_free(&use);
	return z->revive.left < before;
}

/* Take note of an end after SERVED microseconds of service, and go on as that demands. */
static void judge(struct zcramd *z, uint64_t served)
{
	bool too_often = deaths_add(&z->revive.deaths, served);
	bool first = too_often && !z->revive.failing;

	if (too_often && !has_progressed(z) && !first) {
		give_up(z);
		return;
	}
	if (too_often) {
		z->revive.failing = true;
		z->revive.deaths = (struct deaths){0};
	}
	if (served > 0)
		begin(z);
	else
		arm(z, PAUSE);
	/* One that is on its way may be what the journal waits for. */
	if (first)
		report(LOG_CRIT,
		       "the server has died too often, the last time (pid %d): %s: %s is taken "
		       "out of use while that can be done",
		       (int)z->revive.pid, z->revive.how, z->path);
}

/* Connections that the kernel has no other end of. */
static int begin_connections(struct zcramd *z, char **why)
{
	int r;

	renew_forget(z);
	connections_shut_down(&z->connections);
	connections_close(&z->connections);
	r = connections_open(&z->connections, z->revive.width, why);
	if (r == 0)
		r = connections_give(&z->connections, z->index, z->identifier, why);
	return r < 0 ? r : renew_watch(z);
}

static int launch(struct zcramd *z)
{
	struct server_line line = {.connections = &z->connections, .urgent = z->device->swap};
	char **argv;
	int r = zcramd_server_argv(z, true, &argv);

	if (r < 0)
		return r;
	line.argv = argv;
	r = server_launch(z->server, &z->loop, &z->rundir, &z->log, &line);
	zcramd_free_argv(argv);
	return r;
}

/* What the server that serves has, and another is to start with. */
static void provide(struct zcramd *z)
{
	if (!z->looped || !z->device->swap)
		return;
	ballast_restore(&z->revive.ballast, z->server->child.pid);
	text_keep(&z->revive.text, z->server->child.pid);
}

static void on_serving(struct server *server, void *opaque)
{
	struct zcramd *z = opaque;
	uint64_t pages = 0, pause = loop_now() - z->revive.died;
	char version[ASK_VERSION_SIZE] = "";

	sd_event_source_set_enabled(z->revive.timer, SD_EVENT_OFF);
	provide(z);
	z->revive.died = 0;
	z->revive.times++;
	/* It may be so busy that it does not say. */
	ask_recovered(&z->rundir, &pages, version);
	status_serves(&z->status, server->child.pid, version);
	report(LOG_WARNING,
	       "the server (pid %d) has ended (%s): pid %d goes on after %" PRIu64
	       " ms, with %" PRIu64 " pages recovered",
	       (int)z->revive.pid, z->revive.how, (int)server->child.pid, pause / 1000, pages);
	report_status("%s is served as %s; the server was brought back %u times", z->device->name,
		      z->path, z->revive.times);
}

/* Keep what there is to be known of an end, for another's words come next. */
static void note_end(struct zcramd *z, const struct child *child, uint64_t served)
{
	struct revive *revive = &z->revive;
	char how[CHILD_TEXT_SIZE];

	child_describe(child, how);
	status_died(&z->status, how);
	output_drain(&z->log);
	snprintf(revive->said, sizeof(revive->said), "%s", z->log.last);
	if (served > LONG_SERVICE || child->code != CLD_EXITED)
		revive->row = 0;
	if (child->code == CLD_EXITED)
		revive->row++;
	if (revive->died != 0)
		return;
	revive->died = loop_now();
	revive->pid = child->pid;
	memcpy(revive->how, how, sizeof(how));
}

static void on_end(struct child *child, void *opaque)
{
	struct zcramd *z = opaque;
	struct server *server = z->server;
	/* Who has served has done so, however short. */
	uint64_t served = server->serves ? loop_now() - server->since + 1 : 0;

	server_forget(server);
	/* No server has ended, and the connections are not to blame. */
	if (child->error < 0) {
		judge(z, 0);
		return;
	}
	note_end(z, child, served);
	if (!z->looped)
		lose(z, "what it held is lost");
	else if (z->index >= 0 && !zcramd_is_ours(z))
		lose(z, "somebody has detached the device");
	else
		judge(z, served);
}

static void look_after(struct zcramd *z)
{
	z->server->child.on_exit = on_end;
	z->server->child.opaque = z;
	z->server->on_serving = on_serving;
	z->server->opaque = z;
}

void revive_follow(struct zcramd *z)
{
	look_after(z);
	provide(z);
}

/* One try. */
static void begin(struct zcramd *z)
{
	bool anew = z->revive.row >= OWN_ENDS;
	char *why = NULL;
	int r = 0;

	if (anew)
		r = begin_connections(z, &why);
	if (r == 0 && anew)
		z->revive.row = 0;
	if (r == 0)
		r = launch(z);
	if (r == 0) {
		look_after(z);
		arm(z, PATIENCE);
		ballast_offer(&z->revive.ballast);
	}
	if (r == 0 && anew)
		report(LOG_WARNING,
		       "no server goes on with the connections: they are begun anew%s%s",
		       *z->revive.said ? ": " : "", z->revive.said);
	if (r < 0)
		judge(z, 0);
	free(why);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *opaque)
{
	struct zcramd *z = opaque;

	/* Its end is what comes next. */
	if (z->server->child.running)
		child_signal(&z->server->child, SIGKILL);
	else
		begin(z);
	return 0;
}

int revive_watch(struct zcramd *z)
{
	int r;

	z->revive.width = z->connections.count;
	r = sd_event_add_time_relative(z->loop.event, &z->revive.timer, CLOCK_MONOTONIC, PATIENCE,
				       ACCURACY, on_timer, z);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(z->revive.timer, SD_EVENT_OFF);
	look_after(z);
	r = renew_watch(z);
	if (r == 0 && z->looped && z->device->swap)
		r = ballast_open(&z->revive.ballast, z->loop.event);
	if (r < 0)
		revive_end(z);
	else
		provide(z);
	return r;
}

void revive_end(struct zcramd *z)
{
	z->revive.timer = sd_event_source_disable_unref(z->revive.timer);
	ballast_close(&z->revive.ballast);
	text_drop(&z->revive.text);
	renew_forget(z);
	z->server->child.on_exit = NULL;
	z->server->on_serving = NULL;
}
