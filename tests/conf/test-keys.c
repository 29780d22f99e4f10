/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: each key takes what it is meant to take, gives that back, and refuses all else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "tests/conf/fixture.h"

struct good {
	const char *line;
	enum conf_key key;
	const char *printed; /* as it is printed when it is in force */
};

static const struct good good[] = {
	/* ram is 4096 */
	{"zram-size = ram", CONF_KEY_SIZE, "4G"},
	{"zram-size = ram / 10", CONF_KEY_SIZE, "419432K"},
	{"zram-size = 512", CONF_KEY_SIZE, "512M"},
	{"zram-size = 0.5 * ram", CONF_KEY_SIZE, "2G"},
	{"zram-size = min(ram / 2, 4096)", CONF_KEY_SIZE, "2G"},
	{"zram-size = min(min(ram, 1024) + max(ram - 1024, 0) / 2, 32 * 1024)", CONF_KEY_SIZE,
	 "2560M"},
	{"zram-size = 4G", CONF_KEY_SIZE, "4G"},
	{"zram-size = 4GiB", CONF_KEY_SIZE, "4G"},
	{"zram-size = 100001K", CONF_KEY_SIZE, "100004K"},
	{"zram-size = 8388607T", CONF_KEY_SIZE, "8388607T"},
	{"zram-size = 0", CONF_KEY_SIZE, "0"},
	{"size = 3T", CONF_KEY_SIZE, "3T"},
	{"zram-resident-limit = 0", CONF_KEY_MEM_LIMIT, "0"},
	{"zram-resident-limit = ram / 4", CONF_KEY_MEM_LIMIT, "1G"},
	{"mem-limit = 200M", CONF_KEY_MEM_LIMIT, "200M"},
	{"compression-algorithm = zstd", CONF_KEY_ALGORITHM, "zstd"},
	{"compression-algorithm = zstd(level=3)", CONF_KEY_ALGORITHM, "zstd(level=3)"},
	{"compression-algorithm =", CONF_KEY_ALGORITHM, "zstd(level=1)"},
	{"algorithm = lz4", CONF_KEY_ALGORITHM, "lz4"},
	{"filter = none", CONF_KEY_FILTER, "none"},
	{"filter = auto", CONF_KEY_FILTER, "auto"},
	{"compact = off", CONF_KEY_COMPACT, "off"},
	{"recompress-age = 900", CONF_KEY_RECOMPRESS_AGE, "15m"},
	{"recompress-age = 2h", CONF_KEY_RECOMPRESS_AGE, "2h"},
	{"recompress-age = 0", CONF_KEY_RECOMPRESS_AGE, "0s"},
	{"recompress-cpu = 25", CONF_KEY_RECOMPRESS_CPU, "25"},
	{"writeback-device = /dev/sda3", CONF_KEY_WRITEBACK, "/dev/sda3"},
	{"writeback =", CONF_KEY_WRITEBACK, ""},
	{"writeback = nbds+unix://h/x?socket=/a", CONF_KEY_WRITEBACK, "nbds+unix://h/x?socket=/a"},
	{"writeback-size = 0", CONF_KEY_WRITEBACK_SIZE, "0"},
	{"writeback-at = 0", CONF_KEY_WRITEBACK_AT, "0"},
	{"writeback-at = 100", CONF_KEY_WRITEBACK_AT, "100"},
	{"writeback-age = 3600", CONF_KEY_WRITEBACK_AGE, "1h"},
	{"writeback-limit = 2048M", CONF_KEY_WRITEBACK_LIMIT, "2G"},
	{"algorithm = lz4  zstd(level=6) (type=huge_idle,threshold=2K)", CONF_KEY_ALGORITHM,
	 "lz4  zstd(level=6) (type=huge_idle,threshold=2K)"},
	{"compact = auto", CONF_KEY_COMPACT, "auto"},
	{"allocator = zspage", CONF_KEY_ALLOCATOR, "zspage"},
	{"allocator = zbud", CONF_KEY_ALLOCATOR, "zbud"},
	{"reserve = auto", CONF_KEY_RESERVE, "auto"},
	{"reserve = 0", CONF_KEY_RESERVE, "0"},
	{"reserve = 16M", CONF_KEY_RESERVE, "16M"},
	{"lock = auto", CONF_KEY_LOCK, "auto"},
	{"lock = off", CONF_KEY_LOCK, "off"},
	{"connections = auto", CONF_KEY_CONNECTIONS, "auto"},
	{"connections = 1", CONF_KEY_CONNECTIONS, "1"},
	{"connections = 16", CONF_KEY_CONNECTIONS, "16"},
	{"threads = auto", CONF_KEY_THREADS, "auto"},
	{"threads = 64", CONF_KEY_THREADS, "64"},
	{"device = auto", CONF_KEY_DEVICE, "auto"},
	{"device = nbd0", CONF_KEY_DEVICE, "nbd0"},
	{"device = nbd32767", CONF_KEY_DEVICE, "nbd32767"},
	{"host-memory-limit = none", CONF_KEY_HOST_MEMORY_LIMIT, "none"},
	{"host-memory-limit = 9048", CONF_KEY_HOST_MEMORY_LIMIT, "9048"},
	{"host-memory-limit = 0", CONF_KEY_HOST_MEMORY_LIMIT, "0"},
	{"swap-priority = -1", CONF_KEY_SWAP_PRIORITY, "-1"},
	{"swap-priority = 0", CONF_KEY_SWAP_PRIORITY, "0"},
	{"swap-priority = 32767", CONF_KEY_SWAP_PRIORITY, "32767"},
	{"fs-type = swap", CONF_KEY_FS_TYPE, "swap"},
	{"fs-type = ext4", CONF_KEY_FS_TYPE, "ext4"},
	{"mount-point = /var/tmp", CONF_KEY_MOUNT_POINT, "/var/tmp"},
	{"mount-point = //var/./a..b//.c/", CONF_KEY_MOUNT_POINT, "/var/a..b/.c"},
	{"mount-point =", CONF_KEY_MOUNT_POINT, ""},
	{"options =", CONF_KEY_OPTIONS, ""},
	{"options = discard=pages,nofail", CONF_KEY_OPTIONS, "discard=pages,nofail"},
};

