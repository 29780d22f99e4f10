/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: what a client that keeps to the protocol is answered by the loop, and handovers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "nbd/region.h"
#include "tests/nbd-loop/client.h"
#include "tests/nbd-loop/fixture.h"
#include "tests/nbd-loop/served.h"

/* The client says good-bye, and the loop ends by that. */
static void part(struct served *s)
{
	struct proto_request wire = served_request(PROTO_DISC, 0, 0, 0, 0);

	served_send(s, &wire, sizeof(wire));
	assert_int_equal(served_end(s), NBD_LOOP_CLOSED);
}

static void fill(uint8_t *buf, size_t size, uint64_t seed)
{
	struct rng rng = rng_make(seed);

	rng_bytes(&rng, buf, size);
}

static void each_command(void **state)
{
	static uint8_t data[DATA], back[DATA];
	struct served *s = *state;

	fill(data, sizeof(data), 1);
	served_start(s);
	assert_int_equal(served_ask(s, PROTO_WRITE, 0, 4096, DATA, data, NULL), 0);
	assert_int_equal(served_ask(s, PROTO_READ, 0, 4096, DATA, NULL, back), 0);
	assert_memory_equal(back, data, DATA);
	assert_int_equal(served_ask(s, PROTO_READ, 0, 4097, 3, NULL, back), 0);
	assert_memory_equal(back, data + 1, 3);
	assert_int_equal(served_ask(s, PROTO_WRITE, PROTO_FLAG_FUA, SIZE - 1, 1, data, NULL), 0);
	assert_int_equal(served_ask(s, PROTO_READ, 0, SIZE - 1, 1, NULL, back), 0);
	assert_int_equal(back[0], data[0]);
	assert_int_equal(served_ask(s, PROTO_TRIM, PROTO_FLAG_FUA, 0, 8192, NULL, NULL), 0);
	assert_int_equal(served_ask(s, PROTO_WRITE_ZEROES, PROTO_FLAG_NO_HOLE, 8192, SIZE - 8192,
				    NULL, NULL),
			 0);
	assert_int_equal(served_ask(s, PROTO_FLUSH, 0, 0, 0, NULL, NULL), 0);
	/* Each was a call, and one more for each FUA. */
	part(s);
	assert_int_equal(s->disk.calls, 10);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(s->disk.bytes[i], 0);
}

static void refused(void **state)
{
	static uint8_t data[DATA + 1];
	struct served *s = *state;

	served_start(s);
	assert_int_equal(served_ask(s, 5, 0, 0, 0, NULL, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, 77, 0, 0, 512, NULL, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, PROTO_READ, 1 << 3, 0, 512, NULL, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, PROTO_READ, 0, 0, 0, NULL, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, PROTO_READ, 0, 0, DATA + 1, NULL, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, PROTO_READ, 0, SIZE - 511, 512, NULL, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, PROTO_READ, 0, UINT64_MAX, 512, NULL, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, PROTO_FLUSH, 0, 0, 1, NULL, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, PROTO_TRIM, 0, 1, UINT32_MAX, NULL, NULL), PROTO_ENOSPC);
	/* Their data is taken, and thrown away. */
	assert_int_equal(served_ask(s, PROTO_WRITE, 0, SIZE, 512, data, NULL), PROTO_ENOSPC);
	assert_int_equal(served_ask(s, PROTO_WRITE, 0, 0, DATA + 1, data, NULL), PROTO_EINVAL);
	assert_int_equal(served_ask(s, PROTO_READ, 0, 0, 512, NULL, data), 0);
	part(s);
	assert_int_equal(s->disk.calls, 1);
}

static void errors(void **state)
{
	static const struct {
		int r;
		uint32_t wire;
	} errors[] = {
		{-EPERM, PROTO_EPERM},
		{-EROFS, PROTO_EPERM},
		{-EIO, PROTO_EIO},
		{-ENOMEM, PROTO_ENOMEM},
		{-EINVAL, PROTO_EINVAL},
		{-ENOSPC, PROTO_ENOSPC},
		{-EDQUOT, PROTO_ENOSPC},
		{-EOVERFLOW, PROTO_EOVERFLOW},
		{-EOPNOTSUPP, PROTO_ENOTSUP},
		{-ESHUTDOWN, PROTO_ESHUTDOWN},
		{-EDOM, PROTO_EIO},
	};
	struct served *s = *state;
	uint8_t data[512] = {0};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		s->disk.fail = errors[i].r;
		served_start(s);
		assert_int_equal(served_ask(s, PROTO_READ, 0, 0, 512, NULL, data), errors[i].wire);
		assert_int_equal(served_ask(s, PROTO_WRITE, 0, 0, 512, data, NULL), errors[i].wire);
		nbd_loop_stop(s->loop);
		assert_int_equal(served_end(s), NBD_LOOP_STOPPED);
	}
}

