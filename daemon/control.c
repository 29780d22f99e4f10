/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/os.h"
#include "common/util.h"
#include "control/connection.h"
#include "control/envelope.h"
#include "control/socket.h"
#include "daemon/why.h"

#define CLIENTS_MAX  8
#define NS_PER_USEC  UINT64_C(1000)
#define PATIENCE     (10 * USEC_PER_SEC)
#define ACCEPT_PAUSE (1 * USEC_PER_SEC) /* while there is nothing to accept with */

struct client {
	struct zcramd_control *control;
	struct connection connection;
	sd_event_source *source; /* NULL: the place is free */
};

struct zcramd_control {
	struct zcramd_control_options options;
	struct control_socket socket;
	struct loop *loop;
	sd_event_source *listener;
	sd_event_source *timer; /* at the next deadline of a client's, or to accept again */
	uint64_t accept_again;	/* os_now(); 0: at any time */
	struct client clients[CLIENTS_MAX];
	struct client *upgrading; /* who waits for it; NULL: nobody, or it has gone */
};

enum { STATUS, UPGRADE };

static const char *const names[] = {[STATUS] = "status", [UPGRADE] = "upgrade"};

static const struct envelope_commands commands = {
	.names = names,
	.count = ARRAY_SIZE(names),
	.allowed = "give status or upgrade",
};

static void drop(struct client *c)
{
	if (c->control->upgrading == c)
		c->control->upgrading = NULL;
	c->source = sd_event_source_disable_unref(c->source);
	connection_close(&c->connection);
}

/* Requests. */

static int begin_upgrade(struct client *c)
{
	const struct zcramd_control_options *options = &c->control->options;
	struct control_error error;
	const char *why = "it cannot be done";
	int r = options->upgrade(options->opaque, &why);

	if (r < 0) {
		control_error_set(&error, -r, "upgrade: %s", why);
		return connection_refuse(&c->connection, &error, false);
	}
	c->connection.phase = CONNECTION_WORKING;
	c->control->upgrading = c;
	return 0;
}

static int answer_status(struct client *c)
{
	const struct zcramd_control_options *options = &c->control->options;
	struct json_object *result = options->status(options->opaque);

	return connection_answer(&c->connection, result ? control_answer_result(result) : NULL,
				 false);
}

static int handle_line(struct client *c)
{
	struct connection *connection = &c->connection;
	struct json_object *arguments = NULL;
	struct control_error error;
	unsigned int command;
	int r;

	r = envelope_parse(connection->in, connection->line, &commands, &command, &arguments,
			   &error);
	if (r == 0)
		r = envelope_takes_none(arguments, &error);
	json_object_put(arguments);
	if (r < 0)
		return connection_refuse(connection, &error, false);
	return command == UPGRADE ? begin_upgrade(c) : answer_status(c);
}

static int read_from(struct client *c)
{
	struct control_error error;
	int r = connection_read(&c->connection);

	if (r != -EMSGSIZE)
		return r;
	control_error_set(&error, EMSGSIZE, "request: too long: a line may have %zu bytes",
			  CONTROL_REQUEST_MAX);
	return connection_refuse(&c->connection, &error, true);
}

/* Whatever there is to do now. */
static int serve(struct client *c)
{
	int r = 0;

	switch (c->connection.phase) {
	case CONNECTION_IDLE:
		r = read_from(c);
		break;
	case CONNECTION_SENDING:
		r = connection_write(&c->connection);
		break;
	default:
		/* Nothing was asked for: the client has gone. */
		r = -ECONNRESET;
		break;
	}
	/* Each answer that goes at once may bring the next line up. */
	while (r == 0 && c->connection.phase == CONNECTION_READY)
		r = handle_line(c);
	return r;
}

/* Events. */

