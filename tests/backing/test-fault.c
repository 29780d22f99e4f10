/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a backing store whose calls fail, do a part, are never done, or are done in another
 * order; that has no memory, or no io_uring.
 *
 * The linker has the calls come by here (--wrap; tests/device/fault.h does so with those for
 * memory).
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "backing/engine.h"
#include "tests/backing/fixture.h"
#include "tests/device/fault.h"

#define PAGES	     1000U
#define HELD	     4U

#define TIME_TO_HANG 60 /* seconds, after which a wait for another thread is given up */

static struct table table;
static struct backing_options options;
static char path[256];

/* What happens to calls; atomic. */
static int ring_error;			/* of io_uring_queue_init() */
static uint32_t shortened;		/* pread and pwrite move a part, or are interrupted */
static int call_error;			/* of pread and pwrite, from the one on that... */
static uint32_t fail_from = UINT32_MAX; /* ...has this number */
static uint32_t calls;
static bool refused; /* the next io_uring_submit(): for lack of memory, and... */
static bool pauses;  /* ...what it pauses by is over when the test says so */
static sem_t paused, go_on;

int __real_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __real_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __real_engine_open(const struct engine_options *o, struct engine **ret, char *why);
int __wrap_engine_open(const struct engine_options *o, struct engine **ret, char *why);

int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	return ring_error < 0 ? ring_error : __real_io_uring_queue_init(entries, ring, flags);
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	return __atomic_exchange_n(&refused, false, __ATOMIC_SEQ_CST)
		       ? -EAGAIN
		       : __real_io_uring_submit(ring);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (count > 0 || !load_relaxed(&pauses))
		return __real_poll(fds, count, timeout);
	sem_post(&paused);
	while (sem_wait(&go_on) < 0)
		;
	return 0;
}

/* After N more calls, all fail. */
static void fail_after(uint32_t n, int error)
{
	call_error = error;
	store_relaxed(&fail_from, load_relaxed(&calls) + n);
}

static void fail_no_more(void)
{
	store_relaxed(&fail_from, UINT32_MAX);
}

/* False: the call fails, with errno. Else *LEN is how much it may move. */
static bool permit(size_t *len)
{
	uint32_t n = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);

	if (n >= load_relaxed(&fail_from)) {
		errno = call_error;
		return false;
	}
	if (!load_relaxed(&shortened))
		return true;
	if (n % 3 == 0) {
		errno = n % 2 ? EINTR : EAGAIN;
		return false;
	}
	/* A part, but never less than a sector: less is no room, or the end. */
	if (*len > 8192)
		*len = *len / 3 + n % 777;
	return true;
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset)
{
	size_t most = len;
	ssize_t n = permit(&most) ? __real_pread64(fd, buf, len, offset) : -1;

	return n > (ssize_t)most ? (ssize_t)most : n;
}

/* All of it is written, as direct writes are not of any length, and a part admitted. */
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
	size_t most = len;
	ssize_t n = permit(&most) ? __real_pwrite64(fd, buf, len, offset) : -1;

	return n > (ssize_t)most ? (ssize_t)most : n;
}

/* An engine before the real one. */
static struct {
	struct engine engine;
	struct engine *real;
	bool lose,
		hold; /* writes are answered, and not done; are done, when HELD of them are there */
	struct engine_io *held[HELD];
	unsigned int nr_held;
} front;

static void front_submit(struct engine *engine, struct engine_io *io)
{
	if (io->op != ENGINE_WRITE || !(front.lose || front.hold)) {
		engine_submit(front.real, io);
		return;
	}
	if (front.lose) {
		io->done(io, 0);
		return;
	}
	front.held[front.nr_held++] = io;
	if (front.nr_held < HELD)
		return;
	/* The last one first, and each only when the one before it is done. */
	while (front.nr_held > 0) {
		struct engine_io *last = front.held[--front.nr_held];

		last->done(last,
			   engine_do(front.real, ENGINE_WRITE, last->buf, last->len, last->offset));
	}
}

static void front_close(struct engine *engine)
{
	engine_close(front.real);
}

int __wrap_engine_open(const struct engine_options *o, struct engine **ret, char *why)
{
	static const struct engine_ops ops = {.submit = front_submit, .close = front_close};
	int r = __real_engine_open(o, &front.real, why);

	if (r < 0)
		return r;
	front.engine = *front.real;
	front.engine.ops = &ops;
	*ret = &front.engine;
	return 0;
}

static int setup(void **state)
{
	table_init(&table, PAGES);
	file_make(path, 2 * MIB);
	options = table_options(&table, path);
	return 0;
}

static int teardown(void **state)
{
	ring_error = 0;
	shortened = 0;
	fail_no_more();
	front.lose = front.hold = false;
	table_close(&table);
	table_fini(&table);
	unlink(path);
	return 0;
}

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