/* Whatever pieces it comes in. */
static void byte_by_byte(void **state)
{
	struct served *s = *state;
	struct proto_request wire = served_request(PROTO_WRITE, 0, 9, 512, 1000);
	struct proto_reply reply;
	uint8_t data[1000];

	fill(data, sizeof(data), 2);
	served_start(s);
	for (size_t i = 0; i < sizeof(wire); i++)
		served_send(s, (char *)&wire + i, 1);
	for (size_t i = 0; i < sizeof(data); i++)
		served_send(s, data + i, 1);
	served_receive(s, &reply, sizeof(reply));
	assert_int_equal(reply.cookie, 9);
	assert_int_equal(reply.error, 0);
	part(s);
	assert_memory_equal(s->disk.bytes + 512, data, sizeof(data));
}

/* Many requests at once, in all sizes, and pieces, and a client that is slow to take replies. */
static void a_load(void **state)
{
	static struct client client;
	struct served *s = *state;
	struct nbd_loop_stats stats;

	served_start(s);
	client_init(&client, s->client, 3);
	while (client.made < 3000)
		client_turn(&client, true, -1);
	while (!client_is_idle(&client))
		client_turn(&client, false, -1);
	client_disconnect(&client);
	assert_int_equal(served_end(s), NBD_LOOP_CLOSED);
	assert_memory_equal(s->disk.bytes, client.bytes, CLIENT_SIZE);
	nbd_loop_get_stats(s->region, &stats);
	assert_int_equal(stats.requests, 3000);
	assert_int_equal(stats.takeovers, 0);
}

/* The same, executed by the loop's own thread. */
static void all_inline(void **state)
{
	struct served *s = *state;

	s->options.inline_read = s->options.inline_write = CLIENT_MOST;
	a_load(state);
}

static sem_t gate, entered;

static int write_behind_gate(void *opaque, const void *buf, uint64_t offset, uint32_t count)
{
	sem_post(&entered);
	sem_wait(&gate);
	return disk_ops.write(opaque, buf, offset, count);
}

/* What there is no room for is received when there is some again. */
static void no_room(void **state)
{
	static uint8_t data[DATA / 4];
	struct served *s = *state;
	struct nbd_ops ops = disk_ops;
	struct nbd_loop_stats stats;
	struct proto_reply reply;

	sem_init(&gate, 0, 0);
	sem_init(&entered, 0, 0);
	ops.write = write_behind_gate;
	s->options.ops = &ops;
	served_start(s);
	/* Four fill the room, none of them comes to an end, and the socket holds most of the fifth. */
	for (unsigned int i = 0; i < 5; i++) {
		struct proto_request wire =
			served_request(PROTO_WRITE, 0, i, i * sizeof(data), sizeof(data));

		served_send(s, &wire, sizeof(wire));
		served_send(s, data, sizeof(data));
	}
	do
		nbd_loop_get_stats(s->region, &stats);
	while (stats.stalls == 0);
	nbd_loop_get_stats(s->region, &stats); /* what was read before that may be older */
	assert_int_equal(stats.requests, 4);
	for (unsigned int i = 0; i < 5; i++)
		sem_post(&gate);
	for (unsigned int i = 0; i < 5; i++) {
		served_receive(s, &reply, sizeof(reply));
		assert_int_equal(reply.cookie, i);
		assert_int_equal(reply.error, 0);
	}
	part(s);
	nbd_loop_get_stats(s->region, &stats);
	assert_int_equal(stats.stalls, 1);
	assert_int_equal(stats.requests, 5);
	sem_destroy(&gate);
	sem_destroy(&entered);
}

