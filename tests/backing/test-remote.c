/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: a backing store on an export of nbdkit, which fails, falls silent, goes, and comes
 * back. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/backing/export.h"
#include "tests/backing/fixture.h"

#define PAGES 2000U

static struct table table;
static struct export export;
static struct backing_options options;
static char path[256], failing[300];
static const char *args[8]; /* of the nbdkit that is to be started */

static int setup(void **state)
{
	table_init(&table, PAGES);
	file_make(path, 8 * MIB);
	snprintf(failing, sizeof(failing), "%s.fails", path);
	export_init(&export);
	options = table_options(&table, export.uri);
	args[0] = "file";
	args[1] = path;
	args[2] = NULL;
	return 0;
}

static int teardown(void **state)
{
	if (table.backing) {
		backing_close(table.backing);
		table.backing = NULL;
	}
	export_fini(&export);
	table_fini(&table);
	unlink(path);
	unlink(failing);
	return 0;
}

static void start(void)
{
	export_start(&export, args);
}

/* Pages into the store; what could not be written is in the pool still. Returns how many were not.
 */
static uint32_t store(uint32_t first, uint32_t count)
{
	uint32_t left = 0;

	for (uint32_t page = first; page < first + count; page++) {
		table_write(&table, page);
		(void)table_evict(&table, page);
	}
	(void)backing_flush(table.backing);
	for (uint32_t page = first; page < first + count; page++)
		left += table_state(&table, page) != PAGE_STORED;
	return left;
}

static unsigned int unreadable(uint32_t first, uint32_t count)
{
	unsigned int bad = 0;

	for (uint32_t page = first; page < first + count; page += TABLE_READ_MAX)
		bad += table_read(&table, page,
				  (uint32_t)min_u64(TABLE_READ_MAX, first + count - page), false);
	return bad;
}

static void wait_for_state(enum backing_state state)
{
	while (backing_get_state(table.backing) != state)
		sched_yield();
}

static void test_write_and_read(void **state)
{
	struct backing_stats stats;

	start();
	table_open(&table, &options);
	assert_int_equal(store(0, PAGES), 0);
	assert_int_equal(unreadable(0, PAGES), 0);
	for (uint32_t page = 0; page < PAGES; page++)
		if (page % 3)
			table_drop(&table, page);
	while (backing_clean(table.backing) == 0)
		;
	assert_int_equal(backing_flush(table.backing), 0);
	assert_int_equal(unreadable(0, PAGES), 0);
	stats = stats_of(&table);
	assert_int_equal(stats.reconnects, 0);
	assert_true(stats.moved > 0);
	table_close(&table);
}

/* The server is killed and started again at once: nobody is told. */
static void test_killed(void **state)
{
	start();
	table_open(&table, &options);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(store(0, 100), 0);
		export_signal(&export, SIGKILL);
		start();
		assert_int_equal(unreadable(0, 100), 0);
		assert_int_equal(stats_of(&table).reconnects, i + 1);
	}
	table_close(&table);
}

/* It is killed while segments are under way: they are written by the next one. */
static void test_killed_writing(void **state)
{
	start();
	table_open(&table, &options);
	for (uint32_t i = 0; i < 10; i++) {
		for (uint32_t page = 0; page < 200; page++) {
			table_write(&table, page);
			if (page == 20 * i) {
				export_signal(&export, SIGKILL);
				start();
			}
			/* What finds it gone stays in the pool. */
			table.errors_expected = true;
			(void)table_evict(&table, page);
		}
		(void)backing_flush(table.backing);
		assert_int_equal(unreadable(0, 200), 0);
		wait_for_state(BACKING_READY);
	}
	assert_int_equal(store(0, 200), 0);
	assert_int_equal(unreadable(0, 200), 0);
	table_close(&table);
}

static void *read_ten(void *opaque)
{
	CHECK(unreadable(0, 10) == 0, "unreadable");
	return NULL;
}