static void test_forbidden(void **state)
{
	static const int errors[] = {-EPERM, -ENOSYS, -ENOMEM};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		ring_error = errors[i];
		table_open(&table, &options);
		assert_false(stats_of(&table).io_uring);
		assert_int_equal(store(0, 300), 0);
		assert_int_equal(unreadable(0, 300), 0);
		for (uint32_t page = 0; page < 300; page++)
			table_drop(&table, page);
		table_close(&table);
	}
	ring_error = 0;
	table_open(&table, &options);
}

/* Calls that move a part, or are interrupted: all goes well. */
static void test_short(void **state)
{
	options.engine = BACKING_THREADS;
	table_open(&table, &options);
	shortened = 1;
	assert_int_equal(store(0, PAGES), 0);
	assert_int_equal(unreadable(0, PAGES), 0);
	for (uint32_t page = 0; page < PAGES; page++)
		if (page % 3)
			table_drop(&table, page);
	while (backing_clean(table.backing) == 0)
		;
	assert_int_equal(backing_flush(table.backing), 0);
	assert_true(table.moved > 0);
	assert_int_equal(unreadable(0, PAGES), 0);
}

/* Every call in its turn fails, and all after it: what was not written is in the pool. */
static void test_write_fails(void **state)
{
	static const int errors[] = {EIO, ENOSPC, EROFS};

	options.engine = BACKING_THREADS;
	table_open(&table, &options);
	table.errors_expected = true;
	for (uint32_t n = 0; n < 12; n++) {
		uint64_t failed = table.failed;
		uint32_t left;

		fail_after(n, errors[n % 3]);
		left = store(0, 500);
		fail_no_more();
		if (left == 0)
			continue; /* there were not so many calls */
		assert_true(table.failed > failed);
		assert_int_equal(table.error < 0, true);
		assert_int_equal(backing_get_state(table.backing), BACKING_FAILED);
		assert_int_equal(stats_of(&table).error, -call_error);
		assert_int_equal(unreadable(0, 500), 0);
		table_validate(&table);
		backing_retry(table.backing);
		assert_int_equal(backing_get_state(table.backing), BACKING_READY);
	}
	assert_true(stats_of(&table).failed_writes > 0);
	assert_int_equal(store(0, 500), 0);
	assert_int_equal(unreadable(0, 500), 0);
}

static void test_read_fails(void **state)
{
	options.engine = BACKING_THREADS;
	table_open(&table, &options);
	assert_int_equal(store(0, 64), 0);
	for (uint32_t n = 0; n < 64; n += 7) {
		unsigned int bad = 0;

		fail_after(n, EIO);
		for (uint32_t page = 0; page < 64; page++)
			bad += table_read(&table, page, 1, false);
		assert_int_equal(bad, 64 - n);
		fail_no_more();
	}
	fail_after(0, EIO);
	assert_int_equal(table_read(&table, 0, 64, false), 64);
	fail_no_more();
	/* A segment that cannot be read cannot be cleaned, and is left alone. */
	for (uint32_t page = 4; page < 64; page++)
		table_drop(&table, page);
	fail_after(0, EIO);
	assert_int_equal(backing_clean(table.backing), -EIO);
	assert_int_equal(backing_clean(table.backing), -EAGAIN);
	fail_no_more();
	assert_int_equal(table_read(&table, 0, 64, false), 0);
}

/* What cleaning could not write stays where it was, and is cleaned later. */
static void test_clean_fails(void **state)
{
	options.engine = BACKING_THREADS;
	table_open(&table, &options);
	table.errors_expected = true;
	assert_int_equal(store(0, 60), 0);
	for (uint32_t page = 0; page < 60; page++)
		if (page % 4)
			table_drop(&table, page);
	fail_after(1, EIO); /* the segment is read, and nothing is written */
	assert_int_equal(backing_clean(table.backing), 0);
	assert_int_equal(backing_flush(table.backing), -EIO);
	fail_no_more();
	assert_int_equal(table.moved, 0);
	assert_int_equal(unreadable(0, 60), 0);
	table_validate(&table);
	backing_retry(table.backing);
	while (backing_clean(table.backing) == 0)
		;
	assert_int_equal(backing_flush(table.backing), 0);
	assert_true(table.moved > 0);
	assert_int_equal(unreadable(0, 60), 0);
}

/* The disk is full in the middle of a segment: the rest of it is refused after a part was written.
 */