/* However many writes wait for something, a read is answered. */
static void reads_pass_writes(void **state)
{
	struct served *s = *state;
	struct nbd_ops ops = disk_ops;
	struct proto_request wire;
	struct proto_reply reply;
	uint8_t data[512] = {1}, back[512];

	sem_init(&gate, 0, 0);
	sem_init(&entered, 0, 0);
	ops.write = write_behind_gate;
	s->options.ops = &ops;
	s->options.workers = 3;
	served_start(s);
	for (unsigned int i = 1; i <= 5; i++) {
		wire = served_request(PROTO_WRITE, 0, 1, i * 512, 512);
		served_send(s, &wire, sizeof(wire));
		served_send(s, data, sizeof(data));
	}
	sem_wait(&entered);
	sem_wait(&entered);
	assert_int_equal(served_ask(s, PROTO_READ, 0, 0, 512, NULL, back), 0);
	assert_int_equal(back[0], 0);
	for (int i = 0; i < 5; i++)
		sem_post(&gate);
	for (int i = 0; i < 5; i++) {
		served_receive(s, &reply, sizeof(reply));
		assert_int_equal(reply.cookie, 1);
	}
	part(s);
	sem_destroy(&gate);
	sem_destroy(&entered);
}

/* A connection as zcramd makes it. */
#define WHOLE_DATA (2u << 20)

static int setup_whole(void **state)
{
	struct served *s = malloc(sizeof(*s));

	served_init(s, SIZE, WHOLE_DATA);
	*state = s;
	return 0;
}

/* Of so many bytes, and held. */
static void send_write(struct served *s, uint32_t length)
{
	static uint8_t data[NBD_LOOP_REQUEST];
	struct proto_request wire = served_request(PROTO_WRITE, 0, 1, 0, length);

	served_send(s, &wire, sizeof(wire));
	served_send(s, data, length);
}

static void take_write(struct served *s)
{
	struct proto_reply reply;

	served_receive(s, &reply, sizeof(reply));
	assert_int_equal(reply.cookie, 1);
	assert_int_equal(reply.error, 0);
}

#define READS 16

/* Of the largest ones, and more than have room beside the writes'. */
static void check_reads(struct served *s)
{
	static uint8_t back[NBD_LOOP_REQUEST];
	struct proto_request wire = served_request(PROTO_READ, 0, 2, 0, sizeof(back));
	struct proto_reply reply;

	for (int i = 0; i < READS; i++)
		served_send(s, &wire, sizeof(wire));
	for (int i = 0; i < READS; i++) {
		served_receive(s, &reply, sizeof(reply));
		assert_int_equal(reply.cookie, 2);
		served_receive(s, back, sizeof(back));
	}
}

/*
 * Where a client has no more writes under way than nbd_loop_writes() allows, all may be held and reads are
 * answered, whatever sizes the writes have, and in whatever order they come and go.
 */
static void held_writes_leave_room(void **state)
{
	unsigned int writes = nbd_loop_writes(WHOLE_DATA), under_way;
	struct served *s = *state;
	struct nbd_ops ops = disk_ops;
	struct rng rng = rng_make(test_seed(0));

	assert_int_equal(writes, 24);
	sem_init(&gate, 0, 0);
	sem_init(&entered, 0, 0);
	ops.write = write_behind_gate;
	s->options.ops = &ops;
	served_start(s);
	for (under_way = 0; under_way < writes; under_way++)
		send_write(s, NBD_LOOP_REQUEST);
	check_reads(s);
	for (int i = 0; i < 100; i++) {
		unsigned int n = (unsigned int)rng_below(&rng, writes) + 1;

		while (n-- > 0) {
			sem_post(&gate);
			take_write(s);
			under_way--;
			if (rng_below(&rng, 2) == 0)
				check_reads(s);
		}
		while (under_way < writes) {
			send_write(s, (uint32_t)rng_below(&rng, NBD_LOOP_REQUEST) + 1);
			under_way++;
		}
		check_reads(s);
	}
	for (; under_way > 0; under_way--) {
		sem_post(&gate);
		take_write(s);
	}
	part(s);
	sem_destroy(&gate);
	sem_destroy(&entered);
}

static int read_behind_gate(void *opaque, void *buf, uint64_t offset, uint32_t count)
{
	if (offset == 0)
		sem_wait(&gate);
	return disk_ops.read(opaque, buf, offset, count);
}

static bool is_first(void *opaque, uint64_t offset, uint32_t count)
{
	return offset == 0;
}

/* A read that waits for something slow does not keep the loop's thread from all others. */
static void slow_read(void **state)
{
	struct served *s = *state;
	struct nbd_ops ops = disk_ops;
	struct proto_request wire = served_request(PROTO_READ, 0, 1, 0, 512);
	struct proto_reply reply;
	uint8_t back[512];

	sem_init(&gate, 0, 0);
	ops.read = read_behind_gate;
	ops.is_slow = is_first;
	s->options.ops = &ops;
	s->options.inline_read = CLIENT_MOST;
	served_start(s);
	served_send(s, &wire, sizeof(wire));
	assert_int_equal(served_ask(s, PROTO_READ, 0, 512, 512, NULL, back), 0);
	sem_post(&gate);
	served_receive(s, &reply, sizeof(reply));
	assert_int_equal(reply.cookie, 1);
	served_receive(s, back, sizeof(back));
	part(s);
	sem_destroy(&gate);
}

