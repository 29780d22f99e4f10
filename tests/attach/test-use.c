/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: what a device is used for is found: swap, mounts, holders, also of its partitions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attach/attach.h"
#include "tests/attach/tree.h"

#define SWAPS_HEAD "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

/* A device nobody uses. */
static int setup(void **state)
{
	tree_setup(state);
	tree_file(*state, "/sys/block/nbd1/size", "2048\n");
	tree_file(*state, "/sys/block/nbd1/pid", "4711\n");
	tree_directory(*state, "/sys/block/nbd1/holders");
	tree_file(*state, "/proc/swaps", SWAPS_HEAD);
	tree_file(*state, "/proc/self/mountinfo",
		  "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n");
	return 0;
}

static void described_as(const struct attach_use *use, const char *text)
{
	char *described = attach_use_describe(use);

	assert_string_equal(described, text);
	free(described);
}

static void test_unused(void **state)
{
	struct attach_use use;

	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_false(attach_is_used(&use));
	assert_int_equal(use.pid, 4711);
	described_as(&use, "by nobody");
	attach_use_free(&use);
	attach_use_free(&use);
	assert_int_equal(attach_use(*state, 2, &use), -ENODEV);
}

static void test_swap(void **state)
{
	struct attach_use use;

	tree_file(*state, "/proc/swaps",
		  SWAPS_HEAD
		  "/dev/nbd10                              partition\t1\t1\t1\n"
		  "/dev/nbd1                               partition\t1048572\t204800\t7\n"
		  "/var/nbd1                               file\t\t5\t5\t-2\n");
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_true(use.swap);
	assert_true(attach_is_used(&use));
	assert_int_equal(use.swap_size, 1048572ULL << 10);
	assert_int_equal(use.swap_used, 204800ULL << 10);
	assert_int_equal(use.swap_priority, 7);
	described_as(&use, "as swap (200.0M in it)");
	attach_use_free(&use);
}

static void test_swap_on_partition(void **state)
{
	struct attach_use use;

	tree_file(*state, "/proc/swaps", SWAPS_HEAD "/dev/nbd1p2 partition\t4\t0\t-2\n");
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_true(use.swap);
	attach_use_free(&use);
	tree_file(*state, "/proc/swaps",
		  SWAPS_HEAD "/dev/nbd1px partition\t4\t0\t-2\n"
			     "/dev/nbd1p partition\t4\t0\t-2\n");
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_false(use.swap);
	attach_use_free(&use);
}

/* As the kernel shows it when the mount namespace that it was looked up in is no more. */
static void test_swap_of_another_namespace(void **state)
{
	struct attach_use use;

	tree_file(*state, "/proc/swaps", SWAPS_HEAD "/nbd1 partition\t8\t4\t-2\n");
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_true(use.swap);
	assert_int_equal(use.swap_used, 4ULL << 10);
	attach_use_free(&use);
	tree_file(*state, "/proc/swaps",
		  SWAPS_HEAD "/nbd1 file\t8\t4\t-2\n"
			     "/x/nbd1 partition\t8\t4\t-2\n");
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_false(use.swap);
	attach_use_free(&use);
}

static void test_no_swap_in_the_kernel(void **state)
{
	struct attach_use use;
	char *path;

	assert_true(asprintf(&path, "%s/proc/swaps", (char *)*state) > 0);
	assert_int_equal(remove(path), 0);
	free(path);
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_false(use.swap);
	attach_use_free(&use);
}

static void test_mounts(void **state)
{
	struct attach_use use;

	/* btrfs has a device number of its own. */
	tree_file(*state, "/proc/self/mountinfo",
		  "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		  "31 22 43:32 / /srv/with\\040space rw shared:2 - ext4 /dev/nbd1 rw,discard\n"
		  "32 22 0:44 / /srv/btrfs rw shared:3 - btrfs /dev/nbd1p1 rw\n"
		  "33 22 43:320 / /srv/other rw shared:4 - ext4 /dev/nbd10 rw\n"
		  "34 22 0:45 / /srv/none rw shared:5 - tmpfs nbd1 rw\n");
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_int_equal(use.mount_count, 2);
	assert_string_equal(use.mounts[0], "/srv/with space");
	assert_string_equal(use.mounts[1], "/srv/btrfs");
	assert_true(attach_is_used(&use));
	assert_false(use.swap);
	described_as(&use, "mounted on /srv/with space");
	attach_use_free(&use);
}

static void test_holders(void **state)
{
	struct attach_use use;

	tree_directory(*state, "/sys/block/nbd1/nbd1p1/holders/dm-3");
	tree_directory(*state, "/sys/block/nbd1/nbd2p1/holders/dm-4");
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_int_equal(use.holder_count, 1);
	assert_string_equal(use.holders[0], "dm-3");
	assert_true(attach_is_used(&use));
	described_as(&use, "by dm-3");
	attach_use_free(&use);
	tree_directory(*state, "/sys/block/nbd1/holders/md0");
	assert_int_equal(attach_use(*state, 1, &use), 0);
	assert_int_equal(use.holder_count, 2);
	attach_use_free(&use);
}

static void test_unattached(void **state)
{
	struct attach_use use;

	tree_file(*state, "/sys/block/nbd5/size", "0\n");
	assert_int_equal(attach_use(*state, 5, &use), 0);
	assert_int_equal(use.pid, 0);
	assert_false(attach_is_used(&use));
	attach_use_free(&use);
}

/* Nobody may take what cannot be read for what is not there. */
static void test_unreadable(void **state)
{
	struct attach_use use;
	char *path;

	assert_true(asprintf(&path, "%s/proc/self/mountinfo", (char *)*state) > 0);
	assert_int_equal(remove(path), 0);
	free(path);
	assert_int_equal(attach_use(*state, 1, &use), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unused, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_swap, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_swap_on_partition, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_swap_of_another_namespace, setup,
						tree_teardown),
		cmocka_unit_test_setup_teardown(test_no_swap_in_the_kernel, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_mounts, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_holders, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_unattached, setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, tree_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