/* A read waits for the export to come back. */
static void test_read_waits(void **state)
{
	pthread_t thread;

	start();
	table_open(&table, &options);
	assert_int_equal(store(0, 10), 0);
	export_signal(&export, SIGKILL);
	wait_for_state(BACKING_GONE);
	assert_int_equal(pthread_create(&thread, NULL, read_ten, NULL), 0);
	start();
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(stats_of(&table).reconnects, 1);
	table_close(&table);
}

/* Patience is short: what fails may have taken too long only, and succeeds in the end. */
static void open_in_the_end(void)
{
	char why[BACKING_WHY];
	int r;

	while ((r = backing_open(&options, &table.backing, why)) == -ETIMEDOUT)
		;
	assert_int_equal(r, 0);
}

static void store_in_the_end(uint32_t first, uint32_t count)
{
	while (store(first, count) > 0)
		wait_for_state(BACKING_READY);
}

static void read_in_the_end(uint32_t first, uint32_t count)
{
	while (unreadable(first, count) > 0)
		wait_for_state(BACKING_READY);
}

/* It stays away longer than patience lasts: errors, and nothing worse; all is well when it is back.
 */
static void test_gone_and_back(void **state)
{
	options.patience = 50;
	table.errors_expected = true;
	start();
	open_in_the_end();
	store_in_the_end(0, 100);
	export_signal(&export, SIGKILL);
	assert_int_equal(unreadable(0, 100), 100);
	assert_int_equal(backing_get_state(table.backing), BACKING_GONE);
	assert_int_equal(table_evict(&table, (table_write(&table, 500), 500)), -ENOTCONN);
	assert_int_equal(backing_clean(table.backing), -ENOTCONN);
	assert_int_equal(table_state(&table, 500), PAGE_POOL);
	start();
	wait_for_state(BACKING_READY);
	read_in_the_end(0, 100);
	store_in_the_end(500, 100);
	read_in_the_end(500, 100);
	table_close(&table);
}

/* Cleaning is broken off by its going, and goes on without being told. */
static void test_gone_while_cleaned(void **state)
{
	table.errors_expected = true;
	start();
	table_open(&table, &options);
	assert_int_equal(store(0, 20), 0);
	for (uint32_t page = 0; page < 20; page++)
		if (page % 4)
			table_drop(&table, page);
	assert_int_equal(backing_clean(table.backing), 0);
	export_signal(&export, SIGKILL);
	wait_for_state(BACKING_GONE);
	assert_int_equal(backing_flush(table.backing), -ENOTCONN);
	assert_int_equal(table.moved, 0);
	start();
	wait_for_state(BACKING_READY);
	assert_int_equal(backing_clean(table.backing), 0);
	assert_int_equal(backing_flush(table.backing), 0);
	assert_int_equal(table.moved, 5);
	assert_int_equal(unreadable(0, 20), 0);
	table_close(&table);
}

/* The server says nothing any more, but the connection stands. */
static void test_silent(void **state)
{
	options.patience = 100;
	table.errors_expected = true;
	start();
	open_in_the_end();
	store_in_the_end(0, 50);
	export_signal(&export, SIGSTOP);
	assert_int_equal(unreadable(0, 50), 50);
	assert_int_equal(store(60, 40), 40);
	export_signal(&export, SIGKILL); /* nbdkit may not survive SIGCONT here */
	start();
	wait_for_state(BACKING_READY);
	read_in_the_end(0, 50);
	table_close(&table);
}

/* It comes back empty: nothing is written over, and nothing is read out of it. */
static void test_foreign(void **state)
{
	args[0] = "memory";
	args[1] = "8M";
	table.errors_expected = true;
	start();
	table_open(&table, &options);
	assert_int_equal(store(0, 100), 0);
	export_signal(&export, SIGKILL);
	start();
	wait_for_state(BACKING_FOREIGN);
	assert_int_equal(unreadable(0, 100), 100);
	assert_int_equal(store(200, 10), 10);
	assert_int_equal(table_evict(&table, 200), -EIO);
	backing_retry(table.backing);
	assert_int_equal(table_evict(&table, 200), -EIO);
	table_close(&table);
}

static void fail_now(bool fails)
{
	int fd = fails ? open(failing, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd >= 0)
		close(fd);
	else
		unlink(failing);
}

