/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: of all files those are read that count, in the order that makes the right one win. */
#include <errno.h>
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

#include "tests/conf/fixture.h"

static const char *const directories[] = {"/etc", "/run", "/usr/local/lib", "/usr/lib"};

#define DIRECTORIES 4

static int priority(void)
{
	return loaded_device("zcram0")->swap_priority;
}

/* A file below the I-th directory that sets a priority. */
static void put_priority(int i, const char *name, int value)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "%s/%s", directories[i], name);
	snprintf(text, sizeof(text), "[zcram0]\nswap-priority = %d\n", value);
	put(path, text);
}

static void test_nothing(void **state)
{
	const struct conf *conf = loaded();

	assert_int_equal(conf_count(conf), 0);
	assert_null(conf_files(conf)[0]);
	assert_null(conf_find(conf, "zcram0"));
}

static void test_root_may_be_missing(void **state)
{
	struct conf *conf = NULL;
	char *why = NULL;

	assert_int_equal(conf_load(fixture_path("/none"), &fixture_host, &conf, &why), 0);
	assert_int_equal(conf_count(conf), 0);
	conf_free(conf);
}

static void test_first_main_file(void **state)
{
	for (int i = DIRECTORIES - 1; i >= 0; i--) {
		put_priority(i, "zcram.conf", i);
		assert_int_equal(priority(), i);
		assert_string_equal(conf_files(loaded())[0] + strlen(directories[i]),
				    "/zcram.conf");
		assert_null(conf_files(loaded())[1]);
	}
}

static void test_main_file_hidden(void **state)
{
	put_priority(3, "zcram.conf", 7);
	put_link("/run/zcram.conf", "/dev/null");
	assert_int_equal(conf_count(loaded()), 0);
	put("/etc/zcram.conf", "");
	assert_int_equal(conf_count(loaded()), 0);
	assert_string_equal(conf_files(loaded())[0], "/etc/zcram.conf");
	unlink(fixture_path("/etc/zcram.conf"));
	unlink(fixture_path("/run/zcram.conf"));
	assert_int_equal(priority(), 7);
}

/* The main file comes first wherever it is, then the others by name, whatever their directory. */
static void test_order(void **state)
{
	static const char *const order[] = {
		"/etc/zcram.conf", "/usr/lib/zcram.conf.d/10-a.conf", "/run/zcram.conf.d/20-a.conf",
		"/usr/local/lib/zcram.conf.d/30-a.conf", "/etc/zcram.conf.d/9-a.conf"};
	const char *const *files;

	put_priority(0, "zcram.conf", 1);
	assert_int_equal(priority(), 1);
	put_priority(3, "zcram.conf.d/10-a.conf", 2);
	assert_int_equal(priority(), 2);
	put_priority(1, "zcram.conf.d/20-a.conf", 3);
	assert_int_equal(priority(), 3);
	put_priority(2, "zcram.conf.d/30-a.conf", 4);
	assert_int_equal(priority(), 4);
	put_priority(0, "zcram.conf.d/9-a.conf", 5);
	assert_int_equal(priority(), 5);
	files = conf_files(loaded());
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		assert_string_equal(files[i], order[i]);
	assert_null(files[sizeof(order) / sizeof(order[0])]);
}

static void test_same_name(void **state)
{
	for (int i = DIRECTORIES - 1; i >= 0; i--) {
		put_priority(i, "zcram.conf.d/50-a.conf", i);
		assert_int_equal(priority(), i);
		assert_null(conf_files(loaded())[1]);
	}
	put_link("/etc/zcram.conf.d/50-a.conf", "/dev/null");
	assert_int_equal(conf_count(loaded()), 0);
	put("/etc/zcram.conf.d/50-a.conf", "");
	assert_int_equal(conf_count(loaded()), 0);
}

static void test_other_names(void **state)
{
	put("/etc/zcram.conf.d/50-a.conf~", "nonsense");
	put("/etc/zcram.conf.d/50-a.conf.bak", "nonsense");
	put("/etc/zcram.conf.d/.50-a.conf", "nonsense");
	put("/etc/zcram.conf.d/.conf", "nonsense");
	put("/etc/zcram.conf.d/README", "nonsense");
	assert_null(conf_files(loaded())[0]);
}

/* Key by key: what a later file does not set stays. */
static void test_merge(void **state)
{
	const struct conf_device *device;

	put("/usr/lib/zcram.conf", "[zcram0]\nfilter = none\ncompact = off\n[zcram1]\n");
	put("/etc/zcram.conf.d/a.conf", "[zram0]\nfilter = auto\n");
	device = loaded_device("zcram0");
	assert_int_equal(device->filter, CONF_FILTER_AUTO);
	assert_int_equal(device->compact, CONF_COMPACT_OFF);
	assert_string_equal(device->origin[CONF_KEY_FILTER].file, "/etc/zcram.conf.d/a.conf");
	assert_int_equal(device->origin[CONF_KEY_FILTER].line, 2);
	assert_string_equal(device->origin[CONF_KEY_FILTER].text, "auto");
	assert_string_equal(device->origin[CONF_KEY_COMPACT].file, "/usr/lib/zcram.conf");
	assert_int_equal(device->origin[CONF_KEY_COMPACT].line, 3);
	assert_null(device->origin[CONF_KEY_SIZE].file);
	assert_null(device->origin[CONF_KEY_SIZE].text);
	assert_int_equal(conf_count(loaded()), 2);
}

