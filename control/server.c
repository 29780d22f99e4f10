/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/os.h"
#include "common/util.h"
#include "control/answer.h"
#include "control/connection.h"
#include "control/job.h"
#include "control/protocol.h"
#include "control/request.h"
#include "control/socket.h"
#include "control/thread.h"

#define DEFAULT_PATIENCE 10000			      /* ms */
#define ACCEPT_PAUSE	 (UINT64_C(1000) * NS_PER_MS) /* while there is nothing to accept with */

/* All but STOP is the polling thread's while it runs. */
struct control_server {
	struct control_server_options options;
	struct control_socket socket;
	pid_t owner; /* who may remove the socket */
	uint64_t patience;
	int wake_fd;   /* eventfd: a job is done, or it is to stop */
	uint32_t stop; /* atomic */
	bool running;
	pthread_t thread;
	struct job job;
	struct connection *working; /* who waits for the job; NULL: nobody, or it has gone */
	struct connection *leaving; /* the same of a handover */
	bool handing_over;
	uint64_t accept_again; /* os_now(); 0: at any time */
	struct connection connections[CONTROL_CLIENTS_MAX];
	unsigned int nr_connections; /* the first ones are in use */
};

/* Connections. */

/* Who waits has gone, or is at another place. */
static void follow(struct connection **waiting, const struct connection *from,
		   struct connection *to)
{
	if (*waiting == from)
		*waiting = to;
}

static void drop(struct control_server *s, struct connection *c)
{
	struct connection *end = &s->connections[--s->nr_connections];

	connection_close(c);
	if (s->working == c)
		job_cancel(&s->job);
	follow(&s->working, c, NULL);
	follow(&s->leaving, c, NULL);
	if (c == end)
		return;
	/* The last one takes its place. */
	*c = *end;
	follow(&s->working, end, c);
	follow(&s->leaving, end, c);
}

static void accept_one(struct control_server *s)
{
	bool room = s->nr_connections < CONTROL_CLIENTS_MAX;
	int r = connection_accept(room ? &s->connections[s->nr_connections] : NULL, s->socket.fd,
				  CONTROL_CLIENTS_MAX, s->patience);

	if (r > 0)
		s->nr_connections++;
	/* The client stays in the queue, and polling says so at once, over and over. */
	if (r < 0)
		s->accept_again = os_now() + ACCEPT_PAUSE;
}

/* Requests. */

/* What takes long; answered by end_job(). STREAM is taken over. */
static int begin_job(struct control_server *s, struct connection *c,
		     const struct control_request *request, int stream)
{
	struct control_error error;

	if (!job_ask(&s->job, request, stream)) {
		if (stream >= 0)
			close(stream);
		control_error_set(&error, EBUSY,
				  "%s: one is under way, or something else that takes long",
				  request_command_name(request->command));
		return connection_refuse(c, &error, false);
	}
	c->phase = CONNECTION_WORKING;
	s->working = c;
	return 0;
}

static bool is_stream(int fd)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_STREAM;
}

static int begin_image(struct control_server *s, struct connection *c,
		       const struct control_request *request)
{
	int stream = connection_take_passed(c);
	struct control_error error;
	int flags;

	if (!is_stream(stream)) {
		if (stream >= 0)
			close(stream);
		control_error_set(&error, EINVAL,
				  "%s: there is no stream socket with it: send one as SCM_RIGHTS",
				  request_command_name(request->command));
		return connection_refuse(c, &error, false);
	}
	/* The job waits for it; the client's end has flags of its own. */
	flags = fcntl(stream, F_GETFL);
	fcntl(stream, F_SETFL, flags & ~O_NONBLOCK);
	return begin_job(s, c, request, stream);
}

static void end_job(struct control_server *s)
{
	struct connection *c = s->working;
	struct json_object *answer;

	if (!job_take(&s->job, &answer))
		return;
	s->working = NULL;
	if (c == NULL)
		json_object_put(answer);
	else if (connection_answer(c, answer, false) < 0)
		drop(s, c);
}