static void start_failing(const char *call)
{
	static char what[64], rate[64], when[400];

	snprintf(what, sizeof(what), "error-%s=EIO", call);
	snprintf(rate, sizeof(rate), "error-%s-rate=100%%", call);
	snprintf(when, sizeof(when), "error-%s-file=%s", call, failing);
	args[0] = "--filter=error";
	args[1] = "file";
	args[2] = path;
	args[3] = what;
	args[4] = rate;
	args[5] = when;
	args[6] = NULL;
	start();
}

static void test_read_fails(void **state)
{
	start_failing("pread");
	table_open(&table, &options);
	assert_int_equal(store(0, 100), 0);
	fail_now(true);
	assert_int_equal(unreadable(0, 100), 100);
	assert_int_equal(stats_of(&table).failed_reads, 100);
	/* A store that cannot be read can be written to all the same. */
	assert_int_equal(backing_get_state(table.backing), BACKING_READY);
	assert_int_equal(store(100, 10), 0);
	fail_now(false);
	assert_int_equal(unreadable(0, 110), 0);
	table_close(&table);
}

static void test_write_fails(void **state)
{
	start_failing("pwrite");
	table_open(&table, &options);
	assert_int_equal(store(0, 100), 0);
	table.errors_expected = true;
	fail_now(true);
	assert_int_equal(store(200, 100), 100);
	assert_int_equal(table.error, -EIO);
	assert_int_equal(backing_get_state(table.backing), BACKING_FAILED);
	assert_int_equal(stats_of(&table).error, -EIO);
	assert_int_equal(table_evict(&table, 200), -EIO);
	assert_int_equal(unreadable(0, 100), 0);
	fail_now(false);
	assert_int_equal(table_evict(&table, 200), -EIO);
	backing_retry(table.backing);
	assert_int_equal(store(200, 100), 0);
	assert_int_equal(unreadable(0, 300), 0);
	table_close(&table);
}

/* A server that takes nothing but whole sectors of 4096 bytes; and one whose sectors are too large.
 */
static void test_sectors(void **state)
{
	struct backing *backing = NULL;
	char why[BACKING_WHY] = "";

	args[0] = "--filter=blocksize-policy";
	args[1] = "file";
	args[2] = path;
	args[3] = "blocksize-preferred=4096";
	args[4] = "blocksize-minimum=4096";
	args[5] = "blocksize-error-policy=error";
	args[6] = NULL;
	start();
	table_open(&table, &options);
	assert_int_equal(store(0, 300), 0);
	assert_int_equal(unreadable(0, 300), 0);
	table_close(&table);
	export_signal(&export, SIGKILL);
	args[3] = "blocksize-preferred=8192";
	args[4] = "blocksize-minimum=8192";
	start();
	assert_int_equal(backing_open(&options, &backing, why), -EINVAL);
	assert_non_null(strstr(why, "8192 bytes"));
}

static void refused(int error, const char *reason)
{
	struct backing *backing = NULL;
	char why[BACKING_WHY] = "";

	assert_int_equal(backing_open(&options, &backing, why), error);
	assert_null(backing);
	assert_non_null(strstr(why, reason));
}

static void test_refused(void **state)
{
	int fd;

	refused(-ENOENT, "connect");
	args[2] = "-r";
	args[3] = NULL;
	start();
	refused(-EROFS, "read-only");
	export_signal(&export, SIGKILL);
	args[2] = NULL;
	/* Something else stands there: the end of a swap area's first page. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\1\0\0\0\xff\0\0\0", 8, 1024), 8);
	assert_int_equal(pwrite(fd, "SWAPSPACE2", 10, 4086), 10);
	close(fd);
	start();
	refused(-EEXIST, "it holds swap");
	options.overwrite = true;
	table_open(&table, &options);
	table_close(&table);
	/* Another's, as far as its name says. */
	options.overwrite = false;
	options.name = "another";
	refused(-EBUSY, "it belongs to \"test\"");
	options.name = "test";
	table_open(&table, &options);
	table_close(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write_and_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_writing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_while_cleaned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sectors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