/* What CONF_PRINT() gives, in a buffer that the next call writes to. */
static const char *printed(const struct conf_device *device, enum conf_key key)
{
	static char text[256];
	char *value;

	assert_int_equal(conf_print(device, key, &value), 0);
	snprintf(text, sizeof(text), "%s", value);
	free(value);
	return text;
}

static void test_good(void **state)
{
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct conf_device *device;

		snprintf(text, sizeof(text), "[zcram0]\n%s\n", good[i].line);
		put("/etc/zcram.conf", text);
		device = loaded_device("zcram0");
		if (strcmp(printed(device, good[i].key), good[i].printed) != 0)
			fail_msg("%s gives %s", good[i].line, printed(device, good[i].key));
		assert_int_equal(device->origin[good[i].key].line, 2);
		/* What is printed is read as the same. */
		snprintf(text, sizeof(text), "[zcram0]\n%s = %s\n",
			 conf_key_names[good[i].key].name, good[i].printed);
		put("/etc/zcram.conf", text);
		assert_string_equal(printed(loaded_device("zcram0"), good[i].key), good[i].printed);
	}
}

struct bad {
	const char *line;
	const char *why;
};

static const struct bad bad[] = {
	{"zram-size =", "not an expression: a number, ram or ( is missing: give MiB"},
	{"zram-size = 50%", "there are no percents: write 0.5 * ram"},
	{"zram-size = 1.5G", "a number with a unit is whole and stands alone"},
	{"zram-size = min(ram, 4G)", "a number with a unit is whole and stands alone"},
	{"zram-size = rom / 2", "there is a name that is neither ram nor a function"},
	{"zram-size = ram / 0", "comes to inf MiB"},
	{"zram-size = ram - 5000", "comes to -904 MiB: give what comes to 0 or more"},
	{"zram-size = 8388608T", "too large: give less than 8388608T"},
	{"zram-size = 99999999999T", "too large: give less than 8388608T"},
	{"zram-size = 8796093022208", "comes to 8.79609e+12 MiB"},
	{"zram-size = 10K", "too small: swap takes at least 40K"},
	{"zram-resident-limit = none", "not an expression"},
	{"zram-resident-limit = -1", "comes to -1 MiB"},
	{"compression-algorithm = lzo-rle", "no such algorithm: give lz4, lz4(level=N), zstd"},
	{"compression-algorithm = ZSTD", "not an algorithm"},
	{"compression-algorithm = zstd(3)", "not an algorithm"},
	{"compression-algorithm = zstd(level=3,dict=/x)", "not an algorithm"},
	{"compression-algorithm = <default>", "not an algorithm"},
	{"compression-algorithm = zstd (type=idle)", "with one algorithm nothing is compressed"},
	{"compression-algorithm = lz4 zstd (type=old)", "not a type: give type=idle, type=huge"},
	{"compression-algorithm = lz4 zstd (size=1)", "not what is compressed again"},
	{"compression-algorithm = lz4 zstd (threshold=x)", "not a size"},
	{"compression-algorithm = lz4 lzo-rle", "no such algorithm"},
	{"compression-algorithm = lz4 zstd lz4 zstd lz4", "too many algorithms"},
	{"recompress-age = 4d", "too long: give at most 262128"},
	{"recompress-age = x", "not a time"},
	{"recompress-cpu = 0", "not a share of one CPU"},
	{"recompress-cpu = 101", "not a share of one CPU"},
	{"compression-algorithm = zstd(type=idle)", "not an algorithm"},
	{"compression-algorithm = (type=huge)", "not an algorithm"},
	{"filter = off", "not a choice: give auto or none"},
	{"compact = on", "not a choice: give auto or off"},
	{"allocator = zsmalloc", "not a choice: give zspage or zbud"},
	{"reserve = 16", "not a size: give auto, 0, or a number with K, M, G or T"},
	{"reserve = -1M", "not a size"},
	{"reserve = none", "not a size"},
	{"lock = yes", "not a choice: give auto, on or off"},
	{"connections = 0", "not such a number: give auto, or 1 to 16"},
	{"connections = 17", "not such a number: give auto, or 1 to 16"},
	{"connections = 4x", "not such a number"},
	{"connections = 18446744073709551617", "not such a number"},
	{"threads = 65", "not such a number: give auto, or 1 to 64"},
	{"threads = +1", "not such a number"},
	{"device = nbd", "not a device: give auto, or nbd0, nbd1, ..."},
	{"device = /dev/nbd0", "not a device"},
	{"device = nbd32768", "not a device"},
	{"device = nbd0p1", "not a device"},
	{"host-memory-limit = ram", "not a limit: give none, or a whole number of MiB"},
	{"host-memory-limit = -1", "not a limit"},
	{"host-memory-limit = 18446744073709551615", "not a limit"},
	{"swap-priority = -2", "not a priority: give -1 to 32767"},
	{"swap-priority = 32768", "not a priority"},
	{"swap-priority = high", "not a priority"},
	{"fs-type =", "not a type"},
	{"fs-type = ../sh", "not a type"},
	{"fs-type = -c", "not a type"},
	{"fs-type = ext4 ext2", "not a type"},
	{"mount-point = var", "not a mount point: give the absolute path"},
	{"mount-point = /", "not a mount point"},
	{"mount-point = /./", "not a mount point"},
	{"mount-point = /var/../etc", "not a mount point"},
	{"mount-point = /var/..", "not a mount point"},
	{"mount-point = /var /.", "not a mount point"},
	{"mount-point = /var\\/", "not a mount point"},
	{"options = discard, nofail", "not options: give them with commas"},
	{"options = noatime", "not options of swap: give discard"},
	{"options = discard=", "not options of swap"},
	{"options = pri=5", "the priority is swap-priority's"},
	{"options = discard,,nofail", "not options of swap"},
	{"writeback-device = sda3", "not a place to write to: give an absolute path"},
	{"writeback-device = /my disk", "not a place to write to"},
	{"writeback-device = http://host/", "not a place to write to"},
	{"writeback = nbd:/x", "not a place to write to"},
	{"writeback = /x\nwriteback-size = 5", "not a size: give 0, for a file that is there"},
	{"writeback = /x\nwriteback-size = 4M", "not a size"},
	{"writeback-at = 101", "not a share of the limit: give 1 to 100"},
	{"writeback-at = 5%", "not a share of the limit"},
	{"writeback-age = 4d", "too long: give at most 262128"},
	{"writeback-limit = 7", "not a size: give 0 for no limit"},
	{"writeback-size = 4G", "there is no file to be made so large"},
	{"writeback = nbd://host\nwriteback-size = 4G", "there is no file to be made so large"},
	{"zram-fraction = 0.5", "obsolete: give zram-size"},
	{"max-zram-size = none", "obsolete: give zram-size"},
	{"memory-limit = 4096", "obsolete: give host-memory-limit"},
	{"nonsense = 1", "unknown key: give zram-size, zram-resident-limit, "},
	{"zram-size = 1G\nnonsense = 1", "mount-point or options"},
	{"Lock = on", "unknown key"},
	{"= on", "unknown key"},
};

