/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: whatever a line may be, it is read as it is meant, or refused where it stands. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/conf/fixture.h"

static void options_are(const char *text, const char *options)
{
	put("/etc/zcram.conf", text);
	assert_string_equal(loaded_device("zcram0")->options, options);
}

static void test_spelling(void **state)
{
	options_are("[zcram0]\noptions=discard=once\n", "discard=once");
	options_are("[zcram0]\noptions = discard=once", "discard=once");
	options_are("[zcram0]\r\noptions = discard=once\r\n", "discard=once");
	options_are("\xef\xbb\xbf[zcram0]\noptions = discard=once\n", "discard=once");
	options_are("  [zcram0]  \n\toptions\t=\tdiscard=once\t \n", "discard=once");
	options_are("# [zcram1]\n; x\n\n \t\n  # y\n[zcram0] # z\noptions = discard=once ; w\n",
		    "discard=once");
	options_are("[zcram0]\noptions =\n", "");
	options_are("[zcram0]\noptions = ; nothing\n", "");
	options_are("[zcram0]\nfs-type = ext4\noptions = a#b;c=d:e\n", "a#b;c=d:e");
	options_are("[zcram0]", "discard");
	options_are("[zram0]", "discard");
	options_are("[zcram0]\n[zcram1]\n[zcram0]\noptions =\n", "");
}

/* inih alone would take the second line's text for more of the first's value. */
static void test_indented(void **state)
{
	const struct conf_device *device;

	put("/etc/zcram.conf", "[zcram0]\noptions =\n    lock = off\n");
	device = loaded_device("zcram0");
	assert_string_equal(device->options, "");
	assert_int_equal(device->lock, CONF_LOCK_OFF);
	assert_refused("[zcram0]\noptions = discard\n    nofail\n",
		       "/etc/zcram.conf:3: not \"key = value\"");
}

static void test_lines_refused(void **state)
{
	assert_refused("[zcram0]\nlock\n", ":2: not \"key = value\"");
	assert_refused("lock on\n", ":1: not \"key = value\"");
	assert_refused("[zcram0]\noptions = a,\\\n", ":2: ends in a backslash");
	assert_refused("[zcram0]\nlock = on # sure\n", ":2: has a # behind a blank");
	assert_refused("[zcram0]\nlock = o\001n\n", ":2: has a control character");
	assert_refused("[zcram0]\rlock = on\n", ":1: has a control character");
	assert_refused("lock = on\n[zcram0]\n", ":1: lock = on: stands in no section");
	assert_refused("set!cpus = nproc\n[zcram0]\n",
		       ":1: set!cpus = nproc: there are no variables: write it out");
}

static void test_zero_bytes(void **state)
{
	static const char text[] = "[zcram0]\nlock = on\0\nlock = off\n";
	const char *why;

	put_bytes("/etc/zcram.conf", text, sizeof(text) - 1);
	why = refusal(-EINVAL);
	assert_non_null(strstr(why, ":2: has a control character"));
	assert_null(strchr(why, '\n'));
}