/* Wake up when there is something to do although nobody stirs. */
static void set_timer(struct zcramd_control *control)
{
	uint64_t next = control->accept_again ? control->accept_again : UINT64_MAX;

	for (unsigned int i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i].source != NULL)
			next = min_u64(next, control->clients[i].connection.deadline);
	if (next == UINT64_MAX) {
		sd_event_source_set_enabled(control->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(control->timer, div_round_up(next, NS_PER_USEC));
	sd_event_source_set_enabled(control->timer, SD_EVENT_ONESHOT);
}

static uint32_t events_of(const struct connection *connection)
{
	short events = connection_events(connection);

	return ((events & POLLIN) != 0 ? EPOLLIN : 0u) | ((events & POLLOUT) != 0 ? EPOLLOUT : 0u);
}

/* What it is polled for may have changed: R as from serve(). */
static void settle(struct client *c, int r)
{
	if (r == 0)
		r = sd_event_source_set_io_events(c->source, events_of(&c->connection));
	if (r < 0)
		drop(c);
	set_timer(c->control);
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct client *c = opaque;

	settle(c, serve(c));
	return 0;
}

static struct client *free_place(struct zcramd_control *control)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i].source == NULL)
			return &control->clients[i];
	return NULL;
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct zcramd_control *control = opaque;
	struct client *c = free_place(control);
	int r = connection_accept(c ? &c->connection : NULL, fd, CLIENTS_MAX,
				  control->options.patience * NS_PER_USEC);

	if (r > 0) {
		c->control = control;
		if (sd_event_add_io(control->loop->event, &c->source, c->connection.fd, EPOLLIN,
				    on_client, c) < 0)
			connection_close(&c->connection);
	} else if (r < 0) {
		/* The client stays in the queue, and is told of at once, over and over. */
		sd_event_source_set_enabled(control->listener, SD_EVENT_OFF);
		control->accept_again = os_now() + ACCEPT_PAUSE * NS_PER_USEC;
		set_timer(control);
	}
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *opaque)
{
	struct zcramd_control *control = opaque;
	uint64_t now = os_now();

	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &control->clients[i];

		if (c->source != NULL && now >= c->connection.deadline)
			drop(c);
	}
	if (control->accept_again != 0 && now >= control->accept_again) {
		control->accept_again = 0;
		sd_event_source_set_enabled(control->listener, SD_EVENT_ON);
	}
	set_timer(control);
	return 0;
}

static int add_sources(struct zcramd_control *control)
{
	sd_event *event = control->loop->event;
	int r;

	r = socket_take_over(&control->socket);
	if (r == 0)
		r = sd_event_add_io(event, &control->listener, control->socket.fd, EPOLLIN,
				    on_listener, control);
	if (r >= 0)
		r = sd_event_add_time(event, &control->timer, CLOCK_MONOTONIC, UINT64_MAX, 0,
				      on_timer, control);
	return r < 0 ? r : sd_event_source_set_enabled(control->timer, SD_EVENT_OFF);
}

/* From outside. */

int zcramd_control_open(const struct zcramd_control_options *options, struct loop *loop,
			struct zcramd_control **ret_control, char **why)
{
	struct zcramd_control *control = calloc(1, sizeof(*control));
	int r;

	if (control == NULL)
		return say_why(why, -ENOMEM, "no memory");
	control->options = *options;
	if (control->options.patience == 0)
		control->options.patience = PATIENCE;
	control->loop = loop;
	r = socket_make(options->path, 0, &control->socket);
	if (r < 0) {
		free(control);
		return say_why(why, r, "%s: cannot be made: %s", options->path, strerror(-r));
	}
	r = add_sources(control);
	if (r < 0) {
		zcramd_control_close(control);
		return say_why(why, r, "%s: cannot be watched: %s", options->path, strerror(-r));
	}
	*ret_control = control;
	return 0;
}

void zcramd_control_upgraded(struct zcramd_control *control, struct json_object *result, int r,
			     const char *why)
{
	struct client *c = control ? control->upgrading : NULL;
	struct control_error error;

	if (c == NULL) {
		json_object_put(result);
		return;
	}
	control->upgrading = NULL;
	if (result != NULL) {
		r = connection_answer(&c->connection, control_answer_result(result), false);
	} else {
		control_error_set(&error, -r, "upgrade: %s", why ? why : strerror(-r));
		r = connection_refuse(&c->connection, &error, false);
	}
	while (r == 0 && c->connection.phase == CONNECTION_READY)
		r = handle_line(c);
	settle(c, r);
}

void zcramd_control_close(struct zcramd_control *control)
{
	if (control == NULL)
		return;
	for (unsigned int i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i].source != NULL)
			drop(&control->clients[i]);
	sd_event_source_disable_unref(control->listener);
	sd_event_source_disable_unref(control->timer);
	socket_end(&control->socket, true);
	free(control);
}
