/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: what is not set is as it should be, and what does not go together is refused. */
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

#define MIB (UINT64_C(1) << 20)

static const struct conf_device *device_of(const char *text)
{
	put("/etc/zcram.conf", text);
	return loaded_device("zcram0");
}

static void test_defaults(void **state)
{
	const struct conf_device *device = device_of("[zcram0]\n");

	assert_true(device->applies);
	assert_null(device->why_not);
	assert_int_equal(device->size, FIXTURE_RAM / 2);
	assert_int_equal(device->mem_limit, 0);
	assert_string_equal(device->algorithm, "zstd(level=1)");
	assert_string_equal(device->algorithms.algorithms[0].name, "zstd");
	assert_true(device->algorithms.algorithms[0].has_level);
	assert_int_equal(device->algorithms.algorithms[0].level, 1);
	assert_int_equal(device->filter, CONF_FILTER_AUTO);
	assert_int_equal(device->compact, CONF_COMPACT_AUTO);
	assert_int_equal(device->allocator, CONF_ALLOCATOR_ZSPAGE);
	assert_true(device->reserve == CONF_RESERVE_AUTO);
	assert_int_equal(device->lock, CONF_LOCK_ON);
	assert_int_equal(device->connections, 0);
	assert_int_equal(device->threads, 0);
	assert_int_equal(device->nbd_index, -1);
	assert_true(device->host_memory_limit == CONF_NO_HOST_LIMIT);
	assert_int_equal(device->swap_priority, 100);
	assert_string_equal(device->fs_type, "swap");
	assert_true(device->swap);
	assert_null(device->mount_point);
	assert_string_equal(device->options, "discard");
	assert_int_equal(device->discard, CONF_DISCARD_BOTH);
	for (enum conf_key key = 0; key < CONF_KEY_COUNT; key++)
		assert_null(device->origin[key].file);
}

static void test_default_size(void **state)
{
	fixture_host.ram = 16384 * MIB;
	assert_int_equal(device_of("[zcram0]\n")->size, 4096 * MIB);
	/* ram is whole MiB, and a half of it whole pages */
	fixture_host.ram = 1001 * MIB + 12345;
	assert_int_equal(device_of("[zcram0]\n")->size, 1001 * MIB / 2);
}

/* Bytes are cut off as zram-generator does, then made whole pages as zram does. */
static void test_rounding(void **state)
{
	fixture_host.ram = 1000 * MIB;
	assert_int_equal(device_of("[zcram0]\nsize = ram / 3\n")->size, 349528064);
	assert_int_equal(device_of("[zcram0]\nsize = 4097K\n")->size, 4100 * 1024);
	assert_int_equal(device_of("[zcram0]\nmem-limit = 0.0001\n")->mem_limit, 4096);
	fixture_host.ram = 3000 * MIB;
	assert_int_equal(device_of("[zcram0]\nsize = ram * 2 / 3\n")->size, 2000 * MIB);
	assert_int_equal(device_of("[zcram0]\nsize = ram * (2 / 3)\n")->size, 2000 * MIB);
}

static void test_file_system(void **state)
{
	const struct conf_device *device = device_of("[zcram0]\nmount-point = /mnt\n");

	assert_string_equal(device->fs_type, "ext2");
	assert_false(device->swap);
	assert_int_equal(device->lock, CONF_LOCK_AUTO);
	assert_string_equal(device->mount_point, "/mnt");
	assert_string_equal(device->options, "discard");
	device = device_of("[zcram0]\nfs-type = btrfs\nlock = on\noptions = noatime,x=a:b\n");
	assert_null(device->mount_point);
	assert_false(device->swap);
	assert_int_equal(device->lock, CONF_LOCK_ON);
	assert_string_equal(device->options, "noatime,x=a:b");
	assert_refused("[zcram0]\nmount-point = /mnt\nfs-type = swap\n",
		       ":3: [zcram0] fs-type = swap: swap is not mounted: give the type of a file "
		       "system, or leave mount-point out (it is set in /etc/zcram.conf:2)");
	/* taken back by a later file */
	put("/etc/zcram.conf.d/a.conf", "[zcram0]\nmount-point =\n");
	assert_true(device_of("[zcram0]\nmount-point = /mnt\n")->swap);
}

