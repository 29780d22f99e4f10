/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: sizes are printed as util-linux prints them, and columns are read as it reads them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/columns.h"
#include "ctl/size.h"

static void human_is(uint64_t bytes, const char *text)
{
	char buf[CTL_SIZE_TEXT];

	assert_string_equal(ctl_size_human(bytes, buf), text);
}

static void test_human(void **state)
{
	human_is(0, "0B");
	human_is(1, "1B");
	human_is(1023, "1023B");
	human_is(1024, "1K");
	human_is(1024 + 50, "1K");
	human_is(1024 + 52, "1.1K");
	human_is(1536, "1.5K");
	human_is(4096, "4K");
	human_is(UINT64_C(3) << 29, "1.5G");
	human_is((UINT64_C(1) << 20) - 1, "1M");
	human_is((UINT64_C(1) << 20) - 51, "1M");
	human_is((UINT64_C(1) << 20) - 52, "1023.9K");
	human_is((UINT64_C(1) << 40) - 1, "1T");
	human_is(UINT64_C(5) << 40, "5T");
	human_is(UINT64_C(1) << 60, "1E");
	human_is(UINT64_MAX, "16E");
}

static void test_digits(void **state)
{
	char buf[CTL_SIZE_TEXT];

	assert_string_equal(ctl_size_text(1536, true, buf), "1536");
	assert_string_equal(ctl_size_text(1536, false, buf), "1.5K");
	assert_string_equal(ctl_size_text(UINT64_MAX, true, buf), "18446744073709551615");
}

static void test_ratio(void **state)
{
	assert_true(ctl_ratio(3, 2) == 1.5);
	assert_true(ctl_ratio(3, 0) == 0);
}

static void columns_are(const struct ctl_columns *columns, const enum ctl_column *expected,
			size_t count)
{
	assert_int_equal(columns->count, count);
	assert_memory_equal(columns->column, expected, count * sizeof(*expected));
}

static void test_columns(void **state)
{
	static const enum ctl_column two[] = {COLUMN_DATA, COLUMN_MEM_LIMIT};
	static const enum ctl_column three[] = {COLUMN_DATA, COLUMN_MEM_LIMIT, COLUMN_DATA};
	struct ctl_columns columns, before;
	const char *bad;
	size_t len;

	ctl_columns_default(&columns);
	before = columns;
	assert_int_equal(ctl_columns_parse("+STATE", &columns, &bad, &len), 0);
	assert_int_equal(columns.count, before.count + 1);
	assert_int_equal(columns.column[before.count], COLUMN_STATE);
	assert_int_equal(ctl_columns_parse("data,Mem-Limit", &columns, &bad, &len), 0);
	columns_are(&columns, two, 2);
	assert_int_equal(ctl_columns_parse("+DATA", &columns, &bad, &len), 0);
	columns_are(&columns, three, 3);
}

static void column_is_refused(const char *list, const char *name)
{
	struct ctl_columns columns = {.count = 1, .column = {COLUMN_DATA}};
	const char *bad = NULL;
	size_t len = 99;

	assert_int_equal(ctl_columns_parse(list, &columns, &bad, &len), -ENOENT);
	assert_int_equal(len, strlen(name));
	assert_memory_equal(bad, name, len);
	assert_int_equal(columns.count, 1);
}

static void test_columns_refused(void **state)
{
	struct ctl_columns columns;
	const char *bad;
	size_t len;
	int ret = 0;

	column_is_refused("", "");
	column_is_refused("+", "");
	column_is_refused("DAT", "DAT");
	column_is_refused("DATAS,NAME", "DATAS");
	column_is_refused("NAME,,DATA", "");
	column_is_refused("NAME,+DATA", "+DATA");
	column_is_refused("NAME ,DATA", "NAME ");
	ctl_columns_all(&columns);
	assert_int_equal(columns.count, COLUMN_COUNT);
	for (int i = 0; i < COLUMN_COUNT && ret == 0; i++)
		ret = ctl_columns_parse("+NAME", &columns, &bad, &len);
	assert_int_equal(ret, 0);
	assert_int_equal(ctl_columns_parse("+NAME", &columns, &bad, &len), -E2BIG);
}

/* Each has its name, which reads as itself. */
static void test_names(void **state)
{
	for (int i = 0; i < COLUMN_COUNT; i++) {
		struct ctl_columns columns;
		const char *bad;
		size_t len;

		assert_int_equal(ctl_columns_parse(ctl_column_name((enum ctl_column)i), &columns,
						   &bad, &len),
				 0);
		assert_int_equal(columns.column[0], i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_human),		cmocka_unit_test(test_digits),
		cmocka_unit_test(test_ratio),		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_columns_refused), cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
