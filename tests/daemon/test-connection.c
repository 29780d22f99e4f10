/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: connections are made, given to a child and to nobody else, taken from a process that has
 * them, and closed; no descriptor is left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/child.h"
#include "daemon/connection.h"
#include "nbd/loop.h"

#define COUNT 3

static struct loop loop;

static unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* Skip where the kernel gives us none. */
static void make(struct connections *connections)
{
	char *why = NULL;
	int r = connections_open(connections, COUNT, &why);

	free(why);
	if (r == -EPERM || r == -ENOSYS)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(connections->count, COUNT);
}

static bool is_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static void test_open(void **state)
{
	unsigned int before = count_descriptors();
	struct connections connections;
	struct nbd_loop_stats stats;
	char c = 'x';

	make(&connections);
	for (unsigned int i = 0; i < COUNT; i++) {
		struct connection *one = &connections.at[i];

		assert_int_equal(fcntl(one->memory, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(one->ring, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(one->server, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(one->client, F_GETFD), FD_CLOEXEC);
		nbd_loop_get_stats(one->region, &stats);
		assert_int_equal(stats.requests, 0);
	}
	connections_shut_down(&connections);
	assert_int_equal(read(connections.at[1].client, &c, 1), 0);
	connections_close_clients(&connections);
	assert_int_equal(connections.at[2].client, -1);
	connections_close(&connections);
	assert_int_equal(connections.count, 0);
	assert_int_equal(count_descriptors(), before);
}

/* How many of OURS a child has that is started with INHERITED of them. */
static int count_inherited(const int *ours, size_t count, size_t inherited)
{
	const char *argv[] = {"sh", "-c", NULL, NULL};
	struct child_job job = {
		.argv = argv, .output = -1, .inherited = ours, .nr_inherited = inherited};
	char script[1024] = "n=0; for fd in";
	struct child child;

	for (size_t i = 0; i < count; i++)
		snprintf(script + strlen(script), 16, " %d", ours[i]);
	strcat(script, "; do [ -e /proc/self/fd/$fd ] && n=$((n + 1)); done; exit $n");
	argv[2] = script;
	assert_int_equal(child_start(&child, &loop, &job), 0);
	while (child.running)
		loop_turn(&loop, UINT64_MAX);
	assert_int_equal(child.code, CLD_EXITED);
	return child.status;
}

static void test_inherited(void **state)
{
	struct connections connections;
	int fds[CONNECTIONS_DESCRIPTORS];

	make(&connections);
	assert_int_equal(connections_descriptors(&connections, fds), 3 * COUNT);
	assert_int_equal(count_inherited(fds, 3 * COUNT, 3 * COUNT), 3 * COUNT);
	assert_int_equal(count_inherited(fds, 3 * COUNT, 2), 2);
	/* The child's doing is not ours. */
	assert_int_equal(count_inherited(fds, 3 * COUNT, 0), 0);
	connections_close(&connections);
}

/* A process that has nothing but its copies, and lives until it is killed. */
static pid_t hold(void)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			pause();
		_exit(1);
	}
	return pid;
}

static void test_adopt(void **state)
{
	struct connections connections, taken;
	struct connection_numbers numbers[COUNT];
	unsigned int before = count_descriptors();
	char *why = NULL;
	int pidfd, r;
	pid_t pid;

	make(&connections);
	for (unsigned int i = 0; i < COUNT; i++) {
		numbers[i] = (struct connection_numbers){
			.memory = connections.at[i].memory,
			.ring = connections.at[i].ring,
			.server = connections.at[i].server,
		};
	}
	pid = hold();
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(pidfd >= 0);
	r = connections_adopt(&taken, pidfd, numbers, COUNT, &why);
	if (r == 0) {
		for (unsigned int i = 0; i < COUNT; i++) {
			assert_true(is_same(taken.at[i].memory, connections.at[i].memory));
			assert_true(is_same(taken.at[i].server, connections.at[i].server));
			assert_int_equal(fcntl(taken.at[i].ring, F_GETFD), FD_CLOEXEC);
			assert_int_equal(taken.at[i].size, connections.at[i].size);
		}
		connections_close(&taken);
		/* All or nothing. */
		numbers[COUNT - 1].ring = 12345;
		assert_int_equal(connections_adopt(&taken, pidfd, numbers, COUNT, &why), -EBADF);
		assert_int_equal(taken.count, 0);
		free(why);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pidfd);
	connections_close(&connections);
	assert_int_equal(count_descriptors(), before);
	/* A container may forbid it. */
	if (r == -EPERM || r == -ENOSYS) {
		free(why);
		skip();
	}
	assert_int_equal(r, 0);
}

static void note_end(struct child *child, void *opaque)
{
	*(bool *)opaque = true;
}

/* A process that is none of ours is watched by its pidfd; signals reach it. */
static void test_watch(void **state)
{
	struct child child;
	bool ended = false;
	pid_t pid = hold();

	assert_int_equal(child_adopt(&child, &loop, pid, (int)syscall(SYS_pidfd_open, pid, 0)), 0);
	child.on_exit = note_end;
	child.opaque = &ended;
	assert_true(child.running);
	child_signal(&child, SIGKILL);
	while (child.running)
		loop_turn(&loop, UINT64_MAX);
	assert_true(ended);
	assert_false(child_succeeded(&child));
	waitpid(pid, NULL, 0);
}

static int setup(void **state)
{
	return loop_open(&loop);
}

static int teardown(void **state)
{
	loop_close(&loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_watch),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