#define HELD 4096

static unsigned int asked; /* whether what is at 0 is slow; atomic */
static bool late;	   /* atomic */

/* What is at 0 becomes so after it was asked for the first time. */
static bool is_slow_soon(void *opaque, uint64_t offset, uint32_t count)
{
	return offset == HELD || (offset == 0 && __atomic_fetch_add(&asked, 1, __ATOMIC_SEQ_CST));
}

static int read_soon_slow(void *opaque, void *buf, uint64_t offset, uint32_t count)
{
	struct served *s = opaque;

	if (offset == HELD) {
		sem_post(&entered);
		sem_wait(&gate);
	}
	if (offset == 0 && pthread_equal(pthread_self(), s->thread))
		store_relaxed(&late, true);
	return disk_ops.read(&s->disk, buf, offset, count);
}

static void send_read(struct served *s, uint64_t cookie, uint64_t offset)
{
	struct proto_request wire = served_request(PROTO_READ, 0, cookie, offset, 512);

	served_send(s, &wire, sizeof(wire));
}

/* Replies of COUNT reads, in any order. Their cookies, a bit each. */
static unsigned int take_reads(struct served *s, unsigned int count)
{
	unsigned int seen = 0;

	while (count-- > 0) {
		struct proto_reply reply;
		uint8_t back[512];

		served_receive(s, &reply, sizeof(reply));
		assert_int_equal(reply.error, 0);
		served_receive(s, back, sizeof(back));
		seen |= 1U << reply.cookie;
	}
	return seen;
}

/* What has become slow when its turn comes is read by a worker, who is woken for it. */
static void slow_at_last(void **state)
{
	struct served *s = *state;
	struct nbd_ops ops = disk_ops;
	uint8_t back[512];

	sem_init(&gate, 0, 0);
	sem_init(&entered, 0, 0);
	ops.read = read_soon_slow;
	ops.is_slow = is_slow_soon;
	s->options.ops = &ops;
	s->options.opaque = s;
	s->options.inline_read = 512;
	served_start(s);
	/* No worker is there to take it: others are answered before it. */
	send_read(s, 1, HELD);
	send_read(s, 2, HELD);
	sem_wait(&entered);
	sem_wait(&entered);
	send_read(s, 3, 0);
	assert_int_equal(served_ask(s, PROTO_READ, 0, 512, 512, NULL, back), 0);
	sem_post(&gate);
	sem_post(&gate);
	assert_int_equal(take_reads(s, 3), 1U << 1 | 1U << 2 | 1U << 3);
	/* Now they sleep, for the most part. */
	for (int i = 0; i < 100; i++) {
		__atomic_store_n(&asked, 0, __ATOMIC_SEQ_CST);
		send_read(s, 3, 0);
		assert_int_equal(take_reads(s, 1), 1U << 3);
	}
	part(s);
	assert_false(load_relaxed(&late));
	sem_destroy(&gate);
	sem_destroy(&entered);
}

static int write_refused(void *opaque, const void *buf, uint64_t offset, uint32_t count)
{
	sem_post(&entered);
	return -ENOSPC;
}

/* Five writes, more than there is room for at a time, all refused. */
static void send_refused(struct served *s)
{
	static uint8_t data[DATA / 4];

	for (unsigned int i = 0; i < 5; i++) {
		struct proto_request wire =
			served_request(PROTO_WRITE, 0, i, i * sizeof(data), sizeof(data));

		served_send(s, &wire, sizeof(wire));
		served_send(s, data, sizeof(data));
	}
	for (unsigned int i = 0; i < 5; i++)
		sem_wait(&entered);
}

static void receive_refused(struct served *s)
{
	unsigned int seen = 0;

	for (unsigned int i = 0; i < 5; i++) {
		struct proto_reply reply;

		served_receive(s, &reply, sizeof(reply));
		assert_int_equal(reply.error, htobe32(PROTO_ENOSPC));
		seen |= 1U << reply.cookie;
	}
	assert_int_equal(seen, 0x1f);
}

