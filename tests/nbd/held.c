/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads beside writes that are held: held URI WRITES. Writes to the device what does not compress, WRITES at a time,
 * and reads its first page all the while, until many such reads have been answered and no write has: then it
 * prints a line, waits for one, and for the writes to end well. A write that fails ends it with status 1:
 * a read that has to wait for writes is answered after the first of them was refused.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <libnbd.h>

#define PAGE	   4096
#define BYTES	   65536
#define MOST	   64
#define WRITES_MAX 1000 /* more than fits */

/* In a row; they take longer than a write is slowed near the limit. */
#define READS 2000

static struct nbd_handle *nbd;
static unsigned int under_way;

static void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, nbd_get_error() ? nbd_get_error() : "");
	exit(EXIT_FAILURE);
}

/* What no codec makes smaller, and no other write has: xorshift. */
static void fill(uint64_t *words, size_t count, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < count; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
}

/* Take what has been answered; all of it was done. */
static void retire(void)
{
	int64_t cookie;

	while ((cookie = nbd_aio_peek_command_completed(nbd)) > 0) {
		if (nbd_aio_command_completed(nbd, (uint64_t)cookie) < 0)
			give_up("write");
		under_way--;
	}
}

static void begin_write(unsigned int number)
{
	static uint64_t data[MOST][BYTES / sizeof(uint64_t)];
	uint64_t *buf = data[number % MOST];

	fill(buf, BYTES / sizeof(uint64_t), number + 1);
	if (nbd_aio_pwrite(nbd, buf, BYTES, (uint64_t)(number + 1) * BYTES, NBD_NULL_COMPLETION,
			   0) < 0)
		give_up("write");
	under_way++;
}

/* Have WRITES under way until none is answered any more. */
static void write_until_held(unsigned int writes)
{
	unsigned int number = 0, reads = 0;
	char page[PAGE];

	while (reads < READS) {
		unsigned int before;

		for (; under_way < writes; number++) {
			if (number == WRITES_MAX)
				give_up("no write is held");
			begin_write(number);
		}
		before = under_way;
		if (nbd_pread(nbd, page, sizeof(page), 0, 0) < 0)
			give_up("read");
		retire();
		reads = under_way == before ? reads + 1 : 0;
	}
}

int main(int argc, char **argv)
{
	unsigned int writes = argc > 2 ? (unsigned int)atoi(argv[2]) : 0;

	if (writes < 1 || writes > MOST)
		give_up("arguments");
	nbd = nbd_create();
	if (nbd == NULL || nbd_connect_uri(nbd, argv[1]) < 0)
		give_up("connect");
	write_until_held(writes);
	puts("held");
	fflush(stdout);
	if (getchar() == EOF)
		give_up("no word");
	while (under_way > 0) {
		if (nbd_poll(nbd, -1) < 0)
			give_up("write");
		retire();
	}
	nbd_shutdown(nbd, 0);
	nbd_close(nbd);
	return EXIT_SUCCESS;
}
