/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a region with anything in it is refused, or taken up without a crash, and nothing
 * outside the disk is asked for.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd/region.h"
#include "tests/lib/check.h"
#include "tests/nbd-loop/fuzz.h"
#include "tests/nbd-loop/served.h"

#define SIZE 65536
#define DATA 65536

/* A request that a server could have left, at AT in the client's stream; the input says in what state. */
static void leave_request(struct region *region, struct input *in, unsigned int index)
{
	struct region_entry *entry = &region->entry[index];

	*entry = (struct region_entry){
		.state = (uint32_t)input_take(in, 1) % ENTRY_STATES,
		.page = (uint32_t)(input_take(in, 1) % (DATA / REGION_PAGE)),
		.reply.magic = htobe32(PROTO_REPLY_MAGIC),
		.reply.error = input_take(in, 1) % 4 ? 0 : htobe32(PROTO_EIO),
		.offset = input_take(in, 2),
		.length = (uint32_t)input_take(in, 2),
		.type = (uint16_t)(input_take(in, 1) % 8),
		.begin = region->parsed,
		.reply_begin = region->sent,
	};
	if (!entry_has_data(entry))
		entry->page = REGION_NO_PAGE;
	region->parsed = entry_end(entry);
}

/* Positions and words anywhere, as the input says. */
static void damage(struct region *region, struct input *in)
{
	uint32_t words = offsetof(struct region, stage) / sizeof(uint32_t);

	region->received = region->parsed - input_take(in, 2) % 256;
	while (in->left > 0) {
		uint32_t at = (uint32_t)input_take(in, 2) % words;
		uint32_t value = (uint32_t)input_take(in, at % 2 ? 1 : 4);

		memcpy((char *)region + at * sizeof(value), &value, sizeof(value));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct served served;
	const char *why;
	unsigned int requests = (unsigned int)input_take(&in, 1) % 8;
	int r;

	served_init(&served, SIZE, DATA);
	served.options.workers = 1;
	for (unsigned int i = 0; i < requests; i++)
		leave_request(served.region, &in, i * 16 + (unsigned int)input_take(&in, 1) % 16);
	damage(served.region, &in);
	/* Whoever is there takes no replies. */
	close(served.client);
	served.client = -1;
	r = nbd_loop_new(&served.options, &served.loop, &why);
	CHECK(r == 0 || (why && r == -EUCLEAN) || why, "%d", r);
	if (r == 0) {
		r = nbd_loop_run(served.loop);
		CHECK(r == NBD_LOOP_CLOSED || r == -EPROTO, "%d", r);
		nbd_loop_free(served.loop);
	}
	served_fini(&served);
	return 0;
}