static void test_disk_full(void **state)
{
	struct rlimit before, limit;

	signal(SIGXFSZ, SIG_IGN);
	table_open(&table, &options);
	table.errors_expected = true;
	assert_int_equal(store(0, 40), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 9 * 64 * KIB + 8192;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_true(store(40, 900) > 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(stats_of(&table).error, -EFBIG);
	assert_int_equal(backing_get_state(table.backing), BACKING_FAILED);
	assert_int_equal(unreadable(0, PAGES), 0);
	backing_retry(table.backing);
	assert_int_equal(store(40, 400), 0);
	assert_int_equal(unreadable(0, PAGES), 0);
}

static void *read_some(void *opaque)
{
	return (void *)(uintptr_t)table_read(&table, 0, TABLE_READ_MAX, false);
}

/* Whose request the kernel has no memory for waits, and nobody else for him. */
static void test_refused(void **state)
{
	pthread_t thread;
	void *bad;

	table_open(&table, &options);
	if (!stats_of(&table).io_uring)
		skip();
	sem_init(&paused, 0, 0);
	sem_init(&go_on, 0, 0);
	assert_int_equal(store(0, PAGES / 5), 0);
	store_relaxed(&pauses, true);
	store_relaxed(&refused, true);
	assert_int_equal(pthread_create(&thread, NULL, read_some, NULL), 0);
	alarm(TIME_TO_HANG);
	while (sem_wait(&paused) < 0)
		;
	assert_int_equal(unreadable(PAGES / 10, PAGES / 10), 0);
	assert_int_equal(store(PAGES / 5, PAGES / 5), 0);
	store_relaxed(&pauses, false);
	sem_post(&go_on);
	assert_int_equal(pthread_join(thread, &bad), 0);
	alarm(0);
	assert_int_equal((uintptr_t)bad, 0);
	assert_int_equal(unreadable(0, 2 * PAGES / 5), 0);
	sem_destroy(&paused);
	sem_destroy(&go_on);
}

/* A disk that says yes and does nothing: what stood there before is not taken for the page's
 * content. */
static void test_lost_writes(void **state)
{
	table_open(&table, &options);
	for (int round = 0; round < 6; round++) {
		front.lose = round % 2 == 1;
		assert_int_equal(store(0, 500), 0);
		assert_int_equal(unreadable(0, 500), front.lose ? 500 : 0);
		for (uint32_t page = 0; page < 500; page++)
			table_drop(&table, page);
	}
}

/* Segments that are written in another order than they were filled in. */
static void test_order(void **state)
{
	options.depth = HELD;
	table_open(&table, &options);
	front.hold = true;
	for (uint32_t page = 0; page < PAGES; page++) {
		table_write(&table, page);
		assert_int_equal(table_evict(&table, page), 0);
		if (page % 100 == 0 && page > 0)
			assert_int_equal(table_read(&table, page - 64, 64, false), 0);
	}
	front.hold = false;
	while (front.nr_held > 0)
		engine_submit(front.real, front.held[--front.nr_held]);
	assert_int_equal(backing_flush(table.backing), 0);
	assert_int_equal(unreadable(0, PAGES), 0);
	assert_int_equal(table.stored, PAGES);
}

/* Whatever could not be had, opening says so, and keeps nothing. */
static void test_no_memory(void **state)
{
	static const enum backing_engine engines[] = {BACKING_AUTO, BACKING_THREADS};
	char why[BACKING_WHY];

	for (size_t i = 0; i < 2 * ARRAY_SIZE(engines); i++) {
		int64_t held = fault_held();
		uint64_t n = 0;
		int r;

		options.engine = engines[i % 2];
		options.overwrite = i >= 2;
		do {
			fault_arm(FAULT_ONCE, ++n);
			why[0] = '\0';
			r = backing_open(&options, &table.backing, why);
			if (fault_disarm() && r < 0) {
				assert_true(r == -ENOMEM || r == -EAGAIN);
				assert_true(why[0] != '\0');
			} else {
				assert_int_equal(r, 0);
				backing_close(table.backing);
				table.backing = NULL;
				if (n > 100)
					break;
			}
			assert_int_equal(fault_held(), held);
		} while (n < 100);
		assert_true(n > 10);
	}
	table_open(&table, &options);
}

/*
 * Once it is open it can do without any more memory: a segment is written at a time, and reading asks for none.
 * Cleaning does, and says that there is none; no segment is less to be cleaned for that.
 */
static void test_no_more_memory(void **state)
{
	static const enum backing_engine engines[] = {BACKING_AUTO, BACKING_THREADS};

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		options.engine = engines[i];
		table_open(&table, &options);
		fault_arm(FAULT_ONWARDS, 1);
		assert_int_equal(store(0, 600), 0);
		for (uint32_t page = 0; page < 600; page++)
			if (page % 3)
				table_drop(&table, page);
		assert_int_equal(backing_flush(table.backing), 0);
		assert_int_equal(backing_clean(table.backing), -ENOMEM);
		assert_true(fault_disarm());
		fault_arm(FAULT_ONWARDS, 1);
		assert_int_equal(unreadable(0, 600), 0);
		assert_false(fault_disarm());
		assert_int_equal(backing_clean(table.backing), 0);
		fault_arm(FAULT_ONWARDS, 1);
		while (backing_clean(table.backing) == 0)
			;
		assert_int_equal(backing_flush(table.backing), 0);
		assert_int_equal(unreadable(0, 600), 0);
		fault_disarm();
		for (uint32_t page = 0; page < 600; page++)
			table_drop(&table, page);
		table_close(&table);
	}
	table_open(&table, &options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_forbidden, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clean_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_more_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
