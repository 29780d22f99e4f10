/* SPDX-License-Identifier: BSD-3-Clause */
/* answer: what the device says to a request, as JSON. Inside control/ only. */
#ifndef ZCRAM_CONTROL_ANSWER_H
#define ZCRAM_CONTROL_ANSWER_H

#include <json-c/json.h>

#include "control/request.h"
#include "control/server.h"

/*
 * The answer, a result or an error, to stat, map, blocks or set: an object to be put, or NULL for
 * want of memory. What the device says is copied out of it before any of this is allocated. Set may
 * block while requests of the device go on.
 */
struct json_object *answer_request(const struct control_server_options *options,
				   const struct control_request *request);

/* The answer to adopt: the descriptors of all connections. */
struct json_object *answer_adopt(const struct control_succession *succession);

/* RESULT as an answer, or NULL, and it is put, if it could not be made COMPLETE. */
struct json_object *answer_finish(struct json_object *result, bool complete);

#endif
