/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * notify: the service manager's side of sd_notify(3), for tests.
 *
 *	notify SOCKET
 *
 * Binds SOCKET, prints "listening", and then every word that arrives, one a line. On SIGTERM it
 * prints what has been sent by then, and ends.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

static int listen_on(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		errx(2, "%s: too long", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "%s", path);
	return fd;
}

static int catch_sigterm(void)
{
	sigset_t mask;
	int fd;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	fd = signalfd(-1, &mask, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");
	return fd;
}

static void print_all(int fd)
{
	char words[8192];
	ssize_t len;

	while ((len = recv(fd, words, sizeof(words) - 1, 0)) >= 0) {
		words[len] = '\0';
		printf("%s%s", words, len > 0 && words[len - 1] == '\n' ? "" : "\n");
	}
	if (errno != EAGAIN)
		err(1, "recv");
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	bool end = false;

	if (argc != 2)
		errx(2, "usage: notify SOCKET");
	fds[0].fd = listen_on(argv[1]);
	fds[1].fd = catch_sigterm();
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("listening");
	while (!end) {
		if (poll(fds, 2, -1) < 0)
			err(1, "poll");
		end = fds[1].revents != 0;
		print_all(fds[0].fd);
	}
	return 0;
}
