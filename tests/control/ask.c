/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client of a control socket, for scripts.
 *
 * ask PATH: send each line of standard input, and print the line that comes back.
 * ask PATH half N: have N connections, each with half a request sent.
 * ask PATH deaf N: have N connections that ask until no more is taken, and read nothing.
 * These two then print a line, and wait until standard input ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST "{\"version\":1,\"command\":\"stat\"}\n"

static void give_up(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static int open_one(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		give_up(path);
	return fd;
}

static void converse(int fd)
{
	FILE *answers = fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
			give_up("send");
		if (getline(&line, &size, answers) < 0)
			give_up("no answer");
		fputs(line, stdout);
		fflush(stdout);
	}
	free(line);
	fclose(answers);
}

static void ask_without_reading(int fd)
{
	size_t len = strlen(REQUEST), at = 0;
	ssize_t n;

	while ((n = send(fd, &REQUEST[at], len - at, MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0)
		at = (at + (size_t)n) % len;
	if (errno != EAGAIN)
		give_up("send");
}

int main(int argc, char **argv)
{
	char byte;

	if (argc == 2) {
		converse(open_one(argv[1]));
		return EXIT_SUCCESS;
	}
	if (argc != 4) {
		fputs("usage: ask PATH [half N | deaf N]\n", stderr);
		return EXIT_FAILURE;
	}
	for (int i = 0; i < atoi(argv[3]); i++) {
		int fd = open_one(argv[1]);

		if (strcmp(argv[2], "deaf") == 0)
			ask_without_reading(fd);
		else if (send(fd, REQUEST, strlen(REQUEST) / 2, MSG_NOSIGNAL) < 0)
			give_up("send");
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return EXIT_SUCCESS;
}
