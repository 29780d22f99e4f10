/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: a run directory is one zcramd's, for its owner alone, and what others left in it stays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/rundir.h"
#include "tests/attach/tree.h"

static char base[128];

static int setup(void **state)
{
	tree_setup(state);
	snprintf(base, sizeof(base), "%s/run", (char *)*state);
	return setenv("ZCRAM_RUN_DIR", base, 1);
}

static struct rundir make(const char *name)
{
	struct rundir dir;
	char *why = NULL;

	assert_int_equal(rundir_init(&dir, name, &why), 0);
	assert_null(why);
	return dir;
}

static void locks(struct rundir *dir)
{
	char *why = NULL;

	assert_int_equal(rundir_lock(dir, &why), 0);
	assert_null(why);
	assert_true(dir->lock >= 0);
}

/* It is refused with -R and a line that has TEXT in it. */
static void is_refused(struct rundir *dir, int r, const char *text)
{
	char *why = NULL;

	assert_int_equal(rundir_lock(dir, &why), r);
	assert_non_null(why);
	if (strstr(why, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, text);
	free(why);
	assert_int_equal(dir->lock, -1);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void test_paths(void **state)
{
	struct rundir dir = make("zcram7");
	char expected[160], *why = NULL;

	snprintf(expected, sizeof(expected), "%s/zcram7/nbd.sock", base);
	assert_string_equal(dir.files[RUNDIR_NBD], expected);
	assert_false(exists(base));
	setenv("ZCRAM_RUN_DIR", "", 1);
	dir = make("zcram7");
	assert_string_equal(dir.path, "/run/zcram/zcram7");

	memset(base, 'x', 100);
	base[0] = '/';
	base[100] = '\0';
	setenv("ZCRAM_RUN_DIR", base, 1);
	assert_int_equal(rundir_init(&dir, "zcram7", &why), -ENAMETOOLONG);
	free(why);
}

static void test_lock(void **state)
{
	struct rundir dir = make("zcram0"), second = make("zcram0"), other = make("zcram1");
	struct stat st;
	char text[64];

	locks(&dir);
	assert_int_equal(stat(dir.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	snprintf(text, sizeof(text), "already running, pid %d", (int)getpid());
	is_refused(&second, -EEXIST, text);
	assert_true(exists(dir.files[RUNDIR_LOCK]));
	locks(&other);
	assert_int_equal(rundir_unlock(&dir), 0);
	assert_false(exists(dir.path));
	assert_true(exists(other.path));
	locks(&second);
	assert_int_equal(rundir_unlock(&second), 0);
	assert_int_equal(rundir_unlock(&other), 0);
}

/* One who was killed leaves everything, and the lock is free. */
static void test_left(void **state)
{
	struct rundir dir = make("zcram0");
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		locks(&dir);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	tree_file(*state, "/run/zcram0/nbd.sock", "");
	assert_true(exists(dir.files[RUNDIR_LOCK]));
	locks(&dir);
	assert_true(exists(dir.files[RUNDIR_NBD]));
	/* It is somebody else's: unlocking leaves it alone. */
	assert_int_equal(rundir_unlock(&dir), 0);
	assert_true(exists(dir.files[RUNDIR_NBD]));
	assert_false(exists(dir.files[RUNDIR_LOCK]));
	locks(&dir);
	assert_int_equal(rundir_remove(&dir, RUNDIR_NBD), 0);
	assert_int_equal(rundir_remove(&dir, RUNDIR_NBD), 0);
	assert_int_equal(rundir_unlock(&dir), 0);
	assert_false(exists(dir.path));
}

static void test_not_private(void **state)
{
	struct rundir dir = make("zcram0");

	assert_int_equal(mkdir(base, 0700), 0);
	assert_int_equal(chmod(base, 0722), 0);
	is_refused(&dir, -ENOTDIR, "not a directory that only its owner");
	assert_int_equal(chmod(base, 0755), 0);
	assert_int_equal(symlink("/tmp", dir.path), 0);
	is_refused(&dir, -ENOTDIR, "not a directory that only its owner");
	assert_int_equal(unlink(dir.path), 0);
	assert_int_equal(mkdir(dir.path, 0700), 0);
	assert_int_equal(symlink("elsewhere", dir.files[RUNDIR_LOCK]), 0);
	is_refused(&dir, -ELOOP, "cannot be made");
	assert_int_equal(unlink(dir.files[RUNDIR_LOCK]), 0);
	assert_int_equal(rmdir(dir.path), 0);
	tree_file(*state, "/run/zcram0", "a file");
	is_refused(&dir, -ENOTDIR, "not a directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_paths, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_left, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_not_private, setup, tree_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
