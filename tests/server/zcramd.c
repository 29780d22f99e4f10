/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/server/zcramd.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/check.h"

void zcramd_init(struct zcramd_part *z, struct keeper *keeper)
{
	char *why = NULL;

	*z = (struct zcramd_part){.keeper = keeper, .server = &z->servers[0]};
	setenv("ZCRAM_RUN_DIR", keeper->dir, 1);
	CHECK(loop_open(&z->loop) == 0, "no loop");
	CHECK(rundir_init(&z->dir, "zcram0", &why) == 0, "%s", why);
	CHECK(rundir_lock(&z->dir, &why) == 0, "%s", why);
	CHECK(server_open_log(&z->log, &z->loop, &z->dir, &why) == 0, "%s", why);
	z->connections.count = keeper->nr_connections;
	for (unsigned int i = 0; i < keeper->nr_connections; i++)
		z->connections.at[i] = (struct connection){
			.memory = keeper->connections[i].memory,
			.ring = keeper->connections[i].ring,
			.server = keeper->connections[i].server,
			.client = -1,
		};
}

static void forget_line(struct zcramd_part *z)
{
	for (size_t i = 0; z->argv[i] != NULL; i++)
		free(z->argv[i]);
	memset(z->argv, 0, sizeof(z->argv));
}

void zcramd_fini(struct zcramd_part *z)
{
	server_stop(z->server, &z->loop);
	output_close(&z->log);
	rundir_remove(&z->dir, RUNDIR_LOG);
	CHECK(rundir_unlock(&z->dir) == 0, "something is left in %s", z->dir.path);
	loop_close(&z->loop);
	forget_line(z);
}

__attribute__((format(printf, 3, 4))) static void add(struct zcramd_part *z, size_t *count,
						      const char *format, ...)
{
	va_list args;

	CHECK(*count < ZCRAMD_ARGUMENTS, "too many arguments");
	va_start(args, format);
	CHECK(vasprintf(&z->argv[(*count)++], format, args) >= 0, "no memory");
	va_end(args);
}

struct server_line zcramd_line(struct zcramd_part *z, const char *const *extra)
{
	size_t count = 0;

	forget_line(z);
	add(z, &count, "%s", getenv("ZCRAM_SERVER"));
	for (unsigned int i = 0; i < z->connections.count; i++) {
		const struct connection *c = &z->connections.at[i];

		add(z, &count, "--connection=%d,%d,%d", c->memory, c->ring, c->server);
	}
	add(z, &count, "--pidfile=%s", z->dir.files[RUNDIR_PID]);
	add(z, &count, "control=%s", z->dir.files[RUNDIR_CONTROL]);
	add(z, &count, "pool=%s", z->keeper->pool);
	add(z, &count, "pool-at-exit=keep");
	for (size_t i = 0; extra[i] != NULL; i++)
		add(z, &count, "%s", extra[i]);
	return (struct server_line){.argv = z->argv, .connections = &z->connections};
}

void zcramd_start(struct zcramd_part *z, uint64_t size)
{
	char text[32];
	const char *const extra[] = {text, "reserve=256K", NULL};
	struct server_line line;
	char *why = NULL;

	snprintf(text, sizeof(text), "size=%" PRIu64, size);
	line = zcramd_line(z, extra);

	CHECK(server_start(z->server, &z->loop, &z->dir, &z->log, &line, &why) == 0, "%s", why);
}

enum successor_end zcramd_succeed(struct zcramd_part *z, const struct server_line *line,
				  struct succession *ret_succession, char **ret_why)
{
	struct server *next = z->server == &z->servers[0] ? &z->servers[1] : &z->servers[0];
	enum successor_end end;

	ret_succession->loop = &z->loop;
	ret_succession->dir = &z->dir;
	ret_succession->log = &z->log;
	ret_succession->server = z->server;
	ret_succession->next = next;
	ret_succession->line = line;
	end = successor_start(ret_succession, ret_why);
	if (end == SUCCESSOR_SERVES)
		z->server = next;
	return end;
}

void zcramd_signal(struct zcramd_part *z, int signal)
{
	if (z->server->child.running)
		child_signal(&z->server->child, signal);
	while (z->server->child.running)
		loop_turn(&z->loop, UINT64_MAX);
}
