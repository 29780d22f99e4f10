/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/survey.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/attach.h"
#include "common/step.h"
#include "daemon/ask.h"
#include "daemon/pool.h"
#include "daemon/report.h"
#include "daemon/successor.h"
#include "daemon/why.h"
#include "daemon/zcramd.h"

/* A server that was just being started when zcramd died has to recover its pool first. */
#define SERVING_TIMEOUT (120 * USEC_PER_SEC)
#define ENDING_MS	1000
#define PAUSE		(USEC_PER_SEC / 20)

/* Wait until it answers, also when we are to stop: then it is to be stopped in order. -ESRCH: it is dead. */
static int find_server(struct zcramd *z, struct ask_server *server, char **why)
{
	uint64_t end = loop_now() + SERVING_TIMEOUT;
	int r;

	while (server_is_alive(&z->rundir)) {
		r = ask_server(&z->rundir, server);
		if (r == 0)
			return 0;
		if (loop_now() >= end)
			return say_why(why, r,
				       "the server of an earlier zcramd does not answer on %s: %s",
				       z->rundir.files[RUNDIR_CONTROL], strerror(-r));
		/* It answers when it serves, unless it dies of something. */
		loop_turn(&z->loop, PAUSE);
	}
	return -ESRCH;
}

static void set_index(struct zcramd *z, int index)
{
	z->index = index;
	snprintf(z->path, sizeof(z->path), "/dev/nbd%d", index);
}

/* Was it up, or had it just been made when zcramd died? What is done already is not done again. */
static int look_at_use(struct zcramd *z, int index, char **why)
{
	struct attach_use use;
	int r;

	r = attach_use(NULL, index, &use);
	if (r < 0)
		return say_why(why, r, "nbd%d: %s", index, strerror(-r));
	z->in_use = attach_is_used(&use) || access(z->rundir.files[RUNDIR_READY], F_OK) == 0;
	attach_use_free(&use);
	return 0;
}

/* A process that ends has no descriptors any more some instants before it is dead. */
static bool is_ending(int pidfd)
{
	struct pollfd death = {.fd = pidfd, .events = POLLIN};

	return poll(&death, 1, ENDING_MS) > 0;
}

/* The server's connections, and how it is watched. All or nothing; its pidfd is closed, or used. */
static int take(struct zcramd *z, const struct ask_server *server, int index, char **why)
{
	int r = connections_adopt(&z->connections, server->pidfd, server->numbers, server->count,
				  why);

	if (r == -EBADF && is_ending(server->pidfd))
		r = -ESRCH;
	if (r == 0)
		r = look_at_use(z, index, why);
	if (r < 0) {
		close(server->pidfd);
	} else {
		r = server_adopt(z->server, &z->loop, &z->rundir, server->pid, server->pidfd);
		if (r < 0)
			say_why(why, r, "the server cannot be watched: %s", strerror(-r));
	}
	if (r < 0)
		connections_close(&z->connections);
	return r;
}

static int adopt(struct zcramd *z, int index, char **why)
{
	struct ask_server server;
	int r = find_server(z, &server, why);

	STEP("adoption: server found");
	if (r == 0)
		r = take(z, &server, index, why);
	if (r < 0)
		return r;
	STEP("adoption: taken");
	/*
	 * Not before: the server that was found may be about to hand over to the one that waits, and then
	 * that has the connections. From here on we have them, whoever dies.
	 */
	successor_clear(z->device->name, server.pid);
	z->found = FOUND_SERVER;
	z->looped = server.count > 0;
	set_index(z, index);
	report(LOG_NOTICE, "/dev/nbd%d and its server, pid %d, are taken over as they are", index,
	       (int)server.pid);
	return 0;
}

/* One that nothing is attached to: an earlier zcramd came no further, or was about to end it. */
static int end_server(struct zcramd *z, char **why)
{
	struct ask_server server;
	int r = find_server(z, &server, why);

	if (r < 0)
		return r;
	successor_clear(z->device->name, server.pid);
	r = server_adopt(z->server, &z->loop, &z->rundir, server.pid, server.pidfd);
	if (r < 0)
		return say_why(why, r, "the server of an earlier zcramd: %s", strerror(-r));
	report(LOG_NOTICE, "a server of an earlier zcramd, pid %d, serves nobody: it is ended",
	       (int)server.pid);
	server_stop(z->server, &z->loop);
	return 0;
}

/* A device whose content is gone: nobody answers its requests any more. */
static int clear_device(int index, char **why)
{
	struct attach_use use;
	bool used;
	char *how;
	int r;

	r = attach_use(NULL, index, &use);
	if (r < 0)
		return say_why(why, r, "nbd%d: %s", index, strerror(-r));
	used = attach_is_used(&use);
	how = attach_use_describe(&use);
	attach_use_free(&use);
	if (used)
		r = say_why(
			why, -EBUSY,
			"/dev/nbd%d is left from an earlier zcramd, without a server, and is in "
			"use %s: end that first",
			index, how ? how : "");
	free(how);
	if (r < 0)
		return r;
	r = attach_disconnect(index, why);
	if (r == 0)
		report(LOG_NOTICE, "/dev/nbd%d was left from an earlier zcramd: detached", index);
	return r;
}

/* Nothing is attached to it: what was swapped to it is nobody's, and a file system may be wanted. */
static int clear_pool(const struct zcramd *z, char **why)
{
	const char *name = z->device->name;
	int r;

	if (!z->device->swap)
		return say_why(why, -EEXIST,
			       "the pool %s is left from an earlier server, with the content of "
			       "the device: zcramctl purge %s ends it",
			       name, name);
	r = pool_remove(name);
	if (r < 0)
		return say_why(why, r, "the pool %s cannot be removed: %s", name, strerror(-r));
	report(LOG_NOTICE, "the pool %s was left from an earlier server: removed", name);
	return 0;
}

static int look_for_pool(struct zcramd *z, int index, char **why)
{
	bool found;
	int r = pool_find(z->device->name, &found);

	if (r == -EBUSY)
		return say_why(why, r, "the pool %s is in use by another server", z->device->name);
	/* Where there is no shared memory, there can be no pool either. */
	if (r == -ENOSYS)
		found = false;
	else if (r < 0)
		return say_why(why, r, "the pool %s: %s", z->device->name, strerror(-r));
	if (index < 0)
		return found ? clear_pool(z, why) : 0;
	if (!found || !z->looped)
		return clear_device(index, why);
	r = look_at_use(z, index, why);
	if (r < 0)
		return r;
	z->found = FOUND_POOL;
	set_index(z, index);
	report(LOG_WARNING, "/dev/nbd%d has lost its server with an earlier zcramd", index);
	return 0;
}

static int look(struct zcramd *z, char **why)
{
	int index = -1, r;

	r = attach_find(NULL, z->identifier, &index);
	if (r < 0 && r != -ENOENT)
		return say_why(why, r, "/sys/block: %s", strerror(-r));
	if (server_is_alive(&z->rundir)) {
		r = index >= 0 ? adopt(z, index, why) : end_server(z, why);
		if (r < 0 || z->found == FOUND_SERVER)
			return r;
	}
	return look_for_pool(z, index, why);
}

int survey(struct zcramd *z, char **why)
{
	int r;

	r = attach_probe(why);
	if (r < 0)
		return r;
	/* It may die before our eyes. */
	while ((r = look(z, why)) == -ESRCH) {
		free(*why);
		*why = NULL;
	}
	return r;
}
