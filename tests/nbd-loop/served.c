/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/nbd-loop/served.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd/ring.h"
#include "tests/lib/check.h"

void served_need_ring(void)
{
	struct io_uring_params params;
	int ring, r = ring_new(&ring, &params);

	if (r == -EPERM || r == -ENOSYS) {
		printf("no io_uring here\n");
		exit(77);
	}
	CHECK(r == 0, "%s", strerror(-r));
	close(ring);
}

void served_init(struct served *s, size_t size, size_t data)
{
	int sockets[2], r;

	*s = (struct served){.region_size = nbd_loop_region_size(data)};
	s->region = mmap(NULL, s->region_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	CHECK(s->region != MAP_FAILED, "errno %d", errno);
	r = nbd_loop_prepare(s->region, s->region_size, &s->ring);
	CHECK(r == 0, "%s", strerror(-r));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "errno %d", errno);
	s->server = sockets[0];
	s->client = sockets[1];
	s->disk = (struct disk){.bytes = calloc(1, size), .size = size};
	CHECK(s->disk.bytes != NULL, "no memory");
	s->options = (struct nbd_loop_options){
		.region = s->region,
		.region_size = s->region_size,
		.ring = s->ring,
		.socket = s->server,
		.size = size,
		.ops = &disk_ops,
		.opaque = &s->disk,
		.workers = 2,
	};
}

void served_fini(struct served *s)
{
	close(s->ring);
	close(s->server);
	if (s->client >= 0)
		close(s->client);
	munmap(s->region, s->region_size);
	free(s->disk.bytes);
}

static void *run(void *opaque)
{
	struct served *s = opaque;

	s->result = nbd_loop_run(s->loop);
	return NULL;
}

int served_open(struct served *s)
{
	const char *why;

	return nbd_loop_new(&s->options, &s->loop, &why);
}

void served_start(struct served *s)
{
	int r = served_open(s);

	CHECK(r == 0, "%s", strerror(-r));
	CHECK(pthread_create(&s->thread, NULL, run, s) == 0, "no thread");
}

int served_end(struct served *s)
{
	pthread_join(s->thread, NULL);
	nbd_loop_free(s->loop);
	return s->result;
}

void served_send(struct served *s, const void *buf, size_t size)
{
	const char *from = buf;

	while (size > 0) {
		ssize_t n = send(s->client, from, size, MSG_NOSIGNAL);

		CHECK(n > 0, "errno %d", errno);
		from += n;
		size -= (size_t)n;
	}
}

/*
 * Not with MSG_WAITALL alone: when a ring is closed, the kernel interrupts the tasks that used it, and
 * what they receive just then is cut short.
 */
size_t served_take(int socket, void *buf, size_t size)
{
	size_t taken = 0;

	while (taken < size) {
		ssize_t n = recv(socket, (char *)buf + taken, size - taken, MSG_WAITALL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		taken += (size_t)n;
	}
	return taken;
}

void served_receive(struct served *s, void *buf, size_t size)
{
	CHECK(served_take(s->client, buf, size) == size, "the connection was cut off");
}

struct proto_request served_request(uint16_t type, uint16_t flags, uint64_t cookie, uint64_t offset,
				    uint32_t length)
{
	return (struct proto_request){
		.magic = htobe32(PROTO_REQUEST_MAGIC),
		.flags = htobe16(flags),
		.type = htobe16(type),
		.cookie = cookie,
		.offset = htobe64(offset),
		.length = htobe32(length),
	};
}

uint32_t served_ask(struct served *s, uint16_t type, uint16_t flags, uint64_t offset,
		    uint32_t length, const void *data, void *ret)
{
	static uint64_t cookie = 0x123456789abcdef0;
	struct proto_request wire = served_request(type, flags, ++cookie, offset, length);
	struct proto_reply reply;

	served_send(s, &wire, sizeof(wire));
	if (data)
		served_send(s, data, length);
	served_receive(s, &reply, sizeof(reply));
	CHECK(reply.magic == htobe32(PROTO_REPLY_MAGIC), "%#x", be32toh(reply.magic));
	CHECK(reply.cookie == cookie, "another's reply");
	if (ret && reply.error == 0)
		served_receive(s, ret, length);
	return be32toh(reply.error);
}
