/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/nbd-loop/client.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/os.h"
#include "common/util.h"
#include "tests/lib/check.h"

void client_init(struct client *c, int socket, uint64_t seed)
{
	memset(c, 0, sizeof(*c));
	c->socket = socket;
	c->end = CLIENT_SIZE;
	c->trim_unit = 1;
	c->rng = rng_make(seed);
	c->pages_most = CLIENT_MOST / CLIENT_PAGE;
	CHECK(fcntl(socket, F_SETFL, O_NONBLOCK) == 0, "errno %d", errno);
}

bool client_is_idle(const struct client *c)
{
	return c->under_way == 0 && c->out_at == c->out_size;
}

/* Requests. */

static uint16_t pick_type(struct client *c)
{
	unsigned int dice = (unsigned int)rng_below(&c->rng, 100);

	if (dice < 45)
		return PROTO_READ;
	if (dice < 88)
		return PROTO_WRITE;
	if (dice < 93)
		return PROTO_TRIM;
	return dice < 98 ? PROTO_WRITE_ZEROES : PROTO_FLUSH;
}

/* A range that nobody is at. False: none was found. */
static bool pick_range(struct client *c, struct client_request *q)
{
	q->pages = (uint32_t)rng_between(
		&c->rng, 1, rng_chance(&c->rng, 70) ? min_u64(16, c->pages_most) : c->pages_most);
	q->page = (uint32_t)rng_below(&c->rng, CLIENT_PAGES - q->pages + 1);
	for (uint32_t i = 0; i < q->pages; i++)
		if (c->busy[q->page + i])
			return false;
	memset(c->busy + q->page, true, q->pages);
	return true;
}

/* One that the server must refuse, although its data, if it has any, is sent. */
static void spoil(const struct client *c, struct client_request *q, uint64_t *offset)
{
	*offset = c->end;
	q->error = q->type == PROTO_READ ? PROTO_EINVAL : PROTO_ENOSPC;
}

static void put_request(struct client *c, struct client_request *q, uint64_t offset)
{
	bool fua = q->type != PROTO_READ && q->type != PROTO_FLUSH && rng_chance(&c->rng, 10);
	uint32_t length = q->pages * CLIENT_PAGE;
	struct proto_request wire = {
		.magic = htobe32(PROTO_REQUEST_MAGIC),
		.flags = htobe16(fua ? PROTO_FLAG_FUA : 0),
		.type = htobe16(q->type),
		.cookie = q->cookie,
		.offset = htobe64(offset),
		.length = htobe32(length),
	};

	memcpy(c->out, &wire, sizeof(wire));
	c->out_size = sizeof(wire);
	c->out_at = 0;
	if (q->type != PROTO_WRITE)
		return;
	rng_bytes(&c->rng, c->out + sizeof(wire), length);
	c->out_size += length;
}

/* What the disk holds when it is answered; nobody reads there before. */
static void expect(struct client *c, const struct client_request *q)
{
	size_t from = (size_t)q->page * CLIENT_PAGE, to = from + (size_t)q->pages * CLIENT_PAGE;

	if (q->error != 0)
		return;
	if (q->type == PROTO_WRITE)
		memcpy(c->bytes + from, c->out + sizeof(struct proto_request), to - from);
	if (q->type == PROTO_TRIM) {
		from = (from + c->trim_unit - 1) / c->trim_unit * c->trim_unit;
		to = to / c->trim_unit * c->trim_unit;
	}
	if ((q->type == PROTO_TRIM || q->type == PROTO_WRITE_ZEROES) && from < to)
		memset(c->bytes + from, 0, to - from);
}

static void make_request(struct client *c)
{
	struct client_request q = {.used = true, .type = pick_type(c), .since = os_now()};
	unsigned int slot = 0;
	uint64_t offset = 0;

	while (slot < CLIENT_DEPTH && c->request[slot].used)
		slot++;
	if (slot == CLIENT_DEPTH)
		return;
	if (q.type != PROTO_FLUSH) {
		if (!pick_range(c, &q))
			return;
		offset = c->base + (uint64_t)q.page * CLIENT_PAGE;
		if (rng_chance(&c->rng, 3))
			spoil(c, &q, &offset);
	}
	/* The slot in the low bits; no two are alike. */
	q.cookie = c->made++ * CLIENT_DEPTH + slot;
	put_request(c, &q, offset);
	expect(c, &q);
	c->request[slot] = q;
	c->under_way++;
}