static void test_bad(void **state)
{
	char text[256], part[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *key = strrchr(bad[i].line, '\n');

		snprintf(text, sizeof(text), "[zcram0]\n%s\n", bad[i].line);
		assert_refused(text, bad[i].why);
		/* The line says where, and what. */
		snprintf(part, sizeof(part), ": [zcram0] %s", key == NULL ? bad[i].line : key + 1);
		if (strncmp(part, ": [zcram0] =", 12) != 0)
			assert_refused(text, part);
	}
}

/* Where inih does not take it for a comment, nor do options begin with it. */
static void test_comment_without_blank(void **state)
{
	assert_refused("[zcram0]\noptions =;x\n", "options = ;x: not options");
	assert_refused("[zcram0]\noptions =#x\n", "options = #x: not options");
}

static void test_bad_in_defaults(void **state)
{
	assert_refused("[defaults]\nlock = yes\n", ":2: [defaults] lock = yes: not a choice");
	assert_refused("[defaults]\ndevice = auto\n", "no two devices can share it");
	assert_refused("[defaults]\nmount-point = /mnt\n", "no two devices can share it");
}

static int check_algorithm(const struct conf_algorithm *algorithm, char *why, size_t size)
{
	if (!algorithm->has_level || algorithm->level <= 9)
		return 0;
	snprintf(why, size, "no such level: give 1 to 9");
	return -ERANGE;
}

