/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: clients that do not keep to the protocol, and regions and rings that are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd/region.h"
#include "tests/nbd-loop/fixture.h"
#include "tests/nbd-loop/served.h"

static void bad_magic(void **state)
{
	struct served *s = *state;
	struct proto_request wire = served_request(PROTO_READ, 0, 0, 0, 512);

	wire.magic ^= 1;
	served_start(s);
	served_send(s, &wire, sizeof(wire));
	assert_int_equal(served_end(s), -EPROTO);
	/* Nobody goes on with it. */
	assert_int_equal(served_open(s), -EUCLEAN);
}

static void endless_data(void **state)
{
	struct served *s = *state;
	struct proto_request wire = served_request(PROTO_WRITE, 0, 0, 0, UINT32_MAX);

	served_start(s);
	served_send(s, &wire, sizeof(wire));
	assert_int_equal(served_end(s), -EPROTO);
}

/* In a header; in data; and before anything was said. */
static void gone(void **state)
{
	struct proto_request wire = served_request(PROTO_WRITE, 0, 0, 0, 4096);
	size_t sizes[] = {0, 1, sizeof(wire)};

	for (size_t i = 0; i < 3; i++) {
		struct served s;

		served_init(&s, SIZE, DATA);
		served_start(&s);
		served_send(&s, &wire, sizes[i]);
		close(s.client);
		s.client = -1;
		assert_int_equal(served_end(&s), NBD_LOOP_CLOSED);
		assert_int_equal(s.disk.calls, 0);
		served_fini(&s);
	}
}

/* Asks for more than the socket holds, and leaves without it. */
static void takes_no_replies(void **state)
{
	struct served *s = *state;
	struct proto_request wire = served_request(PROTO_READ, 0, 0, 0, 65536);

	served_start(s);
	for (int i = 0; i < 200; i++)
		served_send(s, &wire, sizeof(wire));
	close(s->client);
	s->client = -1;
	assert_int_equal(served_end(s), NBD_LOOP_CLOSED);
}

/* A half-closed connection is answered to its end. */
static void half_closed(void **state)
{
	static uint8_t data[65536];
	struct served *s = *state;
	struct proto_request wire = served_request(PROTO_READ, 0, 0, 0, sizeof(data));
	struct proto_reply reply;

	served_start(s);
	served_send(s, &wire, sizeof(wire));
	shutdown(s->client, SHUT_WR);
	served_receive(s, &reply, sizeof(reply));
	served_receive(s, data, sizeof(data));
	assert_int_equal(served_end(s), NBD_LOOP_CLOSED);
}

/* A region of which each field that matters has been changed in turn. */

static void refuse(struct served *s)
{
	const char *why = NULL;

	assert_int_equal(region_validate(s->region, s->region_size, &why), -EUCLEAN);
	assert_non_null(why);
	assert_int_equal(served_open(s), -EUCLEAN);
}

/* Two requests of which one is DONE and one REPLYING, as a server could have left them. */
static void left_behind(struct served *s)
{
	struct region *region = s->region;

	memset(region->entry, 0, sizeof(region->entry));
	region->received = region->parsed = 1000;
	region->sent = 2000;
	region->end = REGION_OPEN;
	region->entry[3] = (struct region_entry){
		.state = ENTRY_REPLYING,
		.page = 4,
		.reply.magic = htobe32(PROTO_REPLY_MAGIC),
		.length = 8192,
		.type = PROTO_READ,
		.begin = 100,
		.reply_begin = 1990,
	};
	region->entry[5] = (struct region_entry){
		.state = ENTRY_TAKEN,
		.page = 9,
		.length = 512,
		.type = PROTO_READ,
		.begin = 128,
	};
	region->entry[7] = region->entry[3];
	region->entry[7].page = 20;
	region->entry[7].reply_begin = 1990 + 16 + 8192;
}

#define REFUSED(change)                                         \
	do {                                                    \
		struct region saved_header = *region;           \
		change;                                         \
		refuse(s);                                      \
		memcpy(region, &saved_header, sizeof(*region)); \
	} while (0)

