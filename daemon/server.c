/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/ask.h"
#include "daemon/report.h"
#include "daemon/why.h"

/* A server whose clients have gone ends at once; nbdkit's kernel ones have, and a reader may be left. */
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
int server_open_log(struct output *log, struct loop *loop, const struct rundir *dir, char **why)
{
	const char *path = dir->files[RUNDIR_LOG];
	int fd, r;

	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		return say_why(why, -errno, "%s: cannot be made: %m", path);
	fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return say_why(why, -errno, "%s: %m", path);
	r = output_open(log, loop, fd, pass_on);
	if (r < 0)
		return say_why(why, r, "%s: %s", path, strerror(-r));
	return 0;
}

void server_forget(struct server *server)
{
	server->watch = sd_event_source_disable_unref(server->watch);
}

/* Is what the pid file says this server's? */
static bool has_written(const struct server *server)
{
	char text[16] = "";
	int fd = open(server->dir->files[RUNDIR_PID], O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return atoi(text) == server->child.pid;
}

/* The pid file is written when the server has all it needs, just before it serves. */
static int on_directory(sd_event_source *source, const struct inotify_event *event, void *opaque)
{
	struct server *server = opaque;

	if (server->serves || event->len == 0 || strcmp(event->name, "pid") != 0 ||
	    !has_written(server))
		return 0;
	server->serves = true;
	server->since = loop_now();
	/* Not only turned off: sd-event would be woken by further files for ever. */
	server_forget(server);
	if (server->on_serving != NULL)
		server->on_serving(server, server->opaque);
	return 0;
}

/* A descriptor that keeps the directory's "server" locked for whoever inherits it. */
static int lock_for_server(const struct rundir *dir)
{
	int fd = open(dir->files[RUNDIR_SERVER], O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

bool server_is_alive(const struct rundir *dir)
{
	int fd = open(dir->files[RUNDIR_SERVER], O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	bool alive;

	if (fd < 0)
		return false;
	alive = flock(fd, LOCK_EX | LOCK_NB) < 0;
	close(fd);
	return alive;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int launch(struct server *server, struct loop *loop, struct output *log,
		  const struct server_line *line)
{
	int inherited[CONNECTIONS_DESCRIPTORS + 1];
	struct child_job job = {
		.argv = (const char *const *)line->argv,
		.output = log->fd,
		.long_lived = true,
		.urgent = line->urgent,
		.inherited = inherited,
	};
	int r, lock = lock_for_server(server->dir);

	if (lock < 0)
		return lock;
	job.nr_inherited = connections_descriptors(line->connections, inherited);
	inherited[job.nr_inherited++] = lock;
	r = child_start(&server->child, loop, &job);
	close(lock);
	return r;
}

int server_launch(struct server *server, struct loop *loop, const struct rundir *dir,
		  struct output *log, const struct server_line *line)
{
	int r;

	*server = (struct server){.dir = dir, .child.pidfd = -1};
	snprintf(server->program, sizeof(server->program), "%s", name_of(line->argv[0]));
	r = sd_event_add_inotify(loop->event, &server->watch, dir->path, IN_CLOSE_WRITE,
				 on_directory, server);
	if (r < 0)
		return r;
	output_forget(log);
	r = launch(server, loop, log, line);
	if (r < 0)
		server_forget(server);
	return r;
}

static int say_dead(const struct server *server, const struct output *log, char **why)
{
	char text[CHILD_TEXT_SIZE];

	child_describe(&server->child, text);
	return say_why(why, -EIO, "%s: %s%s%s", server->program, text, *log->last ? ": " : "",
		       log->last);
}

static int say_no_program(const struct server_line *line, int error, char **why)
{
	return say_why(why, error, "%s: cannot be run: %s", line->argv[0], strerror(-error));
}

static int await(struct server *server, struct loop *loop, struct output *log,
		 const struct server_line *line, char **why)
{
	while (!server->serves && server->child.running && loop->stops == 0)
		loop_turn(loop, UINT64_MAX);
	if (loop->stops > 0)
		return say_why(why, -ECANCELED, "zcramd is to stop");
	/* Its last words may have come after its death was known. */
	output_drain(log);
	if (server->child.error < 0)
		return say_no_program(line, server->child.error, why);
	return server->child.running ? 0 : say_dead(server, log, why);
}

static int start(struct server *server, struct loop *loop, const struct rundir *dir,
		 struct output *log, const struct server_line *line, char **why)
{
	int r = server_launch(server, loop, dir, log, line);

	if (r < 0)
		return say_no_program(line, r, why);
	r = await(server, loop, log, line, why);
	if (r < 0)
		return r;
	r = ask_anything(dir);
	if (r < 0)
		return say_why(why, r, "the server does not answer on %s: %s%s%s",
			       dir->files[RUNDIR_CONTROL], strerror(-r), *log->last ? ": " : "",
			       log->last);
	return 0;
}

int server_start(struct server *server, struct loop *loop, const struct rundir *dir,
		 struct output *log, const struct server_line *line, char **why)
{
	static const enum rundir_file stale[] = {RUNDIR_NBD, RUNDIR_CONTROL, RUNDIR_PID};
	int r;

	*server = (struct server){.dir = dir};
	for (size_t i = 0; i < sizeof(stale) / sizeof(*stale); i++) {
		r = rundir_remove(dir, stale[i]);
		if (r < 0)
			return say_why(why, r, "%s: cannot be removed: %s", dir->files[stale[i]],
				       strerror(-r));
	}
	r = start(server, loop, dir, log, line, why);
	if (r < 0)
		server_stop(server, loop);
	return r;
}

int server_adopt(struct server *server, struct loop *loop, const struct rundir *dir, pid_t pid,
		 int pidfd)
{
	*server = (struct server){.dir = dir, .serves = true, .since = loop_now()};
	snprintf(server->program, sizeof(server->program), "server");
	return child_adopt(&server->child, loop, pid, pidfd);
}

/* It ends on SIGTERM when its clients have gone; then nothing needs it any more. */
static void end(struct server *server, struct loop *loop)
{
	uint64_t deadline = loop_now() + STOP_TIMEOUT;
	bool killed = false;

	child_signal(&server->child, SIGTERM);
	while (server->child.running) {
		uint64_t now = loop_now();

		if (now >= deadline && !killed) {
			report(LOG_WARNING, "the server still has clients: it is killed");
			child_signal(&server->child, SIGKILL);
			killed = true;
		}
		loop_turn(loop, killed ? UINT64_MAX : deadline - now);
	}
}

int server_stop(struct server *server, struct loop *loop)
{
	static const enum rundir_file files[] = {RUNDIR_NBD, RUNDIR_CONTROL, RUNDIR_PID,
						 RUNDIR_SERVER};
	int r = 0;

	server->child.on_exit = NULL;
	server->on_serving = NULL;
	if (server->child.running)
		end(server, loop);
	server_forget(server);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files) && r == 0; i++)
		r = rundir_remove(server->dir, files[i]);
	if (r < 0)
		report(LOG_WARNING, "%s: %s", server->dir->path, strerror(-r));
	return r;
}