/* Replies. */

/* Bytes that the reply in c->in takes, as far as it is known; 0: take more first. */
static uint32_t reply_size(struct client *c, struct client_request **ret_request)
{
	struct proto_reply wire;
	struct client_request *q;

	if (c->in_size < sizeof(wire))
		return 0;
	memcpy(&wire, c->in, sizeof(wire));
	CHECK(wire.magic == htobe32(PROTO_REPLY_MAGIC), "%#x after %" PRIu64 " replies",
	      be32toh(wire.magic), c->answered);
	q = &c->request[wire.cookie % CLIENT_DEPTH];
	CHECK(q->used && q->cookie == wire.cookie, "cookie %" PRIu64 " is not asked", wire.cookie);
	CHECK(be32toh(wire.error) == q->error, "type %u: error %u, not %u", q->type,
	      be32toh(wire.error), q->error);
	*ret_request = q;
	return (uint32_t)sizeof(wire) +
	       (q->type == PROTO_READ && q->error == 0 ? q->pages * CLIENT_PAGE : 0);
}

static void check_reply(struct client *c, struct client_request *q, uint32_t size)
{
	uint64_t offset = (uint64_t)q->page * CLIENT_PAGE, took;

	if (size > sizeof(struct proto_reply))
		CHECK(memcmp(c->in + sizeof(struct proto_reply), c->bytes + offset,
			     size - sizeof(struct proto_reply)) == 0,
		      "%u pages at page %u are not what was written", q->pages, q->page);
	memset(c->busy + q->page, false, q->pages);
	q->used = false;
	c->under_way--;
	took = os_now() - q->since;
	if (took > c->longest)
		__atomic_store_n(&c->longest, took, __ATOMIC_RELAXED);
	bump(&c->answered, 1);
	c->in_size = 0;
}

/* Take no more than the reply that it is part of. */
static bool receive(struct client *c)
{
	struct client_request *q = NULL;
	uint32_t size = reply_size(c, &q);
	uint32_t most = (size ? size : (uint32_t)sizeof(struct proto_reply)) - c->in_size;
	ssize_t n = recv(c->socket, c->in + c->in_size, most, 0);

	if (n < 0 && errno == EAGAIN)
		return false;
	CHECK(n > 0, "the connection was cut off: %zd, errno %d", n, errno);
	c->in_size += (uint32_t)n;
	size = reply_size(c, &q);
	if (size > 0 && c->in_size == size)
		check_reply(c, q, size);
	return true;
}

static bool send_some(struct client *c)
{
	size_t most = c->out_size - c->out_at;
	ssize_t n;

	if (most == 0)
		return false;
	/* Now and then a request comes in pieces. */
	if (rng_chance(&c->rng, 20))
		most = rng_between(&c->rng, 1, most);
	n = send(c->socket, c->out + c->out_at, most, MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN)
		return false;
	CHECK(n > 0, "the connection was cut off: errno %d", errno);
	c->out_at += (uint32_t)n;
	return true;
}

bool client_turn(struct client *c, bool more, int milliseconds)
{
	struct pollfd fd = {.fd = c->socket, .events = POLLIN};
	bool went;

	if (more && c->out_at == c->out_size)
		make_request(c);
	went = send_some(c);
	went = receive(c) || went;
	if (went)
		return true;
	if (c->out_at < c->out_size)
		fd.events |= POLLOUT;
	return poll(&fd, 1, milliseconds) > 0;
}

void client_disconnect(struct client *c)
{
	struct proto_request wire = {
		.magic = htobe32(PROTO_REQUEST_MAGIC),
		.type = htobe16(PROTO_DISC),
	};

	CHECK(send(c->socket, &wire, sizeof(wire), MSG_NOSIGNAL) == sizeof(wire), "errno %d",
	      errno);
}
