/* SPDX-License-Identifier: BSD-3-Clause */
/* request: what a client asks, read and checked. Inside control/ only; it knows no running device. */
#ifndef ZCRAM_CONTROL_REQUEST_H
#define ZCRAM_CONTROL_REQUEST_H

#include <stdbool.h>

#include "control/protocol.h"
#include "device/device.h"

enum control_command {
	CONTROL_STAT,
	CONTROL_MAP,
	CONTROL_BLOCKS,
	CONTROL_COMPACT,
	CONTROL_IDLE,
	CONTROL_RECOMPRESS,
	CONTROL_WRITEBACK,
	CONTROL_SET,
	CONTROL_HANDOVER,
	CONTROL_ADOPT,
	CONTROL_SAVE,
	CONTROL_RESTORE,
};

struct control_request {
	enum control_command command;
	unsigned int cells;		     /* of map: 1 to CONTROL_CELLS_MAX */
	uint64_t from;			     /* of blocks: a page */
	uint64_t seconds;		     /* of idle: 0: all pages */
	struct device_recompress recompress; /* of recompress */
	struct device_writeback writeback;   /* of writeback */
	bool force;			     /* of restore */
	struct json_object *arguments; /* of set: strings by the names of settings; NULL: none */
};

/*
 * Read a line of LEN bytes, without its newline. A negative errno, which is *ret_error's too, with a
 * message that names what is wrong and what is allowed. Allocates.
 */
int request_parse(const char *line, size_t len, struct control_request *ret_request,
		  struct control_error *ret_error);
void request_put(struct control_request *request);

/* As it is written in a request: a constant. */
const char *request_command_name(enum control_command command);

/*
 * Change SETTINGS as a request to set says: all of it, or, with an error as above, nothing.
 */
int request_settings(const struct control_request *request, struct device_settings *settings,
		     struct control_error *ret_error);

#endif
