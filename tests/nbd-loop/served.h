/* SPDX-License-Identifier: BSD-3-Clause */
/* served: a disk, served by a loop in a thread of its own to the other end of a socket. */
#ifndef ZCRAM_TESTS_SERVED_H
#define ZCRAM_TESTS_SERVED_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "nbd/loop.h"
#include "nbd/proto.h"
#include "tests/nbd-loop/disk.h"

struct served {
	struct disk disk;
	void *region;
	size_t region_size;
	int ring, server, client; /* client: -1 when it is closed */
	struct nbd_loop_options options;
	struct nbd_loop *loop;
	pthread_t thread;
	int result; /* of nbd_loop_run() */
};

/* Where there is no io_uring, end the program as one that is skipped. */
void served_need_ring(void);

/* SIZE bytes of disk, and room for DATA bytes under way. */
void served_init(struct served *served, size_t size, size_t data);
void served_fini(struct served *served);

/* A loop, as nbd_loop_new() says; and its thread. */
int served_open(struct served *served);
void served_start(struct served *served);

/* Wait for nbd_loop_run() to return, free the loop, and say what it returned. */
int served_end(struct served *served);

/* Receive SIZE bytes, however often that is interrupted, or less at the end of the stream. */
size_t served_take(int socket, void *buf, size_t size);

/* The client's part. Each ends the program when the connection is cut off. */
void served_send(struct served *served, const void *buf, size_t size);
void served_receive(struct served *served, void *buf, size_t size);

/* A request's header. */
struct proto_request served_request(uint16_t type, uint16_t flags, uint64_t cookie, uint64_t offset,
				    uint32_t length);

/* Send one with its data, if DATA, and take its reply, and a read's data to RET, if it is no error. */
uint32_t served_ask(struct served *served, uint16_t type, uint16_t flags, uint64_t offset,
		    uint32_t length, const void *data, void *ret);

#endif