static void test_long_lines(void **state)
{
	char text[512];

	/* inih's limit: 197 bytes */
	snprintf(text, sizeof(text), "[zcram0]\nfs-type = ext4\noptions = %.*s\n", 197 - 10,
		 "123456789,123456789,123456789,123456789,123456789,123456789,123456789,123456789,"
		 "123456789,123456789,123456789,123456789,123456789,123456789,123456789,123456789,"
		 "123456789,123456789,123456789,123456789,");
	put("/etc/zcram.conf", text);
	assert_int_equal(strlen(loaded_device("zcram0")->options), 187);
	text[strlen(text) - 1] = 'x';
	assert_refused(text, ":3: too long: give at most 197 bytes a line");
	/* a comment may be as long as it likes */
	memset(text, '#', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	put("/etc/zcram.conf", text);
	assert_int_equal(conf_count(loaded()), 0);
}

static void test_sections_refused(void **state)
{
	static const char *const names[] = {
		"[zcram]",
		"[zram]",
		"[zcram00]",
		"[zcram01]",
		"[zcram-1]",
		"[zcram+1]",
		"[zcram1x]",
		"[zcram 1]",
		"[zcram10000]",
		"[zcram4294967296]",
		"[Zcram0]",
		"[default]",
		"[Defaults]",
		"[]",
		"[ zcram0 ]",
		"[zcram0",
		"[zcram0] x",
		"[zcram0]]",
		"[zcram1 ;x]",
		"[zcram0;]",
		"[[zcram0]]",
		"[zcram0 ; ]",
		"[zcram0/..]",
		"[zcram0000000000000000000000000000000000000000000000000000000000001]",
	};
	char text[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		/* What stands in a section that is none is not refused once more. */
		snprintf(text, sizeof(text), "[zcram0]\n%s\nlock = maybe\nnonsense = 1\n",
			 names[i]);
		assert_refused(text, "]: not a section: give [zcramN] or [zramN], N from 0 to "
				     "9999, or [defaults]");
	}
}

static void test_names(void **state)
{
	static const char *const names[] = {"zcram0", "zcram1", "zcram10", "zcram9999"};
	static const char *const none[] = {"",		 "zcram",   "zram0",
					   "zcram00",	 "zcram-1", "zcram1/",
					   "zcram10000", "zcram1 ", "../zcram0"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(conf_is_name(names[i]));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_false(conf_is_name(none[i]));
}

static void test_twice(void **state)
{
	assert_refused("[zcram0]\nlock = on\nlock = on\n",
		       ":3: [zcram0] lock = on: set twice in this file (lock = on in line 2): give "
		       "it once");
	assert_refused("[zcram0]\nsize = 4G\n[zram0]\nzram-size = 4G\n",
		       ":4: [zram0] zram-size = 4G: set twice in this file (size = 4G in line 2)");
	assert_refused("[defaults]\nlock = on\n[zcram0]\n[defaults]\nlock = off\n", ":5: [def");
	put("/etc/zcram.conf", "[zcram0]\nlock = on\n[zcram1]\nlock = on\n[defaults]\nlock=on\n");
	assert_int_equal(conf_count(loaded()), 2);
}

static void test_all_errors(void **state)
{
	put("/etc/zcram.conf", "[zcram0]\nlock = yes\nfilter = no\n[zcram1]\ncompact = on\n");
	put("/etc/zcram.conf.d/a.conf", "[zcram0]\nlock = on\nthreads = 0\n");
	assert_string_equal(
		refusal(-EINVAL),
		"/etc/zcram.conf:2: [zcram0] lock = yes: not a choice: give auto, on or off\n"
		"/etc/zcram.conf:3: [zcram0] filter = no: not a choice: give auto or none\n"
		"/etc/zcram.conf:5: [zcram1] compact = on: not a choice: give auto or off\n"
		"/etc/zcram.conf.d/a.conf:3: [zcram0] threads = 0: not such a number: give auto, "
		"or 1 to 64");
}

static void test_many_errors(void **state)
{
	char text[1024] = "[zcram0]\n";
	unsigned int lines = 1;
	const char *why;

	for (int i = 0; i < 25; i++)
		strcat(text, "nonsense = 1\n");
	put("/etc/zcram.conf", text);
	why = refusal(-EINVAL);
	for (const char *at = strchr(why, '\n'); at != NULL; at = strchr(at + 1, '\n'))
		lines++;
	assert_int_equal(lines, 21);
	assert_string_equal(strrchr(why, '\n'), "\nand 5 more");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_spelling),	  fixture_test(test_indented),
		fixture_test(test_lines_refused), fixture_test(test_zero_bytes),
		fixture_test(test_long_lines),	  fixture_test(test_sections_refused),
		cmocka_unit_test(test_names),	  fixture_test(test_twice),
		fixture_test(test_all_errors),	  fixture_test(test_many_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
