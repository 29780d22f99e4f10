/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hold connections open: hold URI N [BYTES]. Once each has had all of nbdkit's threads at work,
 * reading BYTES (4096) at a time, it prints a line, and then waits until its standard input ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <libnbd.h>

#define MAX_CONNECTIONS 16
#define IN_FLIGHT	64 /* four times nbdkit's threads a connection */

static void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, nbd_get_error() ? nbd_get_error() : "");
	exit(EXIT_FAILURE);
}

static struct nbd_handle *open_one(const char *uri)
{
	struct nbd_handle *nbd = nbd_create();

	if (nbd == NULL || nbd_connect_uri(nbd, uri) < 0)
		give_up("connect");
	return nbd;
}

static void read_at_once(struct nbd_handle *nbd, char *buf, size_t bytes)
{
	for (int i = 0; i < IN_FLIGHT; i++) {
		if (nbd_aio_pread(nbd, buf, bytes, 0, NBD_NULL_COMPLETION, 0) < 0)
			give_up("read");
	}
	while (nbd_aio_in_flight(nbd) > 0) {
		if (nbd_poll(nbd, -1) < 0)
			give_up("read");
		while (nbd_aio_peek_command_completed(nbd) > 0)
			if (nbd_aio_command_completed(
				    nbd, (uint64_t)nbd_aio_peek_command_completed(nbd)) < 0)
				give_up("read");
	}
}

int main(int argc, char **argv)
{
	struct nbd_handle *nbds[MAX_CONNECTIONS];
	int n = argc > 2 ? atoi(argv[2]) : 0;
	size_t bytes = argc > 3 ? (size_t)atol(argv[3]) : 4096;
	char *buf = malloc(bytes);
	char byte;

	if (n < 1 || n > MAX_CONNECTIONS || buf == NULL)
		give_up("arguments");
	for (int i = 0; i < n; i++)
		nbds[i] = open_one(argv[1]);
	for (int i = 0; i < n; i++)
		read_at_once(nbds[i], buf, bytes);
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (int i = 0; i < n; i++) {
		nbd_shutdown(nbds[i], 0);
		nbd_close(nbds[i]);
	}
	free(buf);
	return EXIT_SUCCESS;
}
