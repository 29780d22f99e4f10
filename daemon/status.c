/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/status.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "control/protocol.h"
#include "daemon/loop.h"

const char *status_word(enum status_state state)
{
	static const char *const words[] = {
		[STATUS_STARTING] = "starting",	  [STATUS_SERVING] = "serving",
		[STATUS_UPGRADING] = "upgrading", [STATUS_RESTARTING] = "restarting",
		[STATUS_GIVEN_UP] = "given-up",	  [STATUS_FAILING] = "failing",
		[STATUS_STOPPING] = "stopping",
	};

	return words[state];
}

void status_enter(struct status *status, enum status_state state)
{
	status->state = state;
	status->since = (uint64_t)time(NULL);
	if (state == STATUS_FAILING || state == STATUS_STOPPING)
		status->ending = state;
}

static void note_server(struct status *status, pid_t pid, const char *version)
{
	status->server = pid;
	snprintf(status->server_version, sizeof(status->server_version), "%s", version);
	status_enter(status, status->ending ? status->ending : STATUS_SERVING);
}

void status_serves(struct status *status, pid_t pid, const char *version)
{
	if (status->state == STATUS_RESTARTING) {
		status->restarts++;
		status->last_restart = loop_now() - status->died_at;
	}
	note_server(status, pid, version);
}

void status_died(struct status *status, const char *text)
{
	/* One that dies while it is brought back makes that longer. */
	if (status->state != STATUS_RESTARTING)
		status->died_at = loop_now();
	status->deaths++;
	status->server = 0;
	snprintf(status->last_death, sizeof(status->last_death), "%s", text);
	status_enter(status, STATUS_RESTARTING);
}

void status_upgraded(struct status *status, pid_t pid, const char *version)
{
	status->upgrades++;
	note_server(status, pid, version);
}

/* What is not there is null. */
static bool add_text(struct json_object *object, const char *key, const char *text)
{
	if (*text != '\0')
		return control_add(object, key, json_object_new_string(text));
	return object != NULL && json_object_object_add(object, key, NULL) == 0;
}

static bool add_number(struct json_object *object, const char *key, uint64_t number)
{
	return control_add(object, key, json_object_new_uint64(number));
}

struct json_object *status_json(const struct status *status)
{
	struct json_object *object = json_object_new_object();
	bool ok = add_text(object, "name", status->name);

	ok &= control_add(object, "pid", json_object_new_int(getpid()));
	ok &= add_text(object, "version", status->version);
	ok &= add_text(object, "state", status_word(status->state));
	ok &= add_number(object, "since", status->since);
	ok &= add_text(object, "device", status->path);
	ok &= control_add(object, "server-pid", json_object_new_int(status->server));
	ok &= add_text(object, "server-version", status->server_version);
	ok &= add_number(object, "deaths", status->deaths);
	ok &= add_number(object, "restarts", status->restarts);
	ok &= add_number(object, "upgrades", status->upgrades);
	ok &= add_text(object, "last-death", status->last_death);
	ok &= add_number(object, "last-restart-us", status->last_restart);
	if (ok)
		return object;
	json_object_put(object);
	return NULL;
}
