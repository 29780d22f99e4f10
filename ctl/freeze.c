/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 64

/* What the keeper has frozen. */
struct frozen {
	int fds[MOST];
	size_t count;
};

static void thaw(struct frozen *frozen)
{
	while (frozen->count > 0)
		ioctl(frozen->fds[--frozen->count], FITHAW, 0);
}

static int freeze_one(struct frozen *frozen, const char *point)
{
	int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, FIFREEZE, 0) == 0) {
		frozen->fds[frozen->count++] = fd;
		return 0;
	}
	r = errno == EBUSY ? 0 : -errno; /* EBUSY: frozen already */
	close(fd);
	return r;
}

static int freeze_all(struct frozen *frozen, char *const *points, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = freeze_one(frozen, points[i]);
	if (r < 0)
		thaw(frozen);
	return r;
}

/* Until the other end of the pipe is closed. False: nothing was heard for too long. */
static bool wait_for_end(int fd, int patience)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[64];

	for (;;) {
		int n = poll(&p, 1, patience);

		if (n == 0)
			return false;
		if (n > 0 && read(fd, buf, sizeof(buf)) <= 0)
			return true;
	}
}

/*
 * The keeper takes its orders from the pipe alone; no signal but SIGKILL ends it. Its status: 0 when it
 * was asked to thaw.
 */
static _Noreturn void keep(char *const *points, size_t count, int patience, int orders, int answers)
{
	struct frozen frozen = {.count = 0};
	bool asked = false;
	sigset_t all;
	int r;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	r = freeze_all(&frozen, points, count);
	if (write(answers, &r, sizeof(r)) == sizeof(r) && r == 0)
		asked = wait_for_end(orders, patience);
	thaw(&frozen);
	_exit(asked ? 0 : 1);
}

/* Its end of both pipes is the keeper's alone from then on. */
static int start_keeper(struct freeze *freeze, char *const *points, size_t count, int patience,
			const int orders[2], const int answers[2])
{
	int r = -ECHILD;

	freeze->keeper = fork();
	if (freeze->keeper < 0) {
		r = -errno;
		freeze->keeper = 0;
	} else if (freeze->keeper == 0) {
		close(orders[1]);
		close(answers[0]);
		keep(points, count, patience, orders[0], answers[1]);
	}
	close(orders[0]);
	close(answers[1]);
	freeze->pipe = orders[1];
	if (freeze->keeper > 0 && read(answers[0], &r, sizeof(r)) != sizeof(r))
		r = -ECHILD; /* it was killed */
	close(answers[0]);
	return r;
}

int freeze_begin(struct freeze *freeze, char *const *points, size_t count, int patience)
{
	int orders[2], answers[2], r;

	*freeze = (struct freeze){0};
	if (count > MOST)
		return -E2BIG;
	if (pipe2(orders, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	if (pipe2(answers, O_CLOEXEC) < 0) {
		r = -errno;
		close(orders[0]);
		close(orders[1]);
		return r;
	}
	r = start_keeper(freeze, points, count, patience, orders, answers);
	if (r < 0 && freeze->keeper == 0)
		close(freeze->pipe);
	else if (r < 0)
		freeze_end(freeze);
	return r;
}

void freeze_stir(struct freeze *freeze)
{
	/* That a keeper is gone is seen at the end. */
	if (freeze->keeper > 0 && write(freeze->pipe, "", 1) < 0)
		return;
}

bool freeze_end(struct freeze *freeze)
{
	int status = 0;

	if (freeze->keeper == 0)
		return true;
	close(freeze->pipe);
	while (waitpid(freeze->keeper, &status, 0) < 0 && errno == EINTR)
		;
	*freeze = (struct freeze){0};
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
