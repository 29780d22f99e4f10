/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/server/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "common/fnv1a.h"
#include "common/segment.h"
#include "control/client.h"
#include "nbd/loop.h"
#include "tests/lib/check.h"
#include "tests/nbd-loop/served.h"

#define STRING_SIZE 64

/* Of the process that keeper_guard() runs: all of one run have the same. */
static void name_pool(char *name, size_t size, pid_t pid)
{
	snprintf(name, size, "test-server.%d", (int)pid);
}

static void purge(const char *name)
{
	struct segment segment;

	/* A server that was killed may still be about to give its claim back. */
	if (segment_claim(name, 10000, &segment) == 0)
		segment_remove(&segment);
}

int keeper_guard(int (*fn)(void))
{
	char name[SEGMENT_NAME_SIZE];
	int status;
	pid_t pid;

	served_need_ring();
	if (access("/proc/sysvipc/shm", R_OK) < 0)
		return 77;
	CHECK(getenv("ZCRAM_SERVER") != NULL, "ZCRAM_SERVER is not set");
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0, "errno %d", errno);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(fn());
	}
	CHECK(waitpid(pid, &status, 0) == pid, "errno %d", errno);
	name_pool(name, sizeof(name), pid);
	purge(name);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* Connections. */

static void connect_one(struct keeper_connection *c, size_t data)
{
	int sockets[2], r;

	c->size = nbd_loop_region_size(data);
	c->memory = memfd_create("zcram-connection", MFD_CLOEXEC);
	CHECK(c->memory >= 0 && ftruncate(c->memory, (off_t)c->size) == 0, "errno %d", errno);
	c->region = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, c->memory, 0);
	CHECK(c->region != MAP_FAILED, "errno %d", errno);
	r = nbd_loop_prepare(c->region, c->size, &c->ring);
	CHECK(r == 0, "%s", strerror(-r));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0, "errno %d", errno);
	c->server = sockets[0];
	c->client = sockets[1];
}

void keeper_init(struct keeper *k, unsigned int connections, size_t data)
{
	*k = (struct keeper){.dir = "/tmp/zcram-test-XXXXXX", .nr_connections = connections};
	CHECK(mkdtemp(k->dir) != NULL, "errno %d", errno);
	name_pool(k->pool, sizeof(k->pool), getpid());
	snprintf(k->control, sizeof(k->control), "%s/control", k->dir);
	snprintf(k->pidfile, sizeof(k->pidfile), "%s/pid", k->dir);
	CHECK(mkfifo(k->pidfile, 0600) == 0, "errno %d", errno);
	k->pids = open(k->pidfile, O_RDWR | O_CLOEXEC);
	CHECK(k->pids >= 0, "errno %d", errno);
	for (unsigned int i = 0; i < connections; i++)
		connect_one(&k->connections[i], data);
}

void keeper_fini(struct keeper *k)
{
	for (unsigned int i = 0; i < k->nr_connections; i++) {
		struct keeper_connection *c = &k->connections[i];

		munmap(c->region, c->size);
		close(c->memory);
		close(c->ring);
		close(c->server);
		if (c->client >= 0)
			close(c->client);
	}
	close(k->pids);
	unlink(k->pidfile);
	CHECK(rmdir(k->dir) == 0, "%s: errno %d", k->dir, errno);
}

/* Servers. */

/* Only what the server is to have; the client's end must not be kept open by it. */
_Noreturn static void execute(const struct keeper *k, char *const *argv, int out, int err)
{
	if (!k->survived)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int i = 0; i < k->nr_connections; i++) {
		fcntl(k->connections[i].memory, F_SETFD, 0);
		fcntl(k->connections[i].ring, F_SETFD, 0);
		fcntl(k->connections[i].server, F_SETFD, 0);
	}
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execv(argv[0], argv);
	_exit(127);
}

struct keeper_server keeper_run(struct keeper *k, const char *const *arguments)
{
	char *argv[KEEPER_ARGUMENTS + 8] = {getenv("ZCRAM_SERVER")};
	struct keeper_server server = {.err = memfd_create("stderr", MFD_CLOEXEC)};
	int out[2];

	for (size_t i = 0; arguments[i] != NULL; i++)
		argv[i + 1] = (char *)arguments[i];
	CHECK(server.err >= 0 && pipe2(out, O_CLOEXEC) == 0, "errno %d", errno);
	server.pid = fork();
	CHECK(server.pid >= 0, "errno %d", errno);
	if (server.pid == 0)
		execute(k, argv, out[1], server.err);
	close(out[1]);
	server.out = out[0];
	server.pidfd = (int)syscall(SYS_pidfd_open, server.pid, 0);
	CHECK(server.pidfd >= 0, "errno %d", errno);
	return server;
}

