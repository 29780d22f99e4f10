/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the lines of mm_stat, io_stat, bd_stat and block_state are, to the blank, those that the
 * kernel's formats make of the same numbers.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/zram.h"
#include "tests/ctl/fixture.h"

/* The text of one file, of these statistics. */
static char *text_of(const char *file, const char *stats)
{
	struct json_object *stat = json_object_new_object();
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	json_object_object_add(stat, "stats", json_tokener_parse(stats));
	ctl_zram_print_stat(out, file, stat);
	assert_int_equal(fclose(out), 0);
	json_object_put(stat);
	return text;
}

static void assert_text(const char *file, const char *stats, const char *expected)
{
	char *text = text_of(file, stats);

	assert_string_equal(text, expected);
	free(text);
}

/* 1000 pages and 24 in the backing store, 200 of them of one word, in 2 MiB, of which the pool takes a quarter more. */
static const char stats[] =
	"{\"pages_same\":200,\"pages_pool\":800,\"pages_backing\":24,\"payload\":2097152,\"pool\":"
	"2621440,"
	"\"mem_limit\":67108864,\"pool_max\":3145728,\"pages_compacted\":17,\"pages_raw\":5,"
	"\"pages_raw_since\":123456789,\"failed_reads\":1,\"failed_writes\":2,\"invalid_io\":3,"
	"\"notify_free\":1234567890,\"metadata\":99999,\"reads\":77}";

static void test_mm_stat(void **state)
{
	/* "%8llu %8llu %8llu %8lu %8ld %8llu %8lu %8llu %8llu\n" */
	assert_text("mm_stat", stats,
		    " 4194304  2097152  2621440 67108864  3145728      200       17        5 "
		    "123456789\n");
	assert_text(
		"mm_stat", "{}",
		"       0        0        0        0        0        0        0        0        "
		"0\n");
}

static void test_io_stat(void **state)
{
	/* "%8llu %8llu %8llu %8llu\n" */
	assert_text("io_stat", stats, "       1        2        3 1234567890\n");
}

static void test_bd_stat(void **state)
{
	/* "%8llu %8llu %8llu\n" */
	assert_text("bd_stat", stats, "       0        0        0\n");
	assert_text("bd_stat",
		    "{\"backing_live\":4097,\"backing_read_bytes\":0,"
		    "\"backing_written\":505678999552}",
		    "       2        0 123456787\n");
}

static void assert_blocks(uint64_t from, const char *blocks, uint64_t now, const char *expected)
{
	struct json_object *stat = fixture_stat(0);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	ctl_zram_print_blocks(out, from, blocks, stat, now);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, expected);
	free(text);
	json_object_put(stat);
}

/* The ages of the fixture: 0 s, 16 s, 2000 s. "%12zd %12lld.%06lu %c%c%c%c%c%c\n" */
static void test_block_state(void **state)
{
	assert_blocks(0, "", 1000, "");
	assert_blocks(0, ".........", 1000, "");
	assert_blocks(299, "s.....p.0hn1pr1d..", 1000,
		      "         299            0.000000 s.....\n"
		      "         301         1000.000000 ......\n"
		      "         302          984.000000 ..h..n\n"
		      "         303          984.000000 ....r.\n"
		      "         304            0.000000 ......\n");
	/* Longer ago than the machine is up; of a class that is not known; idle; of a later server. */
	assert_blocks(999999999999, "p.2p.9prfw..h?!X", 1000,
		      "999999999999            0.000000 ......\n"
		      "1000000000000         1000.000000 ......\n"
		      "1000000000001         1000.000000 ...ir.\n"
		      "1000000000002            0.000000 .w....\n"
		      "1000000000003            0.000000 ..h...\n");
}

static void test_names(void **state)
{
	assert_true(ctl_zram_is_file("mm_stat"));
	assert_true(ctl_zram_is_file("io_stat"));
	assert_true(ctl_zram_is_file("bd_stat"));
	assert_true(ctl_zram_is_file("block_state"));
	assert_false(ctl_zram_is_file("stat"));
	assert_false(ctl_zram_is_file(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mm_stat), cmocka_unit_test(test_io_stat),
		cmocka_unit_test(test_bd_stat), cmocka_unit_test(test_block_state),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