/* Answered by control_server_handed_over(). */
static int begin_handover(struct control_server *s, struct connection *c)
{
	const struct control_succession *succession = s->options.succession;
	struct control_error error;
	const char *why = "this server's connections are its own";
	int r = -EBUSY;

	if (s->handing_over)
		why = "one is under way";
	else
		r = succession ? succession->begin(succession->opaque, &why) : -EOPNOTSUPP;
	if (r < 0) {
		control_error_set(&error, -r, "handover: %s", why);
		return connection_refuse(c, &error, false);
	}
	c->phase = CONNECTION_WORKING;
	s->handing_over = true;
	s->leaving = c;
	return 0;
}

static int adopt(struct control_server *s, struct connection *c)
{
	const struct control_succession *succession = s->options.succession;
	struct control_error error;
	struct ucred peer;
	int r;

	if (succession == NULL) {
		control_error_set(&error, EOPNOTSUPP,
				  "adopt: this server's connections are its own");
		return connection_refuse(c, &error, false);
	}
	/* Of another PID namespace, it has no number here. */
	r = connection_peer(c, &peer) && peer.pid > 0
		    ? succession->allow(succession->opaque, peer.pid)
		    : -EPERM;
	if (r < 0) {
		control_error_set(&error, -r, "adopt: process %d cannot be allowed to: %s",
				  (int)peer.pid, strerror(-r));
		return connection_refuse(c, &error, false);
	}
	return connection_answer(c, answer_adopt(succession), false);
}

static int handle_line(struct control_server *s, struct connection *c)
{
	struct control_request request;
	struct control_error error;
	int r;

	if (request_parse(c->in, c->line, &request, &error) < 0)
		return connection_refuse(c, &error, false);
	switch (request.command) {
	case CONTROL_COMPACT:
	case CONTROL_IDLE:
	case CONTROL_RECOMPRESS:
	case CONTROL_WRITEBACK:
		r = begin_job(s, c, &request, -1);
		break;
	case CONTROL_SAVE:
	case CONTROL_RESTORE:
		r = begin_image(s, c, &request);
		break;
	case CONTROL_HANDOVER:
		r = begin_handover(s, c);
		break;
	case CONTROL_ADOPT:
		r = adopt(s, c);
		break;
	default:
		r = connection_answer(c, answer_request(&s->options, &request), false);
		break;
	}
	request_put(&request);
	return r;
}

static int read_from(struct connection *c)
{
	struct control_error error;
	int r = connection_read(c);

	if (r != -EMSGSIZE)
		return r;
	control_error_set(&error, EMSGSIZE, "request: too long: a line may have %zu bytes",
			  CONTROL_REQUEST_MAX);
	return connection_refuse(c, &error, true);
}

/* Whatever there is to do for a client now: one request at most, so that others have their turn. */
static int serve(struct control_server *s, struct connection *c, short events)
{
	int r = 0;

	switch (c->phase) {
	case CONNECTION_IDLE:
		if (events != 0)
			r = read_from(c);
		break;
	case CONNECTION_SENDING:
		if (events != 0)
			r = connection_write(c);
		break;
	default:
		/* Nothing was asked for: the client has gone. */
		if (events != 0)
			r = -ECONNRESET;
		break;
	}
	if (r == 0 && c->phase == CONNECTION_READY)
		r = handle_line(s, c);
	return r;
}

/* The polling thread. */

enum { POLL_WAKE, POLL_ACCEPT, POLL_CONNECTIONS };

#define POLL_MAX (POLL_CONNECTIONS + CONTROL_CLIENTS_MAX)

static bool may_accept(const struct control_server *s, uint64_t now)
{
	return now >= s->accept_again;
}

/* Milliseconds until there is something to do although nobody stirs; -1: never. */
static int poll_timeout(const struct control_server *s, uint64_t now)
{
	uint64_t next = may_accept(s, now) ? UINT64_MAX : s->accept_again;

	for (unsigned int i = 0; i < s->nr_connections; i++) {
		if (s->connections[i].phase == CONNECTION_READY)
			return 0;
		next = min_u64(next, s->connections[i].deadline);
	}
	if (next == UINT64_MAX)
		return -1;
	return now >= next ? 0 : (int)div_round_up(next - now, NS_PER_MS);
}

