/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control/client.h"
#include "daemon/report.h"
#include "daemon/why.h"

/*
 * For a server that is about to serve to say so. What it does then is touch and lock its memory;
 * a starved machine may take seconds for that.
 */
#define ANSWER_TIMEOUT_MS 60000

/* nbdkit waits for its clients; when the kernel's have gone, a reader or two may be left. */
#define STOP_TIMEOUT (10 * USEC_PER_SEC)

static void pass_on(const char *line)
{
	report(LOG_INFO, "server: %s", line);
}

/*
 * The pipe that the server writes to. It has a name, and the server has both of its ends: so
 * nothing happens to the server when zcramd dies, and another zcramd can go on reading. Nor does
 * anybody who does not read hold the server up: what does not fit is lost.
 */
static int open_log(struct server *server, struct loop *loop, const struct rundir *dir, char **why)
{
	const char *path = dir->files[RUNDIR_LOG];
	int fd, r;

	r = rundir_remove(dir, RUNDIR_LOG);
	if (r == 0 && mkfifo(path, 0600) < 0)
		r = -errno;
	if (r < 0)
		return say_why(why, r, "%s: cannot be made: %s", path, strerror(-r));
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return say_why(why, -errno, "%s: %m", path);
	r = output_open(&server->output, loop, fd, pass_on);
	if (r < 0)
		return say_why(why, r, "%s: %s", path, strerror(-r));
	return 0;
}

/* The pid file is written when the server has all it needs, just before it serves. */
static int on_directory(sd_event_source *source, const struct inotify_event *event, void *opaque)
{
	bool *ready = opaque;

	if (event->len > 0 && strcmp(event->name, "pid") == 0)
		*ready = true;
	return 0;
}

static int say_dead(const struct server *server, char **why)
{
	char text[CHILD_TEXT_SIZE];

	child_describe(&server->child, text);
	return say_why(why, -EIO, "nbdkit: %s%s%s", text, *server->output.last ? ": " : "",
		       server->output.last);
}

static int await_ready(struct server *server, struct loop *loop, const bool *ready, char **why)
{
	while (!*ready && server->child.running && loop->stops == 0)
		loop_turn(loop, UINT64_MAX);
	if (loop->stops > 0)
		return say_why(why, -ECANCELED, "zcramd is to stop");
	/* Its last words may have come after its death was known. */
	output_drain(&server->output);
	return server->child.running ? 0 : say_dead(server, why);
}

/* Ask for its statistics, as anybody would; 0: it answers. */
static int ask(const char *path)
{
	struct control_client *client;
	struct json_object *result;
	int r;

	r = control_connect(path, ANSWER_TIMEOUT_MS, &client);
	if (r < 0)
		return r;
	r = control_call(client, "stat", NULL, &result, NULL);
	if (r == 0)
		json_object_put(result);
	control_close(client);
	return r;
}

bool server_find(const struct rundir *dir, pid_t *ret_pid)
{
	struct control_client *client;

	/* Who listens lives, whether it answers or not. */
	if (control_connect(dir->files[RUNDIR_CONTROL], ANSWER_TIMEOUT_MS, &client) < 0)
		return false;
	*ret_pid = control_peer(client);
	control_close(client);
	return true;
}

static int start(struct server *server, struct loop *loop, const struct rundir *dir,
		 char *const argv[], char **why)
{
	struct child_job job = {
		.argv = (const char *const *)argv,
		.output = server->output.fd,
		.long_lived = true,
	};
	sd_event_source *watch;
	bool ready = false;
	int r;

	r = sd_event_add_inotify(loop->event, &watch, dir->path, IN_CLOSE_WRITE, on_directory,
				 &ready);
	if (r < 0)
		return say_why(why, r, "%s: cannot be watched: %s", dir->path, strerror(-r));
	r = child_start(&server->child, loop, &job);
	if (r < 0)
		r = say_why(why, r, "%s: cannot be run: %s", argv[0], strerror(-r));
	else
		r = await_ready(server, loop, &ready, why);
	sd_event_source_disable_unref(watch);
	if (r < 0)
		return r;
	r = ask(dir->files[RUNDIR_CONTROL]);
	if (r < 0)
		return say_why(why, r, "the server does not answer on %s: %s%s%s",
			       dir->files[RUNDIR_CONTROL], strerror(-r),
			       *server->output.last ? ": " : "", server->output.last);
	return 0;
}

int server_start(struct server *server, struct loop *loop, const struct rundir *dir,
		 char *const argv[], char **why)
{
	static const enum rundir_file stale[] = {RUNDIR_NBD, RUNDIR_CONTROL, RUNDIR_PID};
	int r = 0;

	*server = (struct server){0};
	for (size_t i = 0; i < sizeof(stale) / sizeof(*stale) && r == 0; i++) {
		r = rundir_remove(dir, stale[i]);
		if (r < 0)
			return say_why(why, r, "%s: cannot be removed: %s", dir->files[stale[i]],
				       strerror(-r));
	}
	r = open_log(server, loop, dir, why);
	if (r < 0)
		return r;
	r = start(server, loop, dir, argv, why);
	if (r < 0)
		server_stop(server, loop, dir);
	return r;
}

/* nbdkit ends on SIGTERM when its clients have gone; then nothing needs it any more. */
static void end(struct server *server, struct loop *loop)
{
	uint64_t deadline = loop_now() + STOP_TIMEOUT;
	bool killed = false;

	kill(server->child.pid, SIGTERM);
	while (server->child.running) {
		uint64_t now = loop_now();

		if (now >= deadline && !killed) {
			report(LOG_WARNING, "the server still has clients: it is killed");
			kill(server->child.pid, SIGKILL);
			killed = true;
		}
		loop_turn(loop, killed ? UINT64_MAX : deadline - now);
	}
}

int server_stop(struct server *server, struct loop *loop, const struct rundir *dir)
{
	int r = 0;

	server->child.on_exit = NULL;
	if (server->child.running)
		end(server, loop);
	output_close(&server->output);
	for (int i = RUNDIR_NBD; i < RUNDIR_FILES && r == 0; i++)
		r = rundir_remove(dir, i);
	if (r < 0)
		report(LOG_WARNING, "%s: %s", dir->path, strerror(-r));
	return r;
}