/* The device's own section counts before [defaults], also one in an earlier file. */
static void test_defaults_section(void **state)
{
	const struct conf_device *device;

	put("/usr/lib/zcram.conf", "[zcram0]\nthreads = 3\n[zcram1]\n");
	put("/etc/zcram.conf.d/z.conf", "[defaults]\nthreads = 5\nlock = off\n");
	device = loaded_device("zcram0");
	assert_int_equal(device->threads, 3);
	assert_false(device->origin[CONF_KEY_THREADS].from_defaults);
	assert_int_equal(device->lock, CONF_LOCK_OFF);
	assert_true(device->origin[CONF_KEY_LOCK].from_defaults);
	device = loaded_device("zcram1");
	assert_int_equal(device->threads, 5);
	assert_int_equal(conf_count(loaded()), 2);
}

static void test_iteration(void **state)
{
	static const char *const names[] = {"zcram2", "zcram10", "zcram9999"};
	const struct conf *conf;

	put("/etc/zcram.conf", "[zcram9999]\n[zcram10]\n[zcram2]\n");
	conf = loaded();
	assert_int_equal(conf_count(conf), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(conf_at(conf, i)->name, names[i]);
		assert_ptr_equal(conf_find(conf, names[i]), conf_at(conf, i));
	}
	assert_null(conf_find(conf, "zcram1"));
	assert_null(conf_find(conf, "zram2"));
}

static void cannot_be_read(const char *path, int error, const char *part)
{
	const char *why = refusal(error);

	if (strncmp(why, path, strlen(path)) != 0 || strstr(why, part) == NULL)
		fail_msg("%s: %s: %s", path, part, why);
}

static void test_unreadable(void **state)
{
	put_link("/etc/zcram.conf", "nowhere");
	cannot_be_read("/etc/zcram.conf", -ENOENT, "cannot be read: No such file");
	put_link("/etc/zcram.conf", "zcram.conf");
	cannot_be_read("/etc/zcram.conf", -ELOOP, "cannot be read");
	unlink(fixture_path("/etc/zcram.conf"));
	assert_int_equal(mkdir(fixture_path("/etc/zcram.conf"), 0755), 0);
	cannot_be_read("/etc/zcram.conf", -EINVAL, "not a file");
	assert_int_equal(rmdir(fixture_path("/etc/zcram.conf")), 0);
	assert_int_equal(mkfifo(fixture_path("/etc/zcram.conf"), 0644), 0);
	cannot_be_read("/etc/zcram.conf", -EINVAL, "not a file");
	put_link("/etc/zcram.conf", "/dev/zero");
	cannot_be_read("/etc/zcram.conf", -EINVAL, "not a file");
	unlink(fixture_path("/etc/zcram.conf"));
	put("/run/zcram.conf.d", "a file");
	cannot_be_read("/run/zcram.conf.d", -ENOTDIR, "cannot be read: Not a directory");
}

/* One that cannot be read does not hide what is wrong in the others. */
static void test_unreadable_and_wrong(void **state)
{
	const char *why;

	put_link("/etc/zcram.conf.d/a.conf", "nowhere");
	put("/etc/zcram.conf.d/b.conf", "[zcram0]\nlock = yes\n");
	why = refusal(-ENOENT);
	assert_non_null(strstr(why, "/etc/zcram.conf.d/a.conf: cannot be read"));
	assert_non_null(strstr(why, "\n/etc/zcram.conf.d/b.conf:2: [zcram0] lock = yes: "));
}

static void test_large(void **state)
{
	size_t len = (1 << 20) + 1;
	char *text = malloc(len);

	assert_non_null(text);
	memset(text, '\n', len);
	put_bytes("/etc/zcram.conf", text, len - 1);
	assert_int_equal(conf_count(loaded()), 0);
	put_bytes("/etc/zcram.conf", text, len);
	cannot_be_read("/etc/zcram.conf", -EFBIG, "too large: give at most 1048576 bytes");
	free(text);
}

static void test_host(void **state)
{
	struct conf_host host = {.cpus = 77};

	assert_int_equal(conf_host_get(fixture_root(), &host), -ENOENT);
	put("/proc/meminfo", "MemFree: 5 kB\nMemTotals: 6 kB\n MemTotal x\n");
	assert_int_equal(conf_host_get(fixture_root(), &host), -EINVAL);
	assert_int_equal(host.cpus, 77);
	put("/proc/meminfo", "MemFree:   5 kB\nMemTotal:        8013220 kB\nMemTotal: 1 kB\n");
	assert_int_equal(conf_host_get(fixture_root(), &host), 0);
	assert_int_equal(host.ram, UINT64_C(8013220) * 1024);
	assert_in_range(host.cpus, 1, 1 << 20);
	assert_null(host.check_algorithm);
	assert_int_equal(conf_host_get(NULL, &host), 0);
	assert_in_range(host.ram, 1 << 20, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_nothing),
		fixture_test(test_root_may_be_missing),
		fixture_test(test_first_main_file),
		fixture_test(test_main_file_hidden),
		fixture_test(test_order),
		fixture_test(test_same_name),
		fixture_test(test_other_names),
		fixture_test(test_merge),
		fixture_test(test_defaults_section),
		fixture_test(test_iteration),
		fixture_test(test_unreadable),
		fixture_test(test_unreadable_and_wrong),
		fixture_test(test_large),
		fixture_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
