/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * status: what zcramd tells who asks about the device and its server (daemon/control.h). It is only
 * told: nothing is decided by it. Counts are of this zcramd; another one begins at 0.
 */
#ifndef ZCRAM_DAEMON_STATUS_H
#define ZCRAM_DAEMON_STATUS_H

#include <stdint.h>
#include <sys/types.h>

#include <json-c/json.h>

enum status_state {
	STATUS_STARTING,
	STATUS_SERVING,
	STATUS_UPGRADING,  /* the server serves, and is to be followed by another */
	STATUS_RESTARTING, /* it has died, and is brought back */
	STATUS_GIVEN_UP,   /* it has died too often */
	STATUS_FAILING, /* the same, but it is still brought back, to take the device out of use */
	STATUS_STOPPING,
};

#define STATUS_TEXT_SIZE    128
#define STATUS_VERSION_SIZE 32

struct status {
	const char *name;    /* of the device; must stay */
	const char *version; /* of zcramd; must stay */
	const char *path;    /* "/dev/nbd0", "": not attached; must stay */
	enum status_state state;
	enum status_state ending; /* FAILING or STOPPING, whatever happens to the server then */
	uint64_t since;		  /* of the state: seconds since the epoch */
	pid_t server;		  /* 0: there is none */
	char server_version[STATUS_VERSION_SIZE]; /* "": not known */
	uint64_t deaths, restarts, upgrades;
	char last_death[STATUS_TEXT_SIZE]; /* "": none */
	uint64_t died_at;		   /* microseconds, as loop_now(), of the last death */
	uint64_t last_restart; /* microseconds from there until it served; 0: none yet */
};

/* All else being zero: what the device is in begins. */
void status_enter(struct status *status, enum status_state state);

/* A server serves, from now on: PID, of VERSION. After a death, it has been brought back. */
void status_serves(struct status *status, pid_t pid, const char *version);

/* The server has died, in the way that TEXT says, which is cut to fit. */
void status_died(struct status *status, const char *text);

/* A server was replaced by another one: PID, of VERSION. */
void status_upgraded(struct status *status, pid_t pid, const char *version);

/*
 * {"name":...,"pid":...,"version":...,"state":...,...}, as control/protocol.h has it; an object to be
 * put, or NULL for want of memory.
 */
struct json_object *status_json(const struct status *status);

/* "serving" */
const char *status_word(enum status_state state);

#endif
