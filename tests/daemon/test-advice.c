/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: what zcramd reads of the machine: settings that do not suit swap, memory for swapoff. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/protect.h"
#include "daemon/release.h"
#include "daemon/report.h"
#include "daemon/swap.h"
#include "tests/attach/tree.h"

/* What is said on standard error of the machine at ROOT. */
static const char *advice(const char *root)
{
	static char said[1024];
	FILE *file = tmpfile();
	int old = dup(STDERR_FILENO);
	size_t len;

	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	protect_advise(root);
	dup2(old, STDERR_FILENO);
	close(old);
	rewind(file);
	len = fread(said, 1, sizeof(said) - 1, file);
	said[len] = '\0';
	fclose(file);
	return said;
}

#define ZSWAP "/sys/module/zswap/parameters/enabled"
#define BOOST "/proc/sys/vm/watermark_boost_factor"

static void test_advice(void **state)
{
	const char *said;

	assert_string_equal(advice(*state), "");
	tree_file(*state, ZSWAP, "N\n");
	tree_file(*state, BOOST, "0\n");
	assert_string_equal(advice(*state), "");
	tree_file(*state, ZSWAP, "Y\n");
	said = advice(*state);
	assert_non_null(strstr(said, "zcramd: zcram0: zswap is on: pages are compressed twice"));
	assert_null(strstr(said, "watermark"));
	tree_file(*state, ZSWAP, "N\n");
	tree_file(*state, BOOST, "15000\n");
	said = advice(*state);
	assert_non_null(strstr(said, "vm.watermark_boost_factor is not 0"));
	assert_null(strstr(said, "zswap"));
}

static void test_memory(void **state)
{
	assert_int_equal(swap_available_memory(*state), 0);
	tree_file(*state, "/proc/meminfo", "MemTotal: 100 kB\nMemFree: 5 kB\n");
	assert_int_equal(swap_available_memory(*state), 0);
	tree_file(*state, "/proc/meminfo",
		  "MemTotal:      16316412 kB\nMemFree: 5 kB\nMemAvailable:   12345678 kB\nX: 9 "
		  "kB\n");
	assert_int_equal(swap_available_memory(*state), 12345678ULL << 10);
}

static void test_worth_trying(void **state)
{
	struct attach_use use = {.swap = true, .swap_used = 1000};

	assert_false(release_is_worth_trying(&use, 0));
	assert_false(release_is_worth_trying(&use, 999));
	assert_true(release_is_worth_trying(&use, 1000));
	/* A mount takes no memory to go. */
	use.swap = false;
	assert_true(release_is_worth_trying(&use, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_advice, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_memory, tree_setup, tree_teardown),
		cmocka_unit_test(test_worth_trying),
	};

	unsetenv("JOURNAL_STREAM");
	report_device("zcram0");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
