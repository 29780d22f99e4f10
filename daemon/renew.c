/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/renew.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/step.h"
#include "daemon/report.h"
#include "daemon/upgrade.h"
#include "daemon/zcramd.h"

/* Between tries: each makes all requests wait for some tenths of a second. */
#define PAUSE	 (30 * USEC_PER_SEC)

#define ACCURACY (USEC_PER_SEC / 10)

static int on_hang_up(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct zcramd *z = opaque;

	z->renew.due = true;
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *opaque)
{
	struct zcramd *z = opaque;

	z->renew.due = true;
	return 0;
}

int renew_watch(struct zcramd *z)
{
	int r = 0;

	renew_forget(z);
	for (unsigned int i = 0; i < z->connections.count && r >= 0; i++) {
		/* No events: that it is hung up is always told; once, for it stays so. */
		r = sd_event_add_io(z->loop.event, &z->renew.watches[i],
				    z->connections.at[i].server, 0, on_hang_up, z);
		if (r >= 0)
			r = sd_event_source_set_enabled(z->renew.watches[i], SD_EVENT_ONESHOT);
	}
	return r < 0 ? r : 0;
}

void renew_forget(struct zcramd *z)
{
	for (unsigned int i = 0; i < CONF_MAX_CONNECTIONS; i++)
		z->renew.watches[i] = sd_event_source_disable_unref(z->renew.watches[i]);
	z->renew.timer = sd_event_source_disable_unref(z->renew.timer);
}

/* Look again when the pause is over. */
static void arm(struct zcramd *z)
{
	z->renew.timer = sd_event_source_disable_unref(z->renew.timer);
	if (sd_event_add_time(z->loop.event, &z->renew.timer, CLOCK_MONOTONIC, z->renew.next,
			      ACCURACY, on_timer, z) < 0)
		report(LOG_WARNING, "connections that are dead stay so: no timer");
}

static unsigned int count_dead(const struct zcramd *z)
{
	unsigned int dead = 0;

	for (unsigned int i = 0; i < z->connections.count; i++)
		dead += connection_is_dead(&z->connections.at[i]);
	return dead;
}

/* Have the kernel have others instead of those that are dead. Returns which, a bit each. */
static uint32_t give_new(struct zcramd *z)
{
	uint32_t given = 0;
	char *why = NULL;
	int r = 0;

	for (unsigned int i = 0; i < z->connections.count && r == 0; i++) {
		if (!connection_is_dead(&z->connections.at[i]))
			continue;
		r = connections_renew(&z->connections, i, z->index, z->identifier, &why);
		if (r == 0)
			given |= UINT32_C(1) << i;
	}
	if (r < 0)
		report(LOG_ERR, "a connection that is dead cannot be begun anew: %s",
		       why ? why : strerror(-r));
	free(why);
	return given;
}

/* The server that serves has not got them: the kernel must not wait for it. */
static void take_back(const struct zcramd *z, uint32_t given)
{
	for (unsigned int i = 0; i < z->connections.count; i++)
		if (given & UINT32_C(1) << i)
			connection_shut_down(&z->connections.at[i]);
}

static void renew(struct zcramd *z)
{
	unsigned int dead = count_dead(z), count = z->connections.count;
	pid_t server = z->server->child.pid;
	uint32_t given;

	renew_forget(z);
	given = give_new(z);
	STEP("renewal: given");
	z->renew.next = loop_now() + PAUSE;
	if (given != 0)
		upgrade_now(z);
	if (given != 0 && z->server->child.pid == server)
		take_back(z, given);
	if (z->lost)
		return;
	/* Those that are dead still are told of at once. */
	if (renew_watch(z) < 0)
		report(LOG_WARNING, "connections are not watched: no memory");
	if (count_dead(z) == 0 && z->server->serves)
		report(LOG_WARNING, "%u of %u connections were dead, and were begun anew", dead,
		       count);
}

void renew_look(struct zcramd *z)
{
	unsigned int dead;

	if (!z->renew.due || !z->server->serves || z->lost || z->loop.stops > 0)
		return;
	z->renew.due = false;
	dead = count_dead(z);
	/* If all are, the server ends by itself. */
	if (dead == 0 || dead == z->connections.count || !zcramd_is_ours(z))
		return;
	if (loop_now() < z->renew.next)
		arm(z);
	else
		renew(z);
}
