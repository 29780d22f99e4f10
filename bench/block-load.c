/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram-bench-block: the work of the memory benchmark on a block device of the kernel, page by
 * page, direct, from one thread: as swap does it, and on the same pages as the engine's.
 *
 * Prints the seconds it took, or for read and write the requests a second.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/input.h"
#include "bench/numbers.h"

#define RANDOM_NS UINT64_C(1000000000) /* of random reads or writes */

static struct input input;
static int fd;

static void write_at(uint64_t page, const void *content, size_t size)
{
	if (pwrite(fd, content, size, (off_t)(page * PAGE_SIZE)) != (ssize_t)size)
		err(EXIT_FAILURE, "pwrite");
}

/* In 128 KiB requests: the fill is the one phase whose speed stands beside nbdcopy's. */
static void fill(uint64_t pages)
{
	for (uint64_t i = 0, n; i < pages; i += n) {
		n = pages - i < 32 ? pages - i : 32;
		write_at(i, input_page(&input, i), n * PAGE_SIZE);
	}
}

static void overwrite(uint64_t pages)
{
	uint64_t state = 1;

	for (uint64_t i = 0; i < 2 * pages; i++) {
		uint64_t page = random_next(&state) % pages;

		write_at(page, input_page(&input, random_next(&state)), PAGE_SIZE);
	}
}

static void trim(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t range[] = {i * PAGE_SIZE, PAGE_SIZE};

		if (input_is_trimmed(i) && ioctl(fd, BLKDISCARD, range) < 0)
			err(EXIT_FAILURE, "BLKDISCARD");
	}
}

static uint64_t random_pages(uint64_t pages, bool write)
{
	static unsigned char page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
	uint64_t state = 1, end = now_ns() + RANDOM_NS, requests = 0;

	for (; now_ns() < end; requests++) {
		uint64_t i = random_next(&state) % pages;

		if (write)
			write_at(i, input_page(&input, random_next(&state)), PAGE_SIZE);
		else if (pread(fd, page, PAGE_SIZE, (off_t)(i * PAGE_SIZE)) != PAGE_SIZE)
			err(EXIT_FAILURE, "pread");
	}
	return requests;
}

int main(int argc, char **argv)
{
	const char *what = argc == 5 ? argv[1] : "";
	uint64_t since, pages, requests = 0;

	if (argc != 5)
		errx(EXIT_FAILURE, "usage: %s fill|overwrite|trim|read|write DEVICE PAGES INPUT",
		     argv[0]);
	pages = parse_number("PAGES", argv[3]);
	fd = open(argv[2], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		err(EXIT_FAILURE, "%s", argv[2]);
	input_load(&input, argv[4], 0);

	since = now_ns();
	if (strcmp(what, "fill") == 0)
		fill(pages);
	else if (strcmp(what, "overwrite") == 0)
		overwrite(pages);
	else if (strcmp(what, "trim") == 0)
		trim(pages);
	else if (strcmp(what, "read") == 0 || strcmp(what, "write") == 0)
		requests = random_pages(pages, what[0] == 'w');
	else
		errx(EXIT_FAILURE, "%s: there is no such work", what);
	if (requests)
		printf("%.0f\n", (double)requests * 1e9 / (double)(now_ns() - since));
	else
		printf("%.3f\n", (double)(now_ns() - since) / 1e9);
	return EXIT_SUCCESS;
}