static void test_discard(void **state)
{
	assert_int_equal(device_of("[zcram0]\noptions =\n")->discard, CONF_DISCARD_NONE);
	assert_int_equal(device_of("[zcram0]\noptions = defaults,sw\n")->discard,
			 CONF_DISCARD_NONE);
	assert_int_equal(device_of("[zcram0]\noptions = nofail,discard\n")->discard,
			 CONF_DISCARD_BOTH);
	assert_int_equal(device_of("[zcram0]\noptions = discard=once\n")->discard,
			 CONF_DISCARD_ONCE);
	assert_int_equal(device_of("[zcram0]\noptions = discard,discard=pages\n")->discard,
			 CONF_DISCARD_PAGES);
}

static void test_applies(void **state)
{
	const struct conf_device *device;

	assert_true(device_of("[zcram0]\nhost-memory-limit = 4096\n")->applies);
	device = device_of("[zcram0]\nhost-memory-limit = 4095\n");
	assert_false(device->applies);
	assert_string_equal(device->why_not, "the host has more memory than host-memory-limit");
	device = device_of("[zcram0]\nsize = max(ram - 8192, 0)\n");
	assert_false(device->applies);
	assert_string_equal(device->why_not, "its size comes to 0");
	/* What it comes to does not matter then; how it is written does. */
	device = device_of("[zcram0]\nhost-memory-limit = 2048\nsize = 2048 - ram\n"
			   "mem-limit = 1 / 0\n");
	assert_false(device->applies);
	assert_refused("[zcram0]\nhost-memory-limit = 2048\nsize = 2048 -\n", ":3: ");
	assert_true(device_of("[zcram0]\nhost-memory-limit = none\n[defaults]\n"
			      "host-memory-limit = 1\n")
			    ->applies);
}

/* Both are said, and a value that a later file replaces does not have to come to anything. */
static void test_sizes_refused(void **state)
{
	put("/etc/zcram.conf", "[zcram0]\nsize = -1\nmem-limit = -2\n");
	assert_string_equal(
		refusal(-EINVAL),
		"/etc/zcram.conf:2: [zcram0] size = -1: comes to -1 MiB: give what comes to 0 or "
		"more, and less than 2^43\n"
		"/etc/zcram.conf:3: [zcram0] mem-limit = -2: comes to -2 MiB: give what comes to 0 "
		"or more, and less than 2^43");
	put("/etc/zcram.conf.d/a.conf", "[zcram0]\nsize = 1G\nmem-limit = 0\n");
	assert_int_equal(loaded_device("zcram0")->size, 1024 * MIB);
}

static void test_reserve(void **state)
{
	assert_int_equal(device_of("[zcram0]\nmem-limit = 8\nreserve = 8M\n")->reserve, 8 * MIB);
	assert_refused("[zcram0]\nmem-limit = 8\nreserve = 8193K\n",
		       ":3: [zcram0] reserve = 8193K: too large: give at most 8M, the "
		       "zram-resident-limit of zcram0");
	assert_refused("[defaults]\nreserve = 1G\n[zcram0]\nsize = 8\n",
		       ":2: [defaults] reserve = 1G: too large: give at most 8M, the zram-size of "
		       "zcram0");
}

