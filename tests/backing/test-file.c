/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: which files are taken for a backing store, which are not, and what is said of them; also by who
 * looks before he opens.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/backing/fixture.h"

static struct table table;
static char path[256], why[BACKING_WHY];

/* By way of the linker: who waits for a file to come free looks as often as ever, and the time passes at once. */
void __real_os_wait(const uint32_t *word, uint32_t value, int milliseconds);
void __wrap_os_wait(const uint32_t *word, uint32_t value, int milliseconds);

void __wrap_os_wait(const uint32_t *word, uint32_t value, int milliseconds)
{
	__real_os_wait(word, value, milliseconds > 0 ? 0 : milliseconds);
}

static int setup(void **state)
{
	table_init(&table, 64);
	file_make(path, MIB);
	return 0;
}

static int teardown(void **state)
{
	table_fini(&table);
	unlink(path);
	return 0;
}

/* Not opened, by this error, with something said of it; which was to be foreseen. */
static void refused(const struct backing_options *options, int error, const char *reason)
{
	struct backing *backing = NULL;

	why[0] = '\0';
	assert_int_equal(backing_expect(options, &backing, why), error);
	assert_non_null(strstr(why, reason));
	why[0] = '\0';
	assert_int_equal(backing_open(options, &backing, why), error);
	assert_null(backing);
	assert_non_null(strstr(why, reason));
}

static void opens(const struct backing_options *given)
{
	struct backing_options options = *given;

	if (backing_expect(given, &options.ahead, why) < 0)
		fail_msg("%s", why);
	table_open(&table, &options);
	backing_close(table.backing);
}

static void put(uint64_t offset, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)offset), len);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

static void test_options(void **state)
{
	struct backing_options good = table_options(&table, path), bad;

	bad = good, bad.segment_size = 96 * KIB;
	refused(&bad, -EINVAL, "power of two");
	bad = good, bad.segment_size = 32 * KIB;
	refused(&bad, -EINVAL, "64 KiB");
	bad = good, bad.segment_size = 32 * MIB;
	refused(&bad, -EINVAL, "16 MiB");
	bad = good, bad.depth = 17;
	refused(&bad, -EINVAL, "16 segments");
	bad = good, bad.readers = 1025;
	refused(&bad, -EINVAL, "1024 reads");
	bad = good, bad.name = "0123456789012345678901234567890123456789012345678901234567890123";
	refused(&bad, -EINVAL, "63 bytes");
	bad = good, bad.segment_size = MIB;
	refused(&bad, -EINVAL, "too small");
	bad = good, bad.where = "/nowhere/at/all";
	refused(&bad, -ENOENT, "No such file");
	bad = good, bad.where = "/dev/null";
	refused(&bad, -EINVAL, "neither a file nor a block device");
	bad = good, bad.where = "/";
	refused(&bad, -EINVAL, "neither");
	opens(&good);
}

static void test_file_size(void **state)
{
	struct backing_options options = table_options(&table, path);
	struct stat st;

	options.file_size = 4 * MIB;
	opens(&options);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4 * MIB);
	/* Never smaller. */
	options.file_size = MIB;
	opens(&options);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4 * MIB);
	unlink(path);
	options.file_size = 2 * MIB;
	opens(&options);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* A swap area, a partition table, and the last one's signature at the end: RAID of version 1.0. */
static void test_foreign(void **state)
{
	static const uint8_t partition[] = {0x80, 0, 2, 0, 0x83, 0, 0x20, 0,
					    1,	  0, 0, 0, 0,	 4, 0,	  0};
	struct backing_options options = table_options(&table, path);
	uint32_t version = 1;

	put(1024, &version, sizeof(version));
	version = 255; /* the last page */
	put(1028, &version, sizeof(version));
	put(4086, "SWAPSPACE2", 10);
	refused(&options, -EEXIST, "it holds swap");
	options.overwrite = true;
	opens(&options);
	/* It is ours by now. */
	options.overwrite = false;
	opens(&options);

	unlink(path);
	file_make(path, MIB);
	options.where = path;
	put(446, partition, sizeof(partition));
	put(510, "\x55\xaa", 2);
	refused(&options, -EEXIST, "it holds dos");
}

/* Something that nobody has a name for is taken, as zram takes it. */
static void test_unknown(void **state)
{
	struct backing_options options = table_options(&table, path);

	put(0, "neither fish nor flesh", 22);
	opens(&options);
}

static void test_busy(void **state)
{
	struct backing_options options = table_options(&table, path);

	table_open(&table, &options);
	refused(&options, -EBUSY, "another server");
	backing_close(table.backing);
	opens(&options);
}

