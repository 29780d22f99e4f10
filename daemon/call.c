/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/call.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "common/step.h"
#include "control/client.h"
#include "control/protocol.h"

/* Milliseconds for what should never be waited for: a line of a few bytes, to come or go whole. */
#define SHORT_MS 100

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	bool *readable = opaque;

	*readable = true;
	return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* Until something has come, or the server has gone. */
static int await(struct loop *loop, int fd, uint64_t usec)
{
	uint64_t deadline = loop_now() + usec, now;
	sd_event_source *source;
	bool readable = false;
	int r;

	r = sd_event_add_io(loop->event, &source, fd, EPOLLIN, on_readable, &readable);
	if (r < 0)
		return r;
	while (!readable && (now = loop_now()) < deadline)
		loop_turn(loop, deadline - now);
	sd_event_source_disable_unref(source);
	return readable ? 0 : -ETIMEDOUT;
}

int call(struct loop *loop, const char *path, pid_t peer, const char *command, uint64_t usec,
	 struct json_object **ret_result, char **ret_message)
{
	struct control_client *client;
	int r;

	*ret_message = NULL;
	r = control_connect(path, SHORT_MS, &client);
	if (r < 0)
		return r;
	r = peer == 0 || control_peer(client) == peer ? control_send(client, command, NULL)
						      : -ECONNREFUSED;
	STEP("call: sent");
	if (r == 0)
		r = await(loop, control_fd(client), usec);
	if (r == 0)
		r = control_receive(client, ret_result, ret_message);
	control_close(client);
	return r;
}

void call_version(struct loop *loop, const char *path, uint64_t usec,
		  char ret_version[CALL_VERSION_SIZE])
{
	struct json_object *result = NULL, *version;
	char *message = NULL;

	*ret_version = '\0';
	if (call(loop, path, 0, "stat", usec, &result, &message) == 0 &&
	    json_object_object_get_ex(result, "version", &version) && control_is_text(version))
		snprintf(ret_version, CALL_VERSION_SIZE, "%s", json_object_get_string(version));
	json_object_put(result);
	free(message);
}