static void test_level(void **state)
{
	put("/etc/zcram.conf", "[zcram0]\nalgorithm = zstd(level=10)\n");
	assert_int_equal(loaded_device("zcram0")->algorithms.algorithms[0].level, 10);
	fixture_host.check_algorithm = check_algorithm;
	assert_refused("[zcram0]\nalgorithm = zstd(level=10)\n",
		       "algorithm = zstd(level=10): no such level: give 1 to 9");
	assert_refused("[zcram0]\nalgorithm = zstd\n[defaults]\nalgorithm = zstd(level=10)\n",
		       ":4: [defaults] algorithm");
	put("/etc/zcram.conf", "[zcram0]\nalgorithm = zstd(level=9)\n");
	assert_true(loaded_device("zcram0")->algorithms.algorithms[0].has_level);
	assert_string_equal(loaded_device("zcram0")->algorithms.algorithms[0].name, "zstd");
}

static void test_key_names(void **state)
{
	enum conf_key key;

	for (enum conf_key i = 0; i < CONF_KEY_COUNT; i++) {
		assert_int_equal(conf_key_find(conf_key_names[i].name, &key), 0);
		assert_int_equal(key, i);
		if (conf_key_names[i].alias == NULL)
			continue;
		assert_int_equal(conf_key_find(conf_key_names[i].alias, &key), 0);
		assert_int_equal(key, i);
	}
	assert_int_equal(conf_key_find("nonsense", &key), -ENOENT);
	assert_int_equal(conf_key_find("", &key), -ENOENT);
}

