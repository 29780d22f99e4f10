/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what is frozen is thawed, when it is asked for, when whoever wanted it is killed, and
 * when nothing is heard of him; what cannot be frozen leaves nothing frozen behind.
 *
 * On an ext4 of its own, in a mount namespace of its own; skipped where that may not be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/freeze.h"

#define SKIP	77
#define PATIENT 3600000

static char top[] = "/tmp/zcram-test-XXXXXX"; /* a tmpfs, which cannot be frozen */
static char disk[64], twice[64];	      /* an ext4, mounted at both */

static bool is_frozen(void)
{
	int fd = open(disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	assert_true(fd >= 0);
	r = ioctl(fd, FIFREEZE, 0);
	if (r == 0)
		assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	else
		assert_int_equal(errno, EBUSY);
	close(fd);
	return r < 0;
}

static void test_asked(void **state)
{
	char *points[] = {disk, twice};
	struct freeze freeze;

	(void)state;
	assert_false(is_frozen());
	assert_int_equal(freeze_begin(&freeze, points, 2, PATIENT), 0);
	assert_true(is_frozen());
	/* More often than a pipe holds, if nobody read it. */
	for (unsigned int i = 0; i < 100000; i++)
		freeze_stir(&freeze);
	assert_true(is_frozen());
	assert_true(freeze_end(&freeze));
	assert_false(is_frozen());
	assert_true(freeze_end(&freeze));
}

static void test_unheard(void **state)
{
	char *points[] = {disk};
	struct freeze freeze;
	siginfo_t ended;

	(void)state;
	assert_int_equal(freeze_begin(&freeze, points, 1, 1), 0);
	assert_int_equal(waitid(P_PID, (id_t)freeze.keeper, &ended, WEXITED | WNOWAIT), 0);
	assert_false(is_frozen());
	freeze_stir(&freeze);
	assert_false(freeze_end(&freeze));
}

/* The keeper has whatever this process had open: when it has gone, the pipe is at its end. */
static void test_killed(void **state)
{
	char *points[] = {disk};
	int ends[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		struct freeze freeze;

		if (freeze_begin(&freeze, points, 1, PATIENT) == 0 && write(ends[1], "f", 1) == 1)
			pause();
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_true(is_frozen());
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	assert_false(is_frozen());
}

/* Signals that would end others are not for the keeper. */
static void test_signals(void **state)
{
	char *points[] = {disk};
	struct freeze freeze;

	(void)state;
	assert_int_equal(freeze_begin(&freeze, points, 1, PATIENT), 0);
	kill(freeze.keeper, SIGTERM);
	kill(freeze.keeper, SIGINT);
	kill(freeze.keeper, SIGHUP);
	assert_true(is_frozen());
	assert_true(freeze_end(&freeze));
	assert_false(is_frozen());
}

static void test_impossible(void **state)
{
	char *points[] = {disk, top}, *none[] = {disk, (char[]){"/nowhere"}}, *many[65];
	struct freeze freeze;

	(void)state;
	assert_int_equal(freeze_begin(&freeze, points, 2, PATIENT), -EOPNOTSUPP);
	assert_false(is_frozen());
	assert_int_equal(freeze_begin(&freeze, none, 2, PATIENT), -ENOENT);
	assert_false(is_frozen());
	for (size_t i = 0; i < 65; i++)
		many[i] = disk;
	assert_int_equal(freeze_begin(&freeze, many, 65, PATIENT), -E2BIG);
	assert_false(is_frozen());
}

/* By somebody else, who will thaw it. */
static void test_frozen(void **state)
{
	int fd = open(disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *points[] = {disk};
	struct freeze freeze;

	(void)state;
	assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
	assert_int_equal(freeze_begin(&freeze, points, 1, PATIENT), 0);
	assert_true(freeze_end(&freeze));
	assert_true(is_frozen());
	assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	close(fd);
}

/* Have what all tests need. False: it may not be had. */
static bool make_disk(void)
{
	char command[512];
	struct stat inside, outside;

	snprintf(disk, sizeof(disk), "%s/disk", top);
	snprintf(twice, sizeof(twice), "%s/twice", top);
	snprintf(command, sizeof(command),
		 "cd %s && truncate -s 8M image && mkfs.ext4 -q image && mkdir disk twice && "
		 "mount -o loop image disk && mount --bind disk twice",
		 top);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", top, "tmpfs", 0, NULL) < 0)
		return false;
	/* Nothing but our own is ever frozen. */
	return system(command) == 0 && stat(disk, &inside) == 0 && stat(top, &outside) == 0 &&
	       inside.st_dev != outside.st_dev;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked),	   cmocka_unit_test(test_unheard),
		cmocka_unit_test(test_killed),	   cmocka_unit_test(test_signals),
		cmocka_unit_test(test_impossible), cmocka_unit_test(test_frozen),
	};
	int status = SKIP;

	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(top) == NULL)
		return EXIT_FAILURE;
	if (make_disk())
		status = cmocka_run_group_tests(tests, NULL, NULL);
	else
		puts("SKIP: no file system of our own can be mounted");
	umount2(twice, MNT_DETACH);
	umount2(disk, MNT_DETACH);
	umount2(top, MNT_DETACH);
	rmdir(top);
	return status;
}
