/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: of another process's memory the pages that are there are found and read, no others. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/procmem.h"

#define PAGES 300

/* Runs that are longer than what is reported at a time, end at a border of it, and stand alone. */
static const struct {
	size_t first, pages;
} runs[] = {{0, 1}, {2, 1}, {10, 54}, {70, 130}, {256, 3}, {299, 1}};

struct found {
	uint64_t base;
	unsigned char present[PAGES];
	uint64_t total, longest;
};

static int note(void *opaque, uint64_t address, size_t pages)
{
	struct found *found = opaque;

	found->total += pages;
	if (pages > found->longest)
		found->longest = pages;
	for (size_t i = 0; i < pages; i++, address += PROCMEM_PAGE) {
		if (address >= found->base && address < found->base + PAGES * PROCMEM_PAGE)
			found->present[(address - found->base) / PROCMEM_PAGE]++;
	}
	return 0;
}

static int stop_at_once(void *opaque, uint64_t address, size_t pages)
{
	++*(int *)opaque;
	return 42;
}

/* A child that sleeps, with the same memory as we have. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when an assertion fails */
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static char *region(int flags)
{
	char *base = mmap(NULL, (size_t)PAGES * PROCMEM_PAGE, PROT_READ | PROT_WRITE,
			  flags | MAP_ANONYMOUS, -1, 0);

	assert_true(base != MAP_FAILED);
	madvise(base, (size_t)PAGES * PROCMEM_PAGE, MADV_NOHUGEPAGE);
	return base;
}

static void fill(char *base)
{
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		for (size_t page = runs[i].first; page < runs[i].first + runs[i].pages; page++)
			memset(base + page * PROCMEM_PAGE, (int)(page % 251) + 1, PROCMEM_PAGE);
	}
}

static void test_walk(void **state)
{
	char *base = region(MAP_PRIVATE), buf[3 * PROCMEM_PAGE];
	struct found found = {.base = (uintptr_t)base};
	unsigned char expected[PAGES] = {0};
	struct procmem process;
	uint64_t swapped = 7;
	pid_t pid;
	int calls = 0;

	fill(base);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		memset(expected + runs[i].first, 1, runs[i].pages);
	pid = child();
	assert_int_equal(procmem_open(pid, &process), 0);
	assert_int_equal(procmem_walk(&process, note, &found, &swapped), 0);
	assert_memory_equal(found.present, expected, sizeof(expected));
	assert_true(found.longest <= PROCMEM_RUN);
	assert_int_equal(procmem_walk(&process, stop_at_once, &calls, NULL), 42);
	assert_int_equal(calls, 1);

	assert_int_equal(procmem_read(&process, (uintptr_t)base + 256 * PROCMEM_PAGE, buf, 3), 3);
	assert_memory_equal(buf, base + 256 * PROCMEM_PAGE, sizeof(buf));
	munmap(base, (size_t)PAGES * PROCMEM_PAGE);
	end(pid);
	procmem_close(&process);
}

/* Memory that is shared is not what is swapped out of one process alone. */
static void test_shared(void **state)
{
	char *base = region(MAP_SHARED);
	struct found found = {.base = (uintptr_t)base};
	unsigned char none[PAGES] = {0};
	struct procmem process;

	fill(base);
	assert_int_equal(procmem_open(getpid(), &process), 0);
	assert_int_equal(procmem_walk(&process, note, &found, NULL), 0);
	assert_memory_equal(found.present, none, sizeof(none));
	assert_true(found.total > 0); /* stack and heap */
	procmem_close(&process);
	munmap(base, (size_t)PAGES * PROCMEM_PAGE);
}

static void test_gone(void **state)
{
	struct found found = {.base = 0};
	struct procmem process;
	char buf[PROCMEM_PAGE];
	pid_t pid = child();

	assert_int_equal(procmem_open(pid, &process), 0);
	assert_int_equal(procmem_read(&process, PROCMEM_PAGE, buf, 1), 0); /* nothing is there */
	end(pid);
	assert_true(procmem_walk(&process, note, &found, NULL) < 0);
	assert_int_equal(found.total, 0);
	procmem_close(&process);
	assert_int_equal(procmem_open(pid, &process), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
