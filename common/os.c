/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif

#define OS_PAGE 4096

int os_reserve(size_t size, void **ret_base)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -errno;
	madvise(base, size, MADV_DONTDUMP);
	/* A huge page would hold 2 MiB for the first 16 bytes stored in it. */
	madvise(base, size, MADV_NOHUGEPAGE);
	*ret_base = base;
	return 0;
}

void os_unreserve(void *base, size_t size)
{
	if (base)
		munmap(base, size);
}

/* Before Linux 5.14: a page is had by writing to it, and the lack of one is SIGBUS or the OOM
 * killer, as for any program. */
static void touch(volatile char *addr, size_t size)
{
	for (size_t i = 0; i < size; i += OS_PAGE)
		__atomic_fetch_or(&addr[i], 0, __ATOMIC_RELAXED);
}

int os_commit(void *addr, size_t size)
{
	while (madvise(addr, size, MADV_POPULATE_WRITE) < 0) {
		if (errno == EINVAL) {
			touch(addr, size);
			break;
		}
		if (errno != EINTR && errno != EAGAIN)
			return -ENOMEM;
	}
	return 0;
}

int os_prefault(const void *addr, size_t size)
{
	uintptr_t start = (uintptr_t)addr / OS_PAGE * OS_PAGE;
	uintptr_t end = ((uintptr_t)addr + size + OS_PAGE - 1) / OS_PAGE * OS_PAGE;

	return size > 0 ? os_commit((char *)addr - ((uintptr_t)addr - start), end - start) : 0;
}

int os_release(void *addr, size_t size)
{
	if (madvise(addr, size, MADV_DONTNEED_LOCKED) == 0 ||
	    madvise(addr, size, MADV_DONTNEED) == 0)
		return 0;
	/* Before Linux 5.18 locked memory has to be unlocked first; it is to be locked again. */
	if (munlock(addr, size) < 0 || madvise(addr, size, MADV_DONTNEED) < 0 ||
	    mlock2(addr, size, MLOCK_ONFAULT) < 0)
		return -errno;
	return 0;
}

int os_release_shared(void *addr, size_t size)
{
	if (madvise(addr, size, MADV_REMOVE) == 0)
		return 0;
	/* Not of a mapping that is locked, as all of a process may be: mlockall(). */
	if (errno != EINVAL || munlock(addr, size) < 0 || madvise(addr, size, MADV_REMOVE) < 0 ||
	    mlock2(addr, size, MLOCK_ONFAULT) < 0)
		return -errno;
	return 0;
}

int os_resident(const void *addr, size_t size, uint8_t *ret_resident)
{
	return mincore((void *)(uintptr_t)addr, size, ret_resident) < 0 ? -errno : 0;
}

/* Pages that the kernel is asked about at a time: what it says is soon out of date. */
#define MAP_AT_ONCE 512

/* They were in memory a moment ago. */
static int map_run(const uint8_t *addr, size_t size)
{
	while (madvise((void *)(uintptr_t)addr, size, MADV_POPULATE_READ) < 0) {
		if (errno == EINVAL) {
			for (size_t i = 0; i < size; i += OS_PAGE)
				(void)*(const volatile uint8_t *)&addr[i];
			break;
		}
		if (errno != EINTR && errno != EAGAIN)
			return -ENOMEM;
	}
	return 0;
}

static int map_some(const uint8_t *addr, size_t pages)
{
	uint8_t resident[MAP_AT_ONCE];
	int r = os_resident(addr, pages * OS_PAGE, resident);

	for (size_t i = 0, n; r == 0 && i < pages; i += n) {
		bool there = resident[i] & 1;

		for (n = 1; i + n < pages && (resident[i + n] & 1) == there; n++)
			;
		if (there)
			r = map_run(addr + i * OS_PAGE, n * OS_PAGE);
	}
	return r;
}

int os_map_resident(const void *addr, size_t size)
{
	size_t step;
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += step) {
		step = size - at < MAP_AT_ONCE * OS_PAGE ? size - at : MAP_AT_ONCE * OS_PAGE;
		r = map_some((const uint8_t *)addr + at, step / OS_PAGE);
	}
	return r;
}

void os_wait(const uint32_t *word, uint32_t value, int milliseconds)
{
	struct timespec ts = {
		.tv_sec = milliseconds / 1000,
		.tv_nsec = milliseconds % 1000 * 1000000L,
	};

	/* Woken, timed out, interrupted, already changed: the caller looks at the word again. */
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, milliseconds < 0 ? NULL : &ts, NULL, 0);
}

void os_wake(const uint32_t *word, bool all)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, all ? INT32_MAX : 1, NULL, NULL, 0);
}

uint64_t os_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

uint64_t os_thread_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

void os_thread_name(const char *name)
{
	pthread_setname_np(pthread_self(), name);
}

int os_thread_urgent(bool urgent)
{
	int policy = urgent ? SCHED_RR : SCHED_OTHER;
	struct sched_param param = {.sched_priority = sched_get_priority_min(policy)};

	/* 0: the calling thread */
	return sched_setscheduler(0, policy, &param) < 0 ? -errno : 0;
}

int os_thread_idle(void)
{
	struct sched_param param = {.sched_priority = 0};

	return sched_setscheduler(0, SCHED_IDLE, &param) < 0 ? -errno : 0;
}

int os_thread_normal(pthread_t thread)
{
	struct sched_param param = {.sched_priority = 0};

	return -pthread_setschedparam(thread, SCHED_OTHER, &param);
}

bool os_thread_is_urgent(void)
{
	int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;

	return policy == SCHED_RR || policy == SCHED_FIFO;
}

unsigned int os_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned int)n : 1;
}
