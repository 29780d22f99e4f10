/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: writes are bounded by what the kernel shows of a device's queue: what differs is set and nothing
 * else, not all of it of a device in use, and not where the kernel would take the number for another.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "attach/attach.h"
#include "tests/attach/tree.h"

#define QUEUE "/sys/block/nbd3/queue/"

static void make(const char *root, const char *scheduler, const char *kib, const char *tags,
		 const char *depth)
{
	tree_file(root, QUEUE "scheduler", scheduler);
	tree_file(root, QUEUE "max_sectors_kb", kib);
	tree_file(root, QUEUE "nr_requests", tags);
	tree_file(root, QUEUE "iosched/async_depth", depth);
}

static void assert_is(const char *root, const char *name, const char *expected)
{
	char path[256], content[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s" QUEUE "%s", root, name);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(content, sizeof(content), file));
	fclose(file);
	assert_string_equal(content, expected);
}

static void assert_bound(const char *root, bool used)
{
	char *why;
	int r = attach_bound_writes(root, 3, 128, 12, used, &why);

	if (r < 0)
		fail_msg("%s", why ? why : "no memory");
	assert_null(why);
}

static void assert_fails(const char *root, bool used, int expected, const char *says)
{
	char *why;

	assert_int_equal(attach_bound_writes(root, 3, 128, 12, used, &why), expected);
	assert_non_null(why);
	assert_string_equal(why, says);
	free(why);
}

/* As nbd has it in 6.12; there the other files are the scheduler's, and come with it. */
static void test_all(void **state)
{
	const char *root = *state;

	make(root, "[none] mq-deadline\n", "1280\n", "256\n", "256\n");
	assert_bound(root, false);
	assert_is(root, "scheduler", "mq-deadline");
	assert_is(root, "max_sectors_kb", "128");
	assert_is(root, "nr_requests", "256\n");
	assert_is(root, "iosched/async_depth", "12");
}

/* As in 6.1, where a device in use needs no more than that. */
static void test_number_alone(void **state)
{
	const char *root = *state;

	make(root, "[mq-deadline] none\n", "128\n", "256\n", "256\n");
	assert_bound(root, true);
	assert_is(root, "scheduler", "[mq-deadline] none\n");
	assert_is(root, "max_sectors_kb", "128\n");
	assert_is(root, "iosched/async_depth", "12");
}

/* What is stricter is somebody's wish. */
static void test_stricter(void **state)
{
	const char *root = *state;

	make(root, "none [mq-deadline]\n", "64\n", "64\n", "8\n");
	assert_bound(root, false);
	assert_is(root, "max_sectors_kb", "64\n");
	assert_is(root, "iosched/async_depth", "8\n");
}

static void test_used(void **state)
{
	const char *root = *state;

	make(root, "[none]\n", "128\n", "128\n", "256\n");
	assert_fails(root, true, -EBUSY,
		     "nbd3: queue/scheduler is not changed while the device is in use");
	make(root, "[mq-deadline]\n", "1280\n", "256\n", "256\n");
	assert_fails(root, true, -EBUSY,
		     "nbd3: queue/max_sectors_kb is not changed while the device is in use");
	assert_is(root, "iosched/async_depth", "256\n");
}

static void test_wrong_kernel(void **state)
{
	const char *root = *state;

	make(root, "[mq-deadline]\n", "128\n", "256\n", "192\n");
	assert_fails(root, false, -EOPNOTSUPP,
		     "nbd3: the mq-deadline of this kernel cannot bound writes");
	assert_is(root, "iosched/async_depth", "192\n");
}

static void test_nothing_there(void **state)
{
	const char *root = *state;

	assert_fails(root, false, -ENOENT,
		     "nbd3: queue/max_sectors_kb cannot be read: No such file or directory");
	make(root, "[none]\n", "many\n", "256\n", "256\n");
	assert_fails(root, false, -EPROTO, "nbd3: queue/max_sectors_kb is \"many\"");
	assert_is(root, "scheduler", "[none]\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all),	 TEST(test_number_alone), TEST(test_stricter),
		TEST(test_used), TEST(test_wrong_kernel), TEST(test_nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