static void damaged_region(void **state)
{
	struct served *s = *state;
	struct region *region = s->region;
	const char *why;

	left_behind(s);
	assert_int_equal(region_validate(s->region, s->region_size, &why), 0);
	REFUSED(region->magic++);
	REFUSED(region->version++);
	REFUSED(region->header_size++);
	REFUSED(region->entries++);
	REFUSED(region->stage_size++);
	REFUSED(region->pages++);
	REFUSED(region->pages = 0);
	REFUSED(region->end = 99);
	REFUSED(region->ring.sq_tail = 1u << 30);
	REFUSED(region->ring.cqes = 0);
	REFUSED(region->checksum++);
	REFUSED(region->ring.flags = 1);
	REFUSED(region->received = UINT64_MAX);
	REFUSED(region->received += REGION_STAGE + 1);
	REFUSED(region->parsed = 1000 + (UINT64_C(1) << 40));
	REFUSED(region->sent = UINT64_MAX);
	REFUSED(region->sent = 1989); /* a gap */
	REFUSED(region->entry[3].state = ENTRY_STATES);
	REFUSED(region->entry[3].type = PROTO_DISC);
	REFUSED(region->entry[3].begin = 999);
	REFUSED(region->received = 120); /* before its header ends */
	REFUSED(region->entry[3].page = DATA / REGION_PAGE);
	REFUSED(region->entry[3].page = DATA / REGION_PAGE - 1);
	REFUSED(region->entry[3].page = REGION_NO_PAGE);
	REFUSED(region->entry[3].page = 8); /* and 9, which is another's */
	REFUSED(region->entry[3].length = UINT32_MAX);
	REFUSED(region->entry[3].length = 0);
	REFUSED(region->entry[3].reply.magic = 0);
	REFUSED(region->entry[3].reply_begin = UINT64_MAX);
	REFUSED(region->entry[3].reply_begin--);      /* a gap behind it */
	REFUSED(region->entry[7].reply_begin--);      /* overlap */
	REFUSED(region->entry[5].type = PROTO_FLUSH); /* with pages */
	REFUSED(region->entry[5].type = PROTO_WRITE; region->entry[5].begin = 970; /* incomplete */
		region->received = 990; region->parsed = 1600);
}

/* What could have been left behind is taken up: a reply in its midst, and a request again. */
static void taken_up(void **state)
{
	static uint8_t data[8192], expected[8192];
	struct served *s = *state;
	struct region *region = s->region;
	struct nbd_loop_stats stats;
	struct proto_reply reply;

	left_behind(s);
	memset(expected, 0x3c, sizeof(expected));
	memcpy(region->data + 4 * REGION_PAGE, expected, sizeof(expected));
	memcpy(region->data + 20 * REGION_PAGE, expected, sizeof(expected));
	memset(s->disk.bytes, 7, 512);
	served_start(s);
	/* 10 of the header's 16 bytes had been sent. */
	served_receive(s, &reply, 6);
	served_receive(s, data, sizeof(data));
	assert_memory_equal(data, expected, sizeof(data));
	served_receive(s, &reply, sizeof(reply));
	assert_int_equal(be32toh(reply.magic), PROTO_REPLY_MAGIC);
	served_receive(s, data, sizeof(data));
	assert_memory_equal(data, expected, sizeof(data));
	served_receive(s, &reply, sizeof(reply));
	served_receive(s, data, 512);
	assert_int_equal(data[511], 7);
	nbd_loop_stop(s->loop);
	assert_int_equal(served_end(s), NBD_LOOP_STOPPED);
	nbd_loop_get_stats(s->region, &stats);
	assert_int_equal(stats.repeated, 1);
}

/* Something else in the ring's place. */
static void wrong_ring(void **state)
{
	struct served *s = *state;

	s->options.ring = eventfd(0, EFD_CLOEXEC);
	assert_true(served_open(s) < 0);
	close(s->options.ring);
	s->options.ring = -1;
	assert_int_equal(served_open(s), -EBADF);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_magic),   TEST(endless_data),	 TEST(gone),	 TEST(takes_no_replies),
		TEST(half_closed), TEST(damaged_region), TEST(taken_up), TEST(wrong_ring),
	};

	served_need_ring();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
