/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/backing/export.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/check.h"

#define ARGS_MAX	 16
#define LISTEN_FDS_START 3 /* sd_listen_fds(3) */

void export_init(struct export *e)
{
	*e = (struct export){0};
	snprintf(e->socket, sizeof(e->socket), "/tmp/zcram-backing-%d.sock", (int)getpid());
	snprintf(e->uri, sizeof(e->uri), "nbd+unix:///?socket=%s", e->socket);
	unlink(e->socket);
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
		      listen(fd, 16) == 0,
	      "%s", path);
	return fd;
}

static _Noreturn void become_nbdkit(int fd, const char *const *args)
{
	char *argv[ARGS_MAX + 3] = {(char *)(uintptr_t) "nbdkit", (char *)(uintptr_t) "-f"};
	char pid[32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; args[i] && i < ARGS_MAX; i++)
		argv[2 + i] = (char *)(uintptr_t)args[i];
	if (fd == LISTEN_FDS_START)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, LISTEN_FDS_START);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	execvp("nbdkit", argv);
	_exit(127);
}

void export_start(struct export *e, const char *const *args)
{
	int fd = listen_at(e->socket);

	e->pid = fork();
	CHECK(e->pid >= 0, "fork");
	if (e->pid == 0)
		become_nbdkit(fd, args);
	close(fd);
}

void export_signal(struct export *e, int signal)
{
	CHECK(e->pid > 0 && kill(e->pid, signal) == 0, "signal");
	if (signal == SIGKILL || signal == SIGSTOP)
		CHECK(waitpid(e->pid, NULL, WUNTRACED) == e->pid, "wait");
	if (signal == SIGKILL)
		e->pid = 0;
}

void export_fini(struct export *e)
{
	if (e->pid > 0)
		export_signal(e, SIGKILL);
	unlink(e->socket);
}