static void test_recover(void **state)
{
	struct backing_options options = table_options(&table, path);
	uint8_t uuid[16], other[16] = {0};
	uint32_t wrong = 77;

	options.recover = other;
	refused(&options, -ESTALE, "no backing store");
	options.recover = NULL;
	table_open(&table, &options);
	backing_get_uuid(table.backing, uuid);
	backing_close(table.backing);
	refused((options.recover = other, &options), -ESTALE, "another pool");
	options.recover = uuid;
	options.segment_size = 128 * KIB;
	refused(&options, -ESTALE, "65536 bytes, not 131072");
	options.segment_size = 64 * KIB;
	assert_int_equal(truncate(path, MIB - 64 * KIB), 0);
	refused(&options, -ESTALE, "smaller");
	assert_int_equal(truncate(path, MIB), 0);
	opens(&options);
	/* The name of a file's owner is not asked for: it is locked. */
	options.name = "somebody else";
	opens(&options);
	put(8, &wrong, sizeof(wrong));
	refused(&options, -ESTALE, "no backing store");
}

/* Who expects to recover it neither disturbs who has it nor waits for him. */
static void test_expect(void **state)
{
	struct backing_options options = table_options(&table, path);
	struct backing *never = NULL;
	uint8_t uuid[16];

	table_open(&table, &options);
	backing_get_uuid(table.backing, uuid);
	options.recover = uuid;
	assert_int_equal(backing_expect(&options, &never, why), 0);
	backing_close(never);
	assert_int_equal(backing_expect(&options, &options.ahead, why), 0);
	for (uint32_t page = 0; page < 64; page++) {
		table_write(&table, page);
		assert_int_equal(table_evict(&table, page), 0);
	}
	table_close(&table);
	table_open(&table, &options);
	table_recover(&table);
	assert_int_equal(table_read(&table, 0, 64, false), 0);
	table_close(&table);
	/* Taken, though it comes to nothing. */
	assert_int_equal(backing_expect(&options, &options.ahead, why), 0);
	options.where = "/nowhere/at/all";
	assert_int_equal(backing_open(&options, &never, why), -ENOENT);
}

/* What a file is cut short by cannot be read; the rest can. */
static void test_cut_short(void **state)
{
	struct backing_options options = table_options(&table, path);
	enum backing_engine engines[] = {BACKING_AUTO, BACKING_THREADS};

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		options.engine = engines[i];
		table_open(&table, &options);
		for (uint32_t page = 0; page < 64; page++) {
			table_write(&table, page);
			assert_int_equal(table_evict(&table, page), 0);
		}
		assert_int_equal(backing_flush(table.backing), 0);
		assert_int_equal(truncate(path, 64 * KIB + 12345), 0);
		assert_true(table_read(&table, 40, 24, false) > 0);
		assert_int_equal(table_read(&table, 0, 2, false), 0);
		assert_true(stats_of(&table).failed_reads > 0);
		for (uint32_t page = 0; page < 64; page++)
			table_drop(&table, page);
		table_validate(&table);
		backing_close(table.backing);
		assert_int_equal(truncate(path, MIB), 0);
	}
}

/* Run losetup; its first line of output. False: it cannot be. */
static bool losetup(const char *arguments, char *line, size_t size)
{
	char command[512];
	FILE *output;
	bool said;

	snprintf(command, sizeof(command), "losetup %s 2>/dev/null", arguments);
	output = popen(command, "r");
	if (!output)
		return false;
	said = fgets(line, (int)size, output) != NULL;
	line[said ? strcspn(line, "\n") : 0] = '\0';
	return pclose(output) == 0;
}

/* A disk with sectors of 4096 bytes, where there are loop devices and we may use them. */
static void test_block_device(void **state)
{
	char disk[64], arguments[400], ignored[8];
	struct backing_options options = table_options(&table, disk);

	snprintf(arguments, sizeof(arguments), "--find --show --sector-size 4096 %s", path);
	if (!losetup(arguments, disk, sizeof(disk)))
		skip();
	table_open(&table, &options);
	/* Nobody else may have it, not even to mount it. */
	refused(&options, -EBUSY, "busy");
	for (uint32_t page = 0; page < 64; page++) {
		table_write(&table, page);
		assert_int_equal(table_evict(&table, page), 0);
	}
	assert_int_equal(backing_flush(table.backing), 0);
	assert_int_equal(table_read(&table, 0, 64, false), 0);
	assert_true(stats_of(&table).direct);
	table_close(&table);
	snprintf(arguments, sizeof(arguments), "--detach %s", disk);
	assert_true(losetup(arguments, ignored, sizeof(ignored)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_block_device, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
