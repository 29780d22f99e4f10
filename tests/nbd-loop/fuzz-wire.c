/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a client's stream, made of requests good and bad and of anything: the loop answers
 * each request once, with the error that it must have, up to where the stream is no NBD.
 */
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/nbd-loop/fuzz.h"
#include "tests/nbd-loop/served.h"

#define SIZE	 65536
#define DATA	 16384
#define REQUESTS 64

struct stream {
	uint8_t bytes[40000]; /* the socket holds as much */
	size_t size;
	/* Of its requests, in order: what each must be answered with, and the bytes behind that. */
	uint32_t error[REQUESTS], data[REQUESTS];
	unsigned int count;
	bool broken;
};

static void append(struct stream *s, const void *buf, size_t size)
{
	memcpy(s->bytes + s->size, buf, size);
	s->size += size;
}

/* The protocol once more, as plainly as can be. */
static uint32_t answer(unsigned int type, unsigned int flags, uint64_t offset, uint64_t length)
{
	bool known = type <= PROTO_WRITE_ZEROES && type != 5;
	unsigned int allowed = type == PROTO_WRITE_ZEROES ? 0x13 : 0x01;

	if (!known || (flags & ~allowed) != 0)
		return PROTO_EINVAL;
	if (type == PROTO_FLUSH)
		return length == 0 && offset == 0 ? 0 : PROTO_EINVAL;
	if (type <= PROTO_WRITE && (length == 0 || length > DATA))
		return PROTO_EINVAL;
	if (offset > SIZE || length > SIZE - offset)
		return type == PROTO_READ ? PROTO_EINVAL : PROTO_ENOSPC;
	return 0;
}

/* A request of which most are good; false: it is the last. */
static bool add_request(struct stream *s, struct input *in)
{
	uint16_t type = (uint16_t)(input_take(in, 1) % 8), flags = 0;
	uint64_t offset = input_take(in, 2);
	uint32_t length = (uint32_t)input_take(in, 2) % (DATA + 64);
	unsigned int twist = (unsigned int)input_take(in, 1) % 16;
	struct proto_request wire;

	if (twist == 1)
		flags = (uint16_t)input_take(in, 1);
	if (twist == 2)
		offset = input_take(in, 8);
	if (type == PROTO_FLUSH && twist != 3)
		offset = length = 0;
	if (type == PROTO_WRITE && s->size + sizeof(wire) + length > sizeof(s->bytes))
		return false;
	wire = served_request(type, flags, s->count, offset, length);
	if (twist == 4)
		wire.magic ^= htobe32(1u << (input_take(in, 1) % 32));
	append(s, &wire, sizeof(wire));
	s->broken = twist == 4;
	if (s->broken || type == PROTO_DISC)
		return false;
	if (type == PROTO_WRITE) {
		memset(s->bytes + s->size, (int)type, length);
		s->size += length;
	}
	s->error[s->count] = answer(type, flags, offset, length);
	s->data[s->count] = type == PROTO_READ && s->error[s->count] == 0 ? length : 0;
	s->count++;
	return true;
}

static void check_replies(struct served *served, const struct stream *s)
{
	static uint8_t data[DATA];
	bool answered[REQUESTS] = {0};
	struct proto_reply reply;
	unsigned int n = 0;

	/* Of a stream that breaks, what comes before may have gone unanswered. */
	while (served_take(served->client, &reply, sizeof(reply)) == sizeof(reply)) {
		CHECK(reply.magic == htobe32(PROTO_REPLY_MAGIC), "%#x", be32toh(reply.magic));
		CHECK(reply.cookie < s->count && !answered[reply.cookie], "reply %u", n);
		CHECK(be32toh(reply.error) == s->error[reply.cookie],
		      "request %u: error %u, not %u", (unsigned int)reply.cookie,
		      be32toh(reply.error), s->error[reply.cookie]);
		answered[reply.cookie] = true;
		n++;
		if (served_take(served->client, data, s->data[reply.cookie]) !=
		    s->data[reply.cookie]) {
			CHECK(s->broken, "a read's data was cut off");
			break;
		}
	}
	CHECK(s->broken || n == s->count, "%u of %u answered", n, s->count);
}

static void *serve(void *opaque)
{
	struct served *served = opaque;

	served->result = nbd_loop_run(served->loop);
	shutdown(served->server, SHUT_RDWR);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stream s;
	struct input in = {data, size};
	unsigned int habits = (unsigned int)input_take(&in, 1);
	struct served served;
	int r;

	s.size = s.count = 0;
	s.broken = false;
	while (in.left > 0 && s.count < REQUESTS &&
	       s.size + sizeof(struct proto_request) <= sizeof(s.bytes))
		if (!add_request(&s, &in))
			break;
	served_init(&served, SIZE, DATA);
	served.options.workers = 1 + habits % 2;
	served.options.inline_read = habits & 2 ? 4096 : 0;
	served.options.inline_write = habits & 4 ? 512 : 0;
	CHECK(served_open(&served) == 0, "not even begun");
	CHECK(pthread_create(&served.thread, NULL, serve, &served) == 0, "no thread");
	served_send(&served, s.bytes, s.size);
	shutdown(served.client, SHUT_WR);
	check_replies(&served, &s);
	r = served_end(&served);
	CHECK(r == (s.broken ? -EPROTO : NBD_LOOP_CLOSED), "%d", r);
	served_fini(&served);
	return 0;
}
