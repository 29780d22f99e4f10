/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: attached devices are found by their identifiers in what the kernel shows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attach/attach.h"
#include "tests/attach/tree.h"

#define UNTOUCHED (-77)

static void test_find(void **state)
{
	const char *root = *state;
	int index = UNTOUCHED;

	tree_file(root, "/sys/block/nbd0/size", "0\n");
	tree_file(root, "/sys/block/nbd3/backend", "zcram:zcram1\n");
	tree_file(root, "/sys/block/nbd12/backend", "zcram:zcram10\n");
	tree_file(root, "/sys/block/nbd4/backend", "\n");
	tree_file(root, "/sys/block/sda/backend", "zcram:zcram1\n");
	tree_file(root, "/sys/block/nbd/backend", "zcram:zcram1\n");
	tree_file(root, "/sys/block/nbd3p1/backend", "zcram:zcram1\n");

	assert_int_equal(attach_find(root, "zcram:zcram1", &index), 0);
	assert_int_equal(index, 3);
	assert_int_equal(attach_find(root, "zcram:zcram10", &index), 0);
	assert_int_equal(index, 12);
	index = UNTOUCHED;
	assert_int_equal(attach_find(root, "zcram:zcram", &index), -ENOENT);
	assert_int_equal(attach_find(root, "zcram:zcram2", &index), -ENOENT);
	assert_int_equal(index, UNTOUCHED);
}

static void test_no_sysfs(void **state)
{
	size_t count = 1;
	int *indexes, index;

	assert_int_equal(attach_find(*state, "zcram:zcram0", &index), -ENOENT);
	assert_int_equal(attach_list(*state, ATTACH_PREFIX, &indexes, &count), -ENOENT);
	assert_int_equal(count, 1);
}

static void test_list(void **state)
{
	const char *root = *state;
	size_t count;
	int *indexes;

	tree_directory(root, "/sys/block");
	assert_int_equal(attach_list(root, ATTACH_PREFIX, &indexes, &count), 0);
	assert_int_equal(count, 0);
	assert_null(indexes);

	tree_file(root, "/sys/block/nbd10/backend", "zcram:zcram0\n");
	tree_file(root, "/sys/block/nbd9/backend", "zcram:zcram7\n");
	tree_file(root, "/sys/block/nbd2/backend", "another:zcram:\n");
	tree_file(root, "/sys/block/nbd1/backend", "zcram:zcram1\n");
	assert_int_equal(attach_list(root, ATTACH_PREFIX, &indexes, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(indexes[0], 1);
	assert_int_equal(indexes[1], 9);
	assert_int_equal(indexes[2], 10);
	free(indexes);
}

static void test_identifier(void **state)
{
	char buf[16] = "untouched", line[ATTACH_IDENTIFIER_SIZE + 8];

	tree_file(*state, "/sys/block/nbd0/backend", "zcram:zcram0\n");
	tree_file(*state, "/sys/block/nbd1/backend", "\n");
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	tree_file(*state, "/sys/block/nbd2/backend", line);

	assert_int_equal(attach_identifier(*state, 0, buf, 12), -ENOSPC);
	assert_int_equal(attach_identifier(*state, 1, buf, sizeof(buf)), -ENOENT);
	assert_int_equal(attach_identifier(*state, 2, buf, sizeof(buf)), -ENOSPC);
	assert_int_equal(attach_identifier(*state, 3, buf, sizeof(buf)), -ENOENT);
	assert_string_equal(buf, "untouched");
	assert_int_equal(attach_identifier(*state, 0, buf, 13), 0);
	assert_string_equal(buf, "zcram:zcram0");
}

static void test_size(void **state)
{
	static const char *const wrong[] = {
		"", "\n", "x\n", "12x\n", "99999999999999999999\n", "36028797018963969\n"};
	uint64_t size = 77;

	tree_file(*state, "/sys/block/nbd0/size", "2097152\n");
	assert_int_equal(attach_size(*state, 0, &size), 0);
	assert_int_equal(size, 1 << 30);
	tree_file(*state, "/sys/block/nbd0/size", "0\n");
	assert_int_equal(attach_size(*state, 0, &size), 0);
	assert_int_equal(size, 0);
	size = 77;
	assert_int_equal(attach_size(*state, 1, &size), -ENODEV);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		tree_file(*state, "/sys/block/nbd0/size", wrong[i]);
		assert_int_equal(attach_size(*state, 0, &size), -EPROTO);
	}
	assert_int_equal(size, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_no_sysfs, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_list, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_identifier, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_size, tree_setup, tree_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
