/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram-bench-nbd: random 4 KiB reads or writes on an NBD export, DEPTH of them under way at a
 * time.
 *
 * What it writes are pages of the input, a random one each time: fio can repeat one buffer or make
 * data up, and to a server that compresses, what it is given is what it is measured on.
 */
#include <err.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/input.h"
#include "bench/numbers.h"

struct request {
	unsigned char page[PAGE_SIZE];
	bool done;
};

struct load {
	struct nbd_handle *nbd;
	struct input input;
	bool write;
	uint64_t pages, state, done;
	unsigned int under_way;
};

/* Called with libnbd's lock held: no place to send the next one from. */
static int completed(void *opaque, int *error)
{
	struct request *request = opaque;

	if (*error)
		errx(EXIT_FAILURE, "a request failed: %s", strerror(*error));
	request->done = true;
	return 1; /* the command is retired */
}

static void submit(struct load *load, struct request *request)
{
	uint64_t offset = random_next(&load->state) % load->pages * PAGE_SIZE;
	nbd_completion_callback callback = {.callback = completed, .user_data = request};
	int64_t cookie;

	request->done = false;
	if (load->write)
		cookie = nbd_aio_pwrite(load->nbd,
					input_page(&load->input, random_next(&load->state)),
					PAGE_SIZE, offset, callback, 0);
	else
		cookie = nbd_aio_pread(load->nbd, request->page, PAGE_SIZE, offset, callback, 0);
	if (cookie < 0)
		errx(EXIT_FAILURE, "%s", nbd_get_error());
	load->under_way++;
}

static void run(struct load *load, struct request *requests, uint64_t depth, uint64_t end)
{
	for (uint64_t i = 0; i < depth; i++)
		submit(load, &requests[i]);
	while (load->under_way > 0) {
		if (nbd_poll(load->nbd, -1) < 0)
			errx(EXIT_FAILURE, "%s", nbd_get_error());
		for (uint64_t i = 0; i < depth; i++) {
			if (!requests[i].done)
				continue;
			requests[i].done = false;
			load->under_way--;
			load->done++;
			if (now_ns() < end)
				submit(load, &requests[i]);
		}
	}
}

int main(int argc, char **argv)
{
	struct load load = {.state = 1};
	struct request *requests;
	uint64_t depth, since;
	int64_t size;

	if (argc != 6 || (strcmp(argv[1], "read") != 0 && strcmp(argv[1], "write") != 0))
		errx(EXIT_FAILURE, "usage: %s read|write URI DEPTH MILLISECONDS INPUT", argv[0]);
	load.write = strcmp(argv[1], "write") == 0;
	depth = parse_number("DEPTH", argv[3]);
	input_load(&load.input, argv[5], 0);
	load.nbd = nbd_create();
	if (!load.nbd || nbd_connect_uri(load.nbd, argv[2]) < 0)
		errx(EXIT_FAILURE, "%s", nbd_get_error());
	size = nbd_get_size(load.nbd);
	load.pages = size < 0 ? 0 : (uint64_t)size / PAGE_SIZE;
	requests = calloc(depth, sizeof(*requests));
	if (!requests || load.pages == 0)
		errx(EXIT_FAILURE, "%s", requests ? "an export with no page" : "no memory");

	since = now_ns();
	run(&load, requests, depth, since + parse_number("MILLISECONDS", argv[4]) * 1000000);
	printf("%.0f\n", (double)load.done * 1e9 / (double)(now_ns() - since));

	nbd_shutdown(load.nbd, 0);
	nbd_close(load.nbd);
	free(requests);
	return EXIT_SUCCESS;
}
