/* SPDX-License-Identifier: BSD-3-Clause */
/* The drop-ins that zcramd writes for the units that systemd makes by itself. */
#include <errno.h>
#include <limits.h>
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

#include "common/unit.h"
#include "daemon/dropin.h"

#define UNITS "/run/systemd/system"

static char root[] = "/tmp/zcram-dropin-XXXXXX";

static const char *below(const char *path)
{
	static char full[PATH_MAX];

	assert_true(snprintf(full, sizeof(full), "%s%s", root, path) < (int)sizeof(full));
	return full;
}

static int make_root(void **state)
{
	return mkdtemp(root) == NULL || mkdir(below("/run"), 0755) < 0 ||
	       mkdir(below("/run/systemd"), 0755) < 0 || mkdir(below(UNITS), 0755) < 0;
}

static int remove_root(void **state)
{
	return rmdir(below(UNITS)) < 0 || rmdir(below("/run/systemd")) < 0 ||
	       rmdir(below("/run")) < 0 || rmdir(root) < 0;
}

static void expect_file(const char *path, const char *text)
{
	char found[512] = "";
	struct stat st;
	FILE *file = fopen(below(path), "re");

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	fread(found, 1, sizeof(found) - 1, file);
	fclose(file);
	assert_string_equal(found, text);
}

/* As systemd-escape --path has it. */
static void test_names(void **state)
{
	static const struct {
		const char *path, *suffix, *unit;
	} cases[] = {
		{"/dev/nbd0", "swap", "dev-nbd0.swap"},
		{"/dev/nbd15", "swap", "dev-nbd15.swap"},
		{"/", "mount", "-.mount"},
		{"/srv", "mount", "srv.mount"},
		{"/a-b/c", "mount", "a\\x2db-c.mount"},
		{"/a b", "mount", "a\\x20b.mount"},
		{"/.a/.b", "mount", "\\x2ea-.b.mount"},
		{"/A:b_c.9", "mount", "A:b_c.9.mount"},
		{"/\xc3\xa4\\x", "mount", "\\xc3\\xa4\\x5cx.mount"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *unit = unit_of_path(cases[i].path, cases[i].suffix);

		assert_non_null(unit);
		assert_string_equal(unit, cases[i].unit);
		free(unit);
	}
}

static void test_swap(void **state)
{
	const char *file = UNITS "/dev-nbd3.swap.d/50-zcram.conf";
	mode_t mask = umask(077);
	struct stat st;

	assert_int_equal(dropin_add_swap(root, "zcram7", "/dev/nbd3"), 0);
	umask(mask);
	expect_file(file, "# Made by zcramd.\n[Unit]\nDefaultDependencies=no\n"
			  "After=zcram@zcram7.service\n");
	assert_int_equal(stat(below(UNITS "/dev-nbd3.swap.d"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);

	/* One that was left is replaced. */
	assert_int_equal(dropin_add_swap(root, "zcram0", "/dev/nbd3"), 0);
	expect_file(file, "# Made by zcramd.\n[Unit]\nDefaultDependencies=no\n"
			  "After=zcram@zcram0.service\n");

	dropin_remove_swap(root, "/dev/nbd3");
	assert_int_equal(access(below(UNITS "/dev-nbd3.swap.d"), F_OK), -1);
	dropin_remove_swap(root, "/dev/nbd3");
}

static void test_mount(void **state)
{
	const char *other = UNITS "/srv-x.mount.d/90-mine.conf";
	FILE *file;

	assert_int_equal(dropin_add_mount(root, "zcram1", "/srv/x"), 0);
	expect_file(UNITS "/srv-x.mount.d/50-zcram.conf",
		    "# Made by zcramd.\n[Unit]\nAfter=zcram@zcram1.service\n");

	/* What others have put there stays. */
	file = fopen(below(other), "we");
	assert_non_null(file);
	fclose(file);
	dropin_remove_mount(root, "/srv/x");
	assert_int_equal(access(below(UNITS "/srv-x.mount.d/50-zcram.conf"), F_OK), -1);
	assert_int_equal(unlink(below(other)), 0);
	assert_int_equal(rmdir(below(UNITS "/srv-x.mount.d")), 0);
}

/* Where systemd is not the init there is nothing to do; where it cannot be written, that is said. */
static void test_nowhere(void **state)
{
	FILE *file;

	assert_int_equal(dropin_add_swap(below("/none"), "zcram0", "/dev/nbd0"), 0);
	assert_int_equal(access(below("/none"), F_OK), -1);

	file = fopen(below(UNITS "/dev-nbd0.swap.d"), "we");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(dropin_add_swap(root, "zcram0", "/dev/nbd0"), -ENOTDIR);
	assert_int_equal(unlink(below(UNITS "/dev-nbd0.swap.d")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_swap),
		cmocka_unit_test(test_mount),
		cmocka_unit_test(test_nowhere),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
