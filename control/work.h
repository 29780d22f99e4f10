/* SPDX-License-Identifier: BSD-3-Clause */
/* work: requests that take long, done and answered. Inside control/, and on the job's thread (job.h). */
#ifndef ZCRAM_CONTROL_WORK_H
#define ZCRAM_CONTROL_WORK_H

#include <json-c/json.h>

#include "control/request.h"

/*
 * Do a compact, idle, recompress, writeback, save or restore, and answer: an object to be put, or NULL for want of
 * memory. STREAM is a connected stream socket that blocks, and stays the caller's: an image goes through
 * it. Of other requests it is not looked at. Takes as long as it takes; device_cancel() and
 * shutting the stream down end what may last for minutes.
 */
struct json_object *work_do(struct device *device, const struct control_request *request,
			    int stream);

#endif
