/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load: a client on each of a keeper's connections, in a process of its own, who makes requests at
 * random on a part of the device of its own and checks all answers (tests/nbd-loop/client.h). What does
 * not agree ends the client, and then the program (CHECK).
 */
#ifndef ZCRAM_TESTS_SERVER_LOAD_H
#define ZCRAM_TESTS_SERVER_LOAD_H

#include <stdint.h>
#include <sys/types.h>

#include "tests/nbd-loop/client.h"
#include "tests/server/keeper.h"

/* Shared by this process and its clients. */
struct load_shared {
	struct client clients[KEEPER_CONNECTIONS];
	uint32_t finish; /* atomic: the clients are to come to an end */
};

/* All that they use of a device, from its beginning. */
#define LOAD_SIZE ((uint64_t)KEEPER_CONNECTIONS * CLIENT_SIZE)

struct load {
	struct keeper *keeper;
	uint64_t size; /* of the device: LOAD_SIZE at least */
	struct load_shared *shared;
	pid_t clients[KEEPER_CONNECTIONS];
};

/* Start them, on a device of SIZE bytes; what they use of it holds zeros. */
void load_start(struct load *load, struct keeper *keeper, uint64_t seed, uint64_t size);

/* None has ended. */
void load_check(const struct load *load);

/* That a server is at work is to be seen by its answers: wait for so many MORE. */
void load_await(const struct load *load, uint64_t more);

/* Have them end when all is answered. Somebody must serve. */
void load_finish(const struct load *load);

/* Read all of what they have written, and compare. After load_finish(). */
void load_check_content(const struct load *load);

/* Say good-bye on all connections. */
void load_disconnect(const struct load *load);

/* Nanoseconds that the slowest request has taken so far. */
uint64_t load_longest(const struct load *load);

#endif
