/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/successor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/step.h"
#include "daemon/call.h"
#include "daemon/report.h"
#include "daemon/why.h"

#define READY_LINE "zcram-server: ready to take over"

/*
 * For the new server to do all that can be done without the pool, which is to touch and lock some memory;
 * and for the old one to finish what it has received. While that waits for a compaction, requests go on.
 */
#define PATIENCE (60 * USEC_PER_SEC)
/* For a server that has nothing left to do to end. */
#define EXIT_TIMEOUT (10 * USEC_PER_SEC)

/* Until CHILD has ended, which is seen to when it has not by itself. */
static void await_exit(struct child *child, struct loop *loop, uint64_t usec)
{
	uint64_t deadline = loop_now() + usec, now;

	while (child->running && (now = loop_now()) < deadline)
		loop_turn(loop, deadline - now);
	if (child->running)
		child_signal(child, SIGKILL);
	while (child->running)
		loop_turn(loop, UINT64_MAX);
}

static int say_no_program(const struct succession *s, int error, char **why)
{
	return say_why(why, error, "%s: cannot be run: %s", s->line->argv[0], strerror(-error));
}

/* The new server's end, and the last that was said. */
static int say_dead(struct succession *s, const char *when, char **why)
{
	char text[CHILD_TEXT_SIZE];

	if (s->next->child.error < 0)
		return say_no_program(s, s->next->child.error, why);
	/* Its last words may have come after its death was known. */
	output_drain(s->log);
	child_describe(&s->next->child, text);
	return say_why(why, -EIO, "the new server has ended %s: %s%s%s", when, text,
		       *s->log->last ? ": " : "", s->log->last);
}

/* Until the new server is ready. */

static bool is_ready(const struct succession *s)
{
	/* Without the old one it has the pool already, or dies of having none. */
	return s->log->seen || !s->server->child.running;
}

/* A zcramd that came after us would not know it for what it is before: see successor_clear(). */
static void await_program(struct succession *s, uint64_t deadline)
{
	const struct child *next = &s->next->child;
	uint64_t now;

	while (next->running && !next->executed && (now = loop_now()) < deadline)
		loop_turn(s->loop, deadline - now);
}

/* STOPS: of the loop, before it was started. */
static int await_ready(struct succession *s, uint64_t deadline, unsigned int stops, char **why)
{
	uint64_t now;

	while (!is_ready(s) && s->next->child.running && s->loop->stops == stops &&
	       (now = loop_now()) < deadline)
		loop_turn(s->loop, deadline - now);
	if (!s->next->child.running)
		return say_dead(s, "before it was ready", why);
	if (is_ready(s))
		return 0;
	if (s->loop->stops != stops)
		return say_why(why, -ECANCELED, "zcramd is to stop");
	return say_why(why, -ETIMEDOUT, "the new server is not ready in time");
}

static int start_next(struct succession *s, char **why)
{
	uint64_t deadline = loop_now() + s->patience;
	unsigned int stops = s->loop->stops;
	int r;

	r = server_launch(s->next, s->loop, s->dir, s->log, s->line);
	if (r < 0)
		return say_no_program(s, r, why);
	s->log->awaited = READY_LINE;
	s->log->seen = false;
	await_program(s, deadline);
	STEP("succession: started");
	return await_ready(s, deadline, stops, why);
}

/* The handover. */

/* The old server does not do what it is asked. If it is on its way out, that does not matter. */
static int check_refusal(struct succession *s, int r, const char *message, char **why)
{
	uint64_t deadline = loop_now() + USEC_PER_SEC, now;

	while (s->server->child.running && (now = loop_now()) < deadline)
		loop_turn(s->loop, deadline - now);
	if (!s->server->child.running)
		return 0;
	return say_why(why, r, "the old server does not hand over: %s",
		       message ? message : strerror(-r));
}

static int hand_over(struct succession *s, char **why)
{
	struct json_object *result = NULL;
	char *message;
	int r;

	/* If it has just died, the new one may be there already: that is not to hand over. */
	r = call(s->loop, s->dir->files[RUNDIR_CONTROL], s->server->child.pid, "handover",
		 s->patience, &result, &message);
	json_object_put(result);
	if (r == -ETIMEDOUT)
		child_signal(&s->server->child, SIGKILL);
	/* That one is under way means that it will come to its end. */
	s->died = r < 0 && r != -EBUSY;
	if (r == -ETIMEDOUT || r == -EBUSY)
		r = 0;
	if (r < 0)
		r = check_refusal(s, r, message, why);
	free(message);
	return r;
}

/* Until the new server serves. */