static void parameters_are(const char *const *expected)
{
	char **parameters;
	size_t i = 0;

	assert_int_equal(conf_parameters(loaded_device("zcram0"), &parameters), 0);
	for (; expected[i] != NULL; i++) {
		assert_non_null(parameters[i]);
		assert_string_equal(parameters[i], expected[i]);
	}
	assert_null(parameters[i]);
	conf_free_parameters(parameters);
}

static void test_parameters(void **state)
{
	static const char *const plain[] = {"size=2G",	   "algorithm=zstd(level=1)",
					    "filter=auto", "compact=auto",
					    "lock=on",	   NULL};
	static const char *const full[] = {
		"size=1G",	     "algorithm=lz4",	  "mem-limit=256M",    "reserve=0",
		"filter=none",	     "compact=off",	  "allocator=zspage",  "lock=auto",
		"recompress-age=1h", "recompress-cpu=3",  "writeback=/srv/x",  "writeback-size=8G",
		"writeback-at=80",   "writeback-age=15m", "writeback-limit=0", NULL};

	put("/etc/zcram.conf", "[zcram0]\n");
	parameters_are(plain);
	put("/etc/zcram.conf", "[zcram0]\nsize = 1024\nalgorithm = lz4\nmem-limit = 256\n"
			       "reserve = 0\nfilter = none\ncompact = off\nlock = auto\n"
			       "allocator = zspage\nrecompress-age = 60m\nrecompress-cpu = 3\n"
			       "writeback = /srv/x\nwriteback-size = 8192M\nwriteback-at = 80\n");
	parameters_are(full);
}

static void test_compare(void **state)
{
	struct conf *before;
	char *why;
	uint32_t keys;

	put("/etc/zcram.conf", "[zcram0]\nsize = 2048\nlock = on\n");
	assert_int_equal(conf_load(fixture_root(), &fixture_host, &before, &why), 0);
	put("/etc/zcram.conf", "[zcram0]\n");
	assert_int_equal(conf_compare(conf_at(before, 0), loaded_device("zcram0"), &keys), 0);
	assert_int_equal(keys, 0);
	put("/etc/zcram.conf", "[zcram0]\nthreads = 4\nmount-point = /mnt\n");
	assert_int_equal(conf_compare(conf_at(before, 0), loaded_device("zcram0"), &keys), 0);
	assert_int_equal(keys, 1u << CONF_KEY_THREADS | 1u << CONF_KEY_MOUNT_POINT |
				       1u << CONF_KEY_FS_TYPE | 1u << CONF_KEY_LOCK);
	conf_free(before);
}

static void test_sizes_written(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{0, "0"},
		{1, "1"},
		{1023, "1023"},
		{1024, "1K"},
		{4097, "4097"},
		{3 << 20, "3M"},
		{UINT64_C(1025) << 20, "1025M"},
		{UINT64_C(1) << 30, "1G"},
		{UINT64_C(5000) << 40, "5000T"},
		{UINT64_MAX, "18446744073709551615"},
	};
	char text[24];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		conf_format_size(sizes[i].bytes, text, sizeof(text));
		assert_string_equal(text, sizes[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_good),
		fixture_test(test_bad),
		fixture_test(test_comment_without_blank),
		fixture_test(test_level),
		fixture_test(test_bad_in_defaults),
		fixture_test(test_parameters),
		fixture_test(test_compare),
		cmocka_unit_test(test_key_names),
		cmocka_unit_test(test_sizes_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