static bool is_given(const char *const *arguments, const char *key)
{
	for (size_t i = 0; arguments[i] != NULL; i++)
		if (strncmp(arguments[i], key, strlen(key)) == 0)
			return true;
	return false;
}

struct keeper_server keeper_start(struct keeper *k, const char *const *arguments)
{
	char text[KEEPER_CONNECTIONS + 3][STRING_SIZE + STRING_SIZE];
	const char *all[KEEPER_ARGUMENTS + 8] = {0};
	size_t n = 0, t = 0;

	for (unsigned int i = 0; i < k->nr_connections; i++) {
		const struct keeper_connection *c = &k->connections[i];

		snprintf(text[t], sizeof(text[t]), "--connection=%d,%d,%d", c->memory, c->ring,
			 c->server);
		all[n++] = text[t++];
	}
	snprintf(text[t], sizeof(text[t]), "--pidfile=%s", k->pidfile);
	all[n++] = text[t++];
	for (size_t i = 0; arguments[i] != NULL; i++)
		all[n++] = arguments[i];
	if (!is_given(arguments, "pool=")) {
		snprintf(text[t], sizeof(text[t]), "pool=%s", k->pool);
		all[n++] = text[t++];
	}
	if (!is_given(arguments, "control=")) {
		snprintf(text[t], sizeof(text[t]), "control=%s", k->control);
		all[n++] = text[t++];
	}
	CHECK(n <= KEEPER_ARGUMENTS, "too many arguments");
	return keeper_run(k, all);
}

/* Wait until FD can be read from. False: the server is dead, and there is nothing. */
static bool await(const struct keeper_server *server, int fd)
{
	struct pollfd fds[] = {
		{.fd = fd, .events = POLLIN},
		{.fd = server->pidfd, .events = POLLIN},
	};

	while (poll(fds, 2, -1) < 0)
		CHECK(errno == EINTR, "errno %d", errno);
	return (fds[0].revents & POLLIN) != 0;
}

bool keeper_await(struct keeper *k, const struct keeper_server *server)
{
	pid_t pid = 0;
	char c;

	/* Those of servers that were killed may stand before it. */
	while (await(server, k->pids)) {
		CHECK(read(k->pids, &c, 1) == 1, "errno %d", errno);
		if (c == '\n' && pid == server->pid)
			return true;
		pid = c == '\n' ? 0 : pid * 10 + (c - '0');
	}
	return false;
}

bool keeper_await_line(const struct keeper_server *server, const char *line)
{
	char text[256] = "";
	size_t len = 0;

	while (strchr(text, '\n') == NULL) {
		ssize_t n;

		if (!await(server, server->out))
			return false;
		n = read(server->out, text + len, sizeof(text) - 1 - len);
		CHECK(n >= 0, "errno %d", errno);
		if (n == 0)
			return false;
		len += (size_t)n;
	}
	*strchr(text, '\n') = '\0';
	CHECK(strcmp(text, line) == 0, "\"%s\" is not \"%s\"", text, line);
	return true;
}

int keeper_end(struct keeper_server *server, int signal)
{
	int status;

	if (signal != 0)
		CHECK(kill(server->pid, signal) == 0, "errno %d", errno);
	CHECK(waitpid(server->pid, &status, 0) == server->pid, "errno %d", errno);
	close(server->pidfd);
	close(server->out);
	close(server->err);
	return status;
}

unsigned int keeper_said(const struct keeper_server *server, char *text, size_t size)
{
	ssize_t n = pread(server->err, text, size - 1, 0);
	unsigned int lines = 0;

	CHECK(n >= 0, "errno %d", errno);
	text[n] = '\0';
	for (const char *c = text; *c != '\0'; c++)
		lines += *c == '\n';
	return lines;
}

int keeper_ask(const struct keeper *k, const char *command, struct json_object **ret_result)
{
	struct control_client *client;
	char *message = NULL;
	int r = control_connect(k->control, 60000, &client);

	if (r < 0)
		return r;
	r = control_call(client, command, NULL, ret_result, &message);
	control_close(client);
	free(message);
	return r;
}

/* The pool. */

static int same_name(void *name, const struct segment_info *info)
{
	return strcmp(info->name, name) == 0;
}

bool keeper_has_segment(const struct keeper *k)
{
	int r = segment_list(same_name, (void *)k->pool);

	CHECK(r >= 0, "%s", strerror(-r));
	return r > 0;
}

/* Of the semaphore, as common/segment.c makes it. */
static int key_of(const char *name)
{
	uint64_t hash = fnv1a(FNV1A_START, name, strlen(name));

	return 0x7a000000 | (int)((hash ^ hash >> 24 ^ hash >> 48) & 0xffffff);
}

bool keeper_has_semaphore(const struct keeper *k)
{
	return semget(key_of(k->pool), 1, 0) >= 0;
}

void keeper_purge(const struct keeper *k)
{
	purge(k->pool);
}
