/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * probe: how long does a device keep a reader waiting?
 *
 *	probe DEVICE
 *
 * Prints "ready", and reads a page at random from the device itself, past all caches, again and again, a
 * millisecond apart.
 * On SIGUSR1 it prints "longest MS of N", the longest of the N reads since the last time, without the one
 * that is under way. It ends with SIGTERM, or with an error when a read fails. All of its memory is
 * locked, so that it waits for nothing but its reads.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/rng.h"

#define PAGE 4096

static volatile sig_atomic_t asked, ended;

static void on_signal(int signal)
{
	if (signal == SIGTERM)
		ended = 1;
	else
		asked = 1;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	static uint8_t page[PAGE] __attribute__((aligned(PAGE)));
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct rng rng = rng_make(1);
	uint64_t longest = 0, count = 0;
	off_t size;
	int fd;

	if (argc != 2)
		errx(2, "usage: probe DEVICE");
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || (size = lseek(fd, 0, SEEK_END)) < PAGE)
		err(1, "%s", argv[1]);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		err(1, "mlockall");
	puts("ready");
	while (!ended) {
		off_t at = (off_t)rng_below(&rng, (uint64_t)size / PAGE) * PAGE;
		uint64_t since = now_us(), took;

		if (pread(fd, page, PAGE, at) != PAGE)
			err(1, "%s: page at %jd", argv[1], (intmax_t)at);
		took = now_us() - since;
		longest = took > longest ? took : longest;
		count++;
		if (asked) {
			asked = 0;
			printf("longest %" PRIu64 " of %" PRIu64 "\n", longest / 1000, count);
			longest = count = 0;
		}
		poll(NULL, 0, 1);
	}
	return 0;
}