static int await_service(struct succession *s, uint64_t since, char **why)
{
	while (!s->next->serves && s->next->child.running)
		loop_turn(s->loop, UINT64_MAX);
	if (s->next->serves)
		s->pause = s->next->since - since;
	STEP("succession: serves");
	/* It has given up all that it had. */
	await_exit(&s->server->child, s->loop, EXIT_TIMEOUT);
	STEP("succession: old ended");
	/* The words of the dead are the caller's to say. */
	s->log->on_line = NULL;
	if (!s->next->child.running)
		return say_dead(s, s->next->serves ? "as soon as it served" : "before it served",
				why);
	child_describe(&s->server->child, s->death);
	return 0;
}

static int take_over(struct succession *s, char **why)
{
	uint64_t since;
	int r;

	r = start_next(s, why);
	STEP("succession: ready");
	since = loop_now();
	/* What the new one says now may stand in the log when it serves. */
	sd_event_source_set_enabled(s->log->source, SD_EVENT_OFF);
	s->died = !s->server->child.running;
	if (r == 0 && !s->died)
		r = hand_over(s, why);
	STEP("succession: handed over");
	return r < 0 ? r : await_service(s, since, why);
}

enum successor_end successor_start(struct succession *s, char **ret_why)
{
	struct child *server = &s->server->child;
	void (*on_exit)(struct child * child, void *opaque) = server->on_exit;
	void (*on_line)(const char *line) = s->log->on_line;
	int r;

	if (s->patience == 0)
		s->patience = PATIENCE;
	/* Whatever becomes of it, it is seen to in here. */
	server->on_exit = NULL;
	r = take_over(s, ret_why);
	s->log->awaited = NULL;
	s->log->on_line = on_line;
	sd_event_source_set_enabled(s->log->source, SD_EVENT_ON);
	if (r == 0) {
		server_forget(s->server);
		return SUCCESSOR_SERVES;
	}
	if (s->next->child.running)
		await_exit(&s->next->child, s->loop, 0);
	server_forget(s->next);
	server->on_exit = on_exit;
	return server->running ? SUCCESSOR_KEPT : SUCCESSOR_NONE;
}

/* What was left. */

/*
 * Are these LEN bytes among the arguments, as one of them with its NUL, or as a key and a value? A
 * server puts a NUL between the two when it has read them.
 */
static bool has_argument(const char *arguments, size_t len, const char *wanted, size_t wanted_len)
{
	for (const char *at = arguments; at < arguments + len; at += strlen(at) + 1)
		if (len - (size_t)(at - arguments) >= wanted_len &&
		    memcmp(at, wanted, wanted_len) == 0)
			return true;
	return false;
}

static bool has_pool(const char *arguments, size_t len, const char *pool)
{
	char wanted[64];
	size_t wanted_len = (size_t)snprintf(wanted, sizeof(wanted), "pool=%s", pool) + 1;

	if (wanted_len > sizeof(wanted))
		return false;
	if (has_argument(arguments, len, wanted, wanted_len))
		return true;
	*strchr(wanted, '=') = '\0';
	return has_argument(arguments, len, wanted, wanted_len);
}

/* A pool's name means another in a container's namespace, whose processes we may see. */
static bool has_our_pools(pid_t pid)
{
	struct stat its, ours;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", (int)pid);
	return stat(path, &its) == 0 && stat("/proc/self/ns/ipc", &ours) == 0 &&
	       its.st_ino == ours.st_ino && its.st_dev == ours.st_dev;
}

/* Does process PID wait for POOL? */
static bool waits_for(pid_t pid, const char *pool)
{
	char path[32], arguments[4096];
	const char *name;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, arguments, sizeof(arguments) - 1);
	close(fd);
	if (len <= 0)
		return false;
	arguments[len] = '\0';
	name = strrchr(arguments, '/');
	return strcmp(name ? name + 1 : arguments, "zcram-server") == 0 &&
	       has_argument(arguments, (size_t)len + 1, "--wait", sizeof("--wait")) &&
	       has_pool(arguments, (size_t)len + 1, pool) && has_our_pools(pid);
}

/*
 * Whoever waits for POOL by the number PID, and has perhaps just got it: another server can have it only
 * when this one is dead, and would take a pool in use for a fault of its own.
 */
static void end_waiting(pid_t pid, const char *pool)
{
	struct pollfd death = {.events = POLLIN};

	/* First: what is found then is said of the one that it stands for. */
	death.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (death.fd < 0)
		return;
	if (waits_for(pid, pool)) {
		report(LOG_NOTICE,
		       "pid %d was started by an earlier zcramd to go on for the server: it is "
		       "ended",
		       (int)pid);
		syscall(SYS_pidfd_send_signal, death.fd, SIGKILL, NULL, 0);
		poll(&death, 1, EXIT_TIMEOUT / 1000);
	}
	close(death.fd);
}

void successor_clear(const char *pool, pid_t server)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes != NULL && (entry = readdir(processes)) != NULL) {
		pid_t pid = isdigit((unsigned char)*entry->d_name) ? (pid_t)atoi(entry->d_name) : 0;

		if (pid > 0 && pid != server)
			end_waiting(pid, pool);
	}
	if (processes != NULL)
		closedir(processes);
}
