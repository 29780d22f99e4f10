/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client: one that loads a disk with requests as the kernel's does, of which no two that are under
 * way at once touch the same bytes, and knows what each reply must be. What does not agree ends the
 * program (CHECK).
 *
 * It is told by nothing that its server was killed: the socket goes on.
 */
#ifndef ZCRAM_TESTS_CLIENT_H
#define ZCRAM_TESTS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "nbd/proto.h"
#include "tests/lib/rng.h"

#define CLIENT_PAGE  512
#define CLIENT_PAGES 2048
#define CLIENT_SIZE  (CLIENT_PAGE * CLIENT_PAGES)
#define CLIENT_DEPTH 48
#define CLIENT_MOST  (128u << 10) /* bytes of a request */

struct client_request {
	bool used;
	uint64_t cookie;
	uint16_t type;
	uint32_t error; /* that it must be answered with */
	uint32_t page, pages;
	uint64_t since; /* os_now(), when it was made */
};

struct client {
	int socket;
	uint64_t base, end; /* where its part of the device begins, and the device ends */
	uint32_t trim_unit; /* bytes that a trim drops as a whole, and no part of */
	struct rng rng;
	uint32_t pages_most;	    /* of a request */
	uint8_t bytes[CLIENT_SIZE]; /* what the disk must hold */
	bool busy[CLIENT_PAGES];
	struct client_request request[CLIENT_DEPTH];
	unsigned int under_way;
	uint64_t made;	   /* requests; the next cookie */
	uint64_t answered; /* atomic, for whoever looks on */
	uint64_t longest;  /* nanoseconds that one has taken, from when it was made; atomic, too */
	/* What is being sent and received. */
	uint8_t out[sizeof(struct proto_request) + CLIENT_MOST + CLIENT_PAGE];
	uint32_t out_size, out_at;
	uint8_t in[sizeof(struct proto_reply) + CLIENT_MOST];
	uint32_t in_size;
};

/*
 * SOCKET: the client's end, transmission phase; made non-blocking. The disk is all zeros, and all of
 * the device; a trim drops what it is told: else, change these before the first turn.
 */
void client_init(struct client *client, int socket, uint64_t seed);

/*
 * Send and receive what goes now; waits for either, MILLISECONDS at most (< 0: for ever). MORE: make
 * new requests. False: nothing went.
 */
bool client_turn(struct client *client, bool more, int milliseconds);

/* Is everything answered? */
bool client_is_idle(const struct client *client);

/* Say good-bye. */
void client_disconnect(struct client *client);

#endif