/* While answers that refuse wait, there is room for other requests, and those are answered. */
static void refusals_wait(void **state)
{
	struct served *s = *state;
	struct nbd_ops ops = disk_ops;
	struct nbd_loop_stats stats;
	uint8_t back[512];

	sem_init(&entered, 0, 0);
	ops.write = write_refused;
	s->options.ops = &ops;
	s->options.refusal_pace_ms = 3600000;
	served_start(s);
	send_refused(s);
	assert_int_equal(served_ask(s, PROTO_READ, 0, 0, 512, NULL, back), 0);
	assert_int_equal(served_ask(s, PROTO_TRIM, 0, 0, 512, NULL, NULL), 0);
	/* A server that ends has no reason to wait. */
	nbd_loop_stop(s->loop);
	assert_int_equal(served_end(s), NBD_LOOP_STOPPED);
	receive_refused(s);
	s->options.refusal_pace_ms = 1;
	served_start(s);
	for (int i = 0; i < 20; i++) {
		send_refused(s);
		receive_refused(s);
	}
	part(s);
	nbd_loop_get_stats(s->region, &stats);
	assert_int_equal(stats.requests, 5 + 2 + 100);
	assert_int_equal(stats.repeated, 0);
	sem_destroy(&entered);
}

/* Of a request that has come in part, the successor receives the rest. */
static void handover_in_a_request(void **state)
{
	static uint8_t data[100000];
	struct served *s = *state;
	struct proto_request wire = served_request(PROTO_WRITE, 0, 4, 0, sizeof(data));
	struct nbd_loop_stats stats;
	struct proto_reply reply;
	uint8_t back[16];

	fill(data, sizeof(data), 5);
	for (size_t cut = 0; cut < 3; cut++) {
		size_t first = cut == 0 ? 10 : sizeof(wire), some = cut == 2 ? 70000 : 0;

		served_start(s);
		/* A reply says that all before it has been received. */
		assert_int_equal(served_ask(s, PROTO_READ, 0, 0, 16, NULL, back), 0);
		served_send(s, &wire, first);
		served_send(s, data, some);
		nbd_loop_stop(s->loop);
		assert_int_equal(served_end(s), NBD_LOOP_STOPPED);
		served_start(s);
		served_send(s, (char *)&wire + first, sizeof(wire) - first);
		served_send(s, data + some, sizeof(data) - some);
		served_receive(s, &reply, sizeof(reply));
		assert_int_equal(reply.cookie, 4);
		nbd_loop_stop(s->loop);
		assert_int_equal(served_end(s), NBD_LOOP_STOPPED);
		assert_memory_equal(s->disk.bytes, data, sizeof(data));
		memset(s->disk.bytes, 0, sizeof(data));
	}
	nbd_loop_get_stats(s->region, &stats);
	assert_int_equal(stats.takeovers, 5);
}

/* Stopped before it runs, it still returns, and loses nothing. */
static void stopped_at_once(void **state)
{
	struct served *s = *state;
	struct proto_request wire = served_request(PROTO_FLUSH, 0, 8, 0, 0);
	struct proto_reply reply;

	served_send(s, &wire, sizeof(wire));
	assert_int_equal(served_open(s), 0);
	nbd_loop_stop(s->loop);
	assert_int_equal(nbd_loop_run(s->loop), NBD_LOOP_STOPPED);
	nbd_loop_free(s->loop);
	served_start(s);
	served_receive(s, &reply, sizeof(reply));
	assert_int_equal(reply.cookie, 8);
	part(s);
}

static void options_out_of_range(void **state)
{
	struct served *s = *state;
	int ring;

	s->options.workers = NBD_WORKERS_MAX + 1;
	assert_int_equal(served_open(s), -EINVAL);
	assert_int_equal(nbd_loop_prepare(s->region, sizeof(struct region), &ring), -EINVAL);
	assert_int_equal(nbd_loop_prepare(s->region, s->region_size + 1, &ring), -EINVAL);
	nbd_loop_free(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_command),
		TEST(refused),
		TEST(errors),
		TEST(byte_by_byte),
		TEST(a_load),
		TEST(no_room),
		TEST(all_inline),
		TEST(reads_pass_writes),
		cmocka_unit_test_setup_teardown(held_writes_leave_room, setup_whole, teardown),
		TEST(slow_read),
		TEST(slow_at_last),
		TEST(refusals_wait),
		TEST(stopped_at_once),
		TEST(handover_in_a_request),
		TEST(options_out_of_range),
	};

	served_need_ring();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
