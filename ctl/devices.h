/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * devices: which zcram devices there are, and what their servers say of them.
 */
#ifndef ZCRAM_CTL_DEVICES_H
#define ZCRAM_CTL_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/client.h"

/* Milliseconds that a server has for an answer. */
#define CTL_TIMEOUT_MS 2000

struct ctl_device {
	char *name;   /* of its directory in the run directory; or the socket's path, as given */
	char *socket; /* path of the control socket */
	int index;    /* of /dev/nbdN; -1: it is not attached */
	/* what its server answered to "stat" */
	int error; /* 0, or a negative errno, and no answer */
	char *why; /* the line that the server sent with the error, or NULL */
	pid_t pid;
	struct json_object *stat;
	struct json_object *zcramd; /* what zcramd says of it ("status"); NULL: nothing */
	uint64_t left;		    /* bytes of its pool, which has no server; 0: there is none */
};

/* ${ZCRAM_RUN_DIR:-/run/zcram} */
const char *ctl_run_directory(void);

/* The N of "/dev/nbdN" or "nbdN"; -1: it is neither. */
int ctl_node_index(const char *word);

/* Does a word of the command line mean a device, rather than a command? */
bool ctl_device_looks_like_one(const char *word);

/*
 * The device that OPERAND means: its name, its node (/dev/nbd0, nbd0), or the path of its control
 * socket. Asks nobody. CTL_OK; else a complaint has been made, and the exit status is returned.
 */
int ctl_device_resolve(const char *operand, struct ctl_device *ret_device);

/* Ask the device's server for its statistics, over CLIENT or, where that is NULL, a connection made
 * for it, and fill in error, why, pid and stat. The timeout is CTL_TIMEOUT_MS, or the client's. */
void ctl_device_query(struct ctl_device *device, struct control_client *client);

/*
 * Ask zcramd about a device that has a directory in the run directory, and fill in zcramd: NULL where it
 * does not answer. As above.
 */
void ctl_device_query_zcramd(struct ctl_device *device);

/* The path of zcramd's socket, to be freed; NULL: the device has no such directory, or no memory. */
char *ctl_device_zcramd_socket(const struct ctl_device *device);

/*
 * The devices that OPERANDS mean, or all in the run directory, in order, when there are none, all
 * of them queried, and zcramd about them. As ctl_device_resolve(); *ret_devices is freed by ctl_devices_free().
 */
int ctl_devices_find(char *const *operands, size_t count, struct ctl_device **ret_devices,
		     size_t *ret_count);

/*
 * Add the pools that have no server: each to the device of its name, or as one that has nothing else.
 * As ctl_devices_find(); the devices are to be freed in any case.
 */
int ctl_devices_add_pools(struct ctl_device **devices, size_t *count);

/* Free what DEVICE points to; all zeros is fine. */
void ctl_device_clear(struct ctl_device *device);
void ctl_devices_free(struct ctl_device *devices, size_t count);

/*
 * Connect to the server of the device that OPERAND means, to wait TIMEOUT_MS for each answer. As
 * ctl_device_resolve().
 */
int ctl_device_connect(const char *operand, struct ctl_device *ret_device,
		       struct control_client **ret_client);

/*
 * Have the device that OPERAND names do COMMAND, with ARGUMENTS, which stay the caller's; PATIENT: however
 * long it takes. SHOW, unless NULL, prints the answer. What fails is said. Blocks. Returns the exit status.
 */
int ctl_device_order(const char *operand, const char *command, struct json_object *arguments,
		     bool patient,
		     int (*show)(const struct ctl_device *device,
				 const struct json_object *result));

/* What a negative errno of a control call means, in words for the user. */
const char *ctl_control_why(int error);

/* A complaint about a device that a call on its control socket failed with; CTL_FAILURE. */
int ctl_device_failed(const struct ctl_device *device, int error, const char *message);

/*
 * "running"; of one whose server does not answer, what zcramd says of it: "starting", "restarting" or
 * "given-up"; "failing", whether it answers or not; else "unserved" (its pool is left), "dead", "hung", "denied" or "failed".
 */
const char *ctl_device_state(const struct ctl_device *device);

/* Members of what "stat" answers; 0 and "" where there is none. */
uint64_t ctl_stat_number(const struct json_object *stat, const char *key);
const char *ctl_stat_text(const struct json_object *stat, const char *key);
/* A member of its "stats". */
uint64_t ctl_stat_counter(const struct json_object *stat, const char *key);

/* Of its "ages", the number of classes, and of each the least seconds and the pages. */
size_t ctl_stat_ages(const struct json_object *stat);
uint64_t ctl_stat_age(const struct json_object *stat, size_t index, const char *key);

/* What the sums of zcram are made of, in bytes. */
uint64_t ctl_stat_data(const struct json_object *stat);	 /* content of the pages that have any */
uint64_t ctl_stat_total(const struct json_object *stat); /* the pool and all tables */

#endif
