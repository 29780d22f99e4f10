/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: memory is there after a commit, and gone, and zero, after a release; what others have put
 * into shared memory is mapped, and nothing else.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/os.h"

#define PAGE  4096
#define PAGES 1024

static unsigned int resident(void *base)
{
	unsigned char vec[PAGES];
	unsigned int n = 0;

	assert_return_code(mincore(base, PAGES * PAGE, vec), 0);
	for (int i = 0; i < PAGES; i++)
		n += vec[i] & 1;
	return n;
}

static void commit_and_release(bool locked)
{
	static const char zeros[PAGE];
	void *memory;
	char *base;

	assert_int_equal(os_reserve((size_t)PAGES * PAGE, &memory), 0);
	base = memory;
	if (locked)
		assert_return_code(mlock2(base, (size_t)PAGES * PAGE, MLOCK_ONFAULT), 0);
	assert_int_equal(resident(base), 0);
	assert_int_equal(os_commit(base + 10 * PAGE, 20 * PAGE), 0);
	assert_int_equal(resident(base), 20);
	memset(base + 10 * PAGE, 0xa5, 20 * PAGE);
	assert_int_equal(os_commit(base + 5 * PAGE, 10 * PAGE), 0);
	assert_int_equal(resident(base), 25);
	assert_int_equal(base[10 * PAGE], (char)0xa5); /* what was there stays */

	assert_int_equal(os_release(base + 12 * PAGE, 4 * PAGE), 0);
	assert_int_equal(resident(base), 21);
	assert_memory_equal(base + 12 * PAGE, zeros, PAGE);
	assert_int_equal(base[11 * PAGE], (char)0xa5);
	os_unreserve(base, (size_t)PAGES * PAGE);
}

static void test_commit_and_release(void **state)
{
	commit_and_release(false);
}

/* Locked memory is the case that MADV_DONTNEED refuses. */
static void test_locked(void **state)
{
	commit_and_release(true);
}

/* Of shared memory, which stays there when it is only taken from the page tables. */
static void release_shared(bool locked)
{
	static const char zeros[PAGE];
	const size_t size = (size_t)PAGES * PAGE;
	char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t found[PAGES];

	assert_ptr_not_equal(base, MAP_FAILED);
	if (locked)
		assert_return_code(mlock2(base, size, MLOCK_ONFAULT), 0);
	assert_int_equal(os_commit(base + 10 * PAGE, 20 * PAGE), 0);
	memset(base + 10 * PAGE, 0xa5, 20 * PAGE);
	assert_int_equal(os_resident(base, size, found), 0);
	for (int i = 0; i < PAGES; i++)
		assert_int_equal(found[i] & 1, i >= 10 && i < 30);
	assert_int_equal(os_release_shared(base + 12 * PAGE, 4 * PAGE), 0);
	assert_int_equal(resident(base), 16);
	assert_memory_equal(base + 12 * PAGE, zeros, PAGE);
	assert_int_equal(base[11 * PAGE], (char)0xa5);
	assert_int_equal(base[16 * PAGE], (char)0xa5);
	munmap(base, size);
	assert_true(os_resident(base, size, found) < 0);
}

static void test_release_shared(void **state)
{
	release_shared(false);
#ifndef __SANITIZE_ADDRESS__ /* which makes munlock() nothing */
	release_shared(true);
#endif
}

/* Pages of the range that this process's page tables have. */
static unsigned int mapped(const void *base)
{
	FILE *pagemap = fopen("/proc/self/pagemap", "re");
	uint64_t entries[PAGES];
	unsigned int n = 0;

	assert_non_null(pagemap);
	assert_int_equal(
		fseek(pagemap, (long)((uintptr_t)base / PAGE * sizeof(*entries)), SEEK_SET), 0);
	assert_int_equal(fread(entries, sizeof(*entries), PAGES, pagemap), PAGES);
	fclose(pagemap);
	for (unsigned int i = 0; i < PAGES; i++)
		n += (unsigned int)(entries[i] >> 63);
	return n;
}

/* Of shared memory with holes, written by another mapping of it. */
static void test_map_resident(void **state)
{
	const size_t size = (size_t)PAGES * PAGE;
	int fd = memfd_create("test-os", MFD_CLOEXEC);
	char *theirs, *ours;

	assert_return_code(fd, errno);
	assert_return_code(ftruncate(fd, (off_t)size), errno);
	theirs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(theirs, MAP_FAILED);
	madvise(theirs, size, MADV_NOHUGEPAGE);
	ours = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(ours, MAP_FAILED);
	assert_int_equal(os_map_resident(ours, size), 0);
	assert_int_equal(mapped(ours), 0);
	assert_int_equal(resident(ours), 0);

	/* The first, the last, and on both sides of what is asked about at a time. */
	for (unsigned int i = 0; i < PAGES; i += i == 0 ? 510 : 1)
		if (i < 515 || i % 3 == 0 || i == PAGES - 1)
			theirs[(size_t)i * PAGE] = 1;
	assert_int_equal(mapped(ours), 0);
	assert_int_equal(os_map_resident(ours, size), 0);
	assert_int_equal(resident(ours), resident(theirs));
	assert_int_equal(mapped(ours), mapped(theirs));
	assert_int_equal(resident(ours), mapped(theirs));
	assert_in_range(mapped(ours), 100, PAGES / 2);

	munmap(ours, size);
	munmap(theirs, size);
	close(fd);
}

static void test_reserve_too_much(void **state)
{
	void *base = NULL;

	assert_true(os_reserve((size_t)1 << 60, &base) < 0);
	assert_null(base);
	os_unreserve(NULL, PAGE);
}

static void test_wait(void **state)
{
	uint32_t word = 1;
	uint64_t start = os_now();

	os_wait(&word, 0, -1); /* it is not 0: returns at once, or the test never ends */
	os_wait(&word, 1, 20);
	assert_true(os_now() - start >= 20 * 1000000);
}

/* Of idle priority, a thread stays so until it is wanted, by who may; others are as they were. */
static void *be_idle(void *ret_policy)
{
	int r;

	assert_int_equal(os_thread_idle(), 0);
	*(int *)ret_policy = sched_getscheduler(0);
	r = os_thread_normal(pthread_self());
	assert_true(r == 0 || r == -EPERM);
	assert_int_equal(sched_getscheduler(0), r == 0 ? SCHED_OTHER : SCHED_IDLE);
	return NULL;
}

static void test_idle(void **state)
{
	int policy = -1, before = sched_getscheduler(0);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, be_idle, &policy), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(policy, SCHED_IDLE);
	assert_int_equal(sched_getscheduler(0), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commit_and_release),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_release_shared),
		cmocka_unit_test(test_map_resident),
		cmocka_unit_test(test_reserve_too_much),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