static void test_shared(void **state)
{
	assert_refused("[zcram3]\ndevice = nbd1\n[zcram1]\ndevice = nbd1\n",
		       ":2: [zcram3] device = nbd1: zcram1 has it (/etc/zcram.conf:4): give auto, "
		       "or each its own");
	assert_refused("[zcram0]\nmount-point = /mnt/a\n[zcram1]\nmount-point = /mnt//a/\n",
		       ":4: [zcram1] mount-point = /mnt//a/: zcram0 has it (/etc/zcram.conf:2): "
		       "give each its own");
	put("/etc/zcram.conf", "[zcram0]\ndevice = auto\n[zcram1]\ndevice = auto\n"
			       "[zcram2]\ndevice = nbd0\n[zcram3]\ndevice = nbd1\n");
	assert_int_equal(conf_count(loaded()), 4);
	/* Only one of them is there at a time. */
	put("/etc/zcram.conf", "[zcram0]\ndevice = nbd1\nmount-point = /mnt\n"
			       "host-memory-limit = 2048\n"
			       "[zcram1]\ndevice = nbd1\nmount-point = /mnt\n");
	assert_int_equal(conf_count(loaded()), 2);
}

/* Files as zram-generator's users have them. */
static void test_generator_files(void **state)
{
	const struct conf_device *device;

	device = device_of("# compressed swap\n"
			   "[zram0]\n"
			   "host-memory-limit = 9000\n"
			   "zram-size = min(ram / 4, 2048)\n"
			   "compression-algorithm = zstd\n"
			   "swap-priority = 180\n"
			   "options =\n"
			   "\n"
			   "[zram1]\n"
			   "zram-size = ram / 10\n"
			   "fs-type = ext4\n"
			   "mount-point = /run/compressed-place\n");
	assert_string_equal(device->name, "zcram0");
	assert_int_equal(device->size, 1024 * MIB);
	assert_int_equal(device->swap_priority, 180);
	assert_string_equal(device->options, "");
	assert_string_equal(device->algorithm, "zstd");
	device = loaded_device("zcram1");
	assert_int_equal(device->size, 429498368);
	assert_string_equal(device->fs_type, "ext4");
	assert_string_equal(device->mount_point, "/run/compressed-place");
	device = device_of("[zram0]\n"
			   "zram-size = 50 / 100 * ram\n"
			   "zram-resident-limit = ram * 3 / 8\n"
			   "compression-algorithm = zstd(level=3)\n"
			   "fs-type = swap\n");
	assert_int_equal(device->size, 2048 * MIB);
	assert_int_equal(device->mem_limit, 1536 * MIB);
}

/* The example, and the same with the # taken from before its settings and sections. */
static void read_example(char *plain, char *full, size_t size)
{
	FILE *file = fopen(EXAMPLE, "re");
	size_t len;

	assert_non_null(file);
	len = fread(plain, 1, size - 1, file);
	assert_in_range(len, 1, size - 2);
	plain[len] = '\0';
	fclose(file);
	for (const char *at = plain; *at != '\0'; at++)
		if (*at != '#' || at[1] == ' ' || (at > plain && at[-1] != '\n'))
			*full++ = *at;
	*full = '\0';
}

/* It can be put in place, and what it calls the default is. */
static void test_example(void **state)
{
	char plain[8192], full[8192], *why;
	struct conf *conf;
	uint32_t keys;

	read_example(plain, full, sizeof(plain));
	put("/etc/zcram.conf", plain);
	assert_int_equal(conf_load(fixture_root(), &fixture_host, &conf, &why), 0);
	assert_int_equal(conf_count(conf), 1);
	assert_int_equal(conf_compare(conf_at(conf, 0), device_of(full), &keys), 0);
	assert_int_equal(keys, 0);
	conf_free(conf);
	for (enum conf_key key = 0; key < CONF_KEY_COUNT; key++)
		if (key != CONF_KEY_FS_TYPE && key != CONF_KEY_MOUNT_POINT)
			assert_non_null(loaded_device("zcram0")->origin[key].file);
	assert_string_equal(loaded_device("zcram1")->mount_point, "/var/compressed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_defaults),	  fixture_test(test_default_size),
		fixture_test(test_rounding),	  fixture_test(test_file_system),
		fixture_test(test_discard),	  fixture_test(test_applies),
		fixture_test(test_sizes_refused), fixture_test(test_reserve),
		fixture_test(test_shared),	  fixture_test(test_generator_files),
		fixture_test(test_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
