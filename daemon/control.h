/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control: zcramd's own control socket. control/protocol.h says what is spoken there.
 *
 * It is answered from zcramd's events, a line at a time, and no client is ever waited for: all buffers
 * have bounds, and who is slow is dropped. An upgrade takes long: it is only noted here that it is
 * asked for, and answered when zcramd has done it.
 *
 * What a client makes zcramd allocate is little (64 KiB each at most, and an answer), is locked as it is
 * touched, as all of zcramd's memory, and never waits for the device: a process that is
 * PR_SET_IO_FLUSHER does no I/O to get memory (protect.h).
 */
#ifndef ZCRAM_DAEMON_CONTROL_H
#define ZCRAM_DAEMON_CONTROL_H

#include <json-c/json.h>

#include "daemon/loop.h"

struct zcramd_control;

struct zcramd_control_options {
	const char *path;
	/* The result of "status", an object that is put; NULL: no memory. */
	struct json_object *(*status)(void *opaque);
	/*
	 * "upgrade": 0: it will be done, and zcramd_control_upgraded() called; from here nothing is
	 * to be waited for. A negative errno, and *ret_why, a constant: it cannot be.
	 */
	int (*upgrade)(void *opaque, const char **ret_why);
	void *opaque;
	uint64_t patience; /* microseconds that a request or an answer may be half-way; 0: 10 s */
};

/*
 * Listen at options->path, mode 0600. One that is there and that nobody serves is replaced. The path and
 * the opaque are borrowed. A negative errno, and *why.
 */
int zcramd_control_open(const struct zcramd_control_options *options, struct loop *loop,
			struct zcramd_control **ret_control, char **why);

/*
 * The upgrade is done: RESULT, which is taken over, or NULL: it has failed with R, and WHY says how, in
 * a line, or is NULL. Who asked may have gone. CONTROL NULL: nobody is told.
 */
void zcramd_control_upgraded(struct zcramd_control *control, struct json_object *result, int r,
			     const char *why);

/* Close all connections, and remove the socket. NULL: nothing. */
void zcramd_control_close(struct zcramd_control *control);

#endif
