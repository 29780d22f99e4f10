/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keeper: what zcramd is to zcram-server: it makes connections, holds their descriptors, and starts
 * one server after the other on them. What goes wrong of itself ends the program (CHECK).
 *
 * $ZCRAM_SERVER is the program under test.
 */
#ifndef ZCRAM_TESTS_KEEPER_H
#define ZCRAM_TESTS_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KEEPER_CONNECTIONS 2
#define KEEPER_ARGUMENTS   16

struct json_object;

struct keeper_connection {
	int memory, ring, server, client; /* client: -1 when it is closed */
	void *region;
	size_t size;
};

struct keeper {
	char dir[32];
	char pool[48], control[64], pidfile[64];
	int pids;      /* the pid file is a pipe; this is both its ends */
	bool survived; /* servers are not to die with their keeper */
	unsigned int nr_connections;
	struct keeper_connection connections[KEEPER_CONNECTIONS];
};

/* A server: what it prints can be read, and is kept. */
struct keeper_server {
	pid_t pid;
	int pidfd;
	int out; /* its standard output, to be read */
	int err; /* a file with what it said on standard error */
};

/*
 * Run FN in a process of its own, and remove what it has left of POOL, whatever becomes of it.
 * Returns its exit status; 77 where there is no io_uring or no System V shared memory.
 */
int keeper_guard(int (*fn)(void));

/* CONNECTIONS of them, in the directory and with the pool of a name that nobody else has. */
void keeper_init(struct keeper *keeper, unsigned int connections, size_t data);
/* The directory must be empty by then, but for the pid file. */
void keeper_fini(struct keeper *keeper);

/*
 * Start a server on all connections, with the parameters given, NULL behind the last; and, where
 * these do not say so, the keeper's pool and control socket.
 */
struct keeper_server keeper_start(struct keeper *keeper, const char *const *arguments);

/* Start one with these arguments and nothing else. */
struct keeper_server keeper_run(struct keeper *keeper, const char *const *arguments);

/* Wait until it has written its pid file, or is dead: false. */
bool keeper_await(struct keeper *keeper, const struct keeper_server *server);

/* Wait for a line on its standard output. False: it is dead. */
bool keeper_await_line(const struct keeper_server *server, const char *line);

/* Send SIGNAL, unless 0; wait for the end; close all. Returns the status of waitpid(). */
int keeper_end(struct keeper_server *server, int signal);

/* What it said on standard error until now: to TEXT, cut to SIZE. Returns the number of lines. */
unsigned int keeper_said(const struct keeper_server *server, char *text, size_t size);

/* Ask on the control socket: 0 and a result to be put, or what control_call() returned. */
int keeper_ask(const struct keeper *keeper, const char *command, struct json_object **ret_result);

/* Is there a segment, a semaphore of the pool? */
bool keeper_has_segment(const struct keeper *keeper);
bool keeper_has_semaphore(const struct keeper *keeper);

/* As an administrator would remove it. */
void keeper_purge(const struct keeper *keeper);

#endif