/* Sleep until something happens; what, is in FDS, in the order of the connections. */
static void wait_for_events(struct control_server *s, struct pollfd fds[POLL_MAX])
{
	uint64_t now = os_now();

	fds[POLL_WAKE] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
	fds[POLL_ACCEPT] = (struct pollfd){
		.fd = may_accept(s, now) ? s->socket.fd : -1,
		.events = POLLIN,
	};
	for (unsigned int i = 0; i < s->nr_connections; i++)
		fds[POLL_CONNECTIONS + i] = (struct pollfd){
			.fd = s->connections[i].fd,
			.events = connection_events(&s->connections[i]),
		};
	if (poll(fds, POLL_CONNECTIONS + s->nr_connections, poll_timeout(s, now)) > 0)
		return;
	for (unsigned int i = 0; i < POLL_MAX; i++)
		fds[i].revents = 0;
}

static void *server_main(void *argument)
{
	struct control_server *s = argument;
	struct pollfd fds[POLL_MAX];

	os_thread_name("zcram-control");
	os_thread_urgent(false); /* it can wait for those who are served */
	for (;;) {
		eventfd_t count;

		wait_for_events(s, fds);
		if (__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE))
			return NULL;
		/* From the last: dropping one moves only such as have had their turn. */
		for (unsigned int i = s->nr_connections; i-- > 0;) {
			struct connection *c = &s->connections[i];

			if (serve(s, c, fds[POLL_CONNECTIONS + i].revents) < 0 ||
			    os_now() >= c->deadline)
				drop(s, c);
		}
		if (fds[POLL_WAKE].revents != 0 && eventfd_read(s->wake_fd, &count) == 0)
			end_job(s);
		if (fds[POLL_ACCEPT].revents != 0)
			accept_one(s);
	}
}

/* From outside. */

int control_server_new(const struct control_server_options *options,
		       struct control_server **ret_server)
{
	struct control_server *s = calloc(1, sizeof(*s));
	unsigned int patience = options->patience ? options->patience : DEFAULT_PATIENCE;
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->options = *options;
	s->patience = patience * NS_PER_MS;
	s->owner = getpid();
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = s->wake_fd < 0 ? -errno : socket_make(options->path, options->wait, &s->socket);
	if (r < 0) {
		if (s->wake_fd >= 0)
			close(s->wake_fd);
		free(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

int control_server_start(struct control_server *s)
{
	int r;

	s->owner = getpid();
	r = socket_take_over(&s->socket);
	if (r == 0)
		r = job_start(&s->job, s->options.device, s->wake_fd);
	if (r < 0)
		return r;
	r = thread_start(&s->thread, server_main, s);
	if (r < 0)
		job_stop(&s->job);
	s->running = r == 0;
	return r;
}

/* All but who waits for a handover, and is told when that is done. */
static void drop_all(struct control_server *s)
{
	/* From the last: dropping one moves only such as stay. */
	for (unsigned int i = s->nr_connections; i-- > 0;)
		if (&s->connections[i] != s->leaving)
			drop(s, &s->connections[i]);
}

void control_server_stop(struct control_server *s)
{
	if (!s->running)
		return;
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
	eventfd_write(s->wake_fd, 1);
	pthread_join(s->thread, NULL);
	drop_all(s);
	job_stop(&s->job);
	s->running = false;
}

void control_server_handed_over(struct control_server *s)
{
	struct connection *c = s->leaving;

	/* A line into a socket that has nothing in it: there is nothing to wait for. */
	if (c != NULL)
		connection_answer(c, control_answer_result(json_object_new_object()), true);
}

void control_server_free(struct control_server *s)
{
	if (s == NULL)
		return;
	if (s->leaving != NULL)
		drop(s, s->leaving);
	socket_end(&s->socket, getpid() == s->owner);
	close(s->wake_fd);
	free(s);
}
