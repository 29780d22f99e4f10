/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/device/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static _Atomic bool armed, paused, fired;
static _Atomic enum fault_mode mode_armed;
static _Atomic int64_t left, held;

void fault_arm(enum fault_mode mode, uint64_t n)
{
	fired = false;
	mode_armed = mode;
	left = (int64_t)n;
	armed = true;
}

bool fault_disarm(void)
{
	armed = false;
	return atomic_exchange(&fired, false);
}

void fault_pause(bool now)
{
	paused = now;
}

int64_t fault_held(void)
{
	return held;
}

static bool due(void)
{
	int64_t now = atomic_fetch_sub(&left, 1) - 1;

	if (now > 0 || (mode_armed == FAULT_ONCE && now < 0))
		return false;
	fired = true;
	return true;
}

static bool request_fails(void)
{
	return armed && !paused && mode_armed != FAULT_RELEASE && mode_armed != FAULT_COMMIT &&
	       due();
}

static bool commit_fails(void)
{
	return armed && !paused && mode_armed != FAULT_RELEASE && due();
}

static bool release_fails(void)
{
	return armed && !paused && mode_armed == FAULT_RELEASE && due();
}

static void *hold(void *memory)
{
	if (memory != NULL)
		held++;
	return memory;
}

/* The names are the linker's (--wrap); mmap64 is mmap where file offsets have 64 bits. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret_memory, size_t alignment, size_t size);
void __real_free(void *memory);
void *__real_mmap64(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t size);
int __real_madvise(void *addr, size_t size, int advice);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret_memory, size_t alignment, size_t size);
void __wrap_free(void *memory);
void *__wrap_mmap64(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *addr, size_t size);
int __wrap_madvise(void *addr, size_t size, int advice);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);

void *__wrap_malloc(size_t size)
{
	return request_fails() ? NULL : hold(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return request_fails() ? NULL : hold(__real_calloc(n, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return request_fails() ? NULL : hold(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
	int err = request_fails() ? ENOMEM : __real_posix_memalign(ret_memory, alignment, size);

	if (err == 0)
		held++;
	return err;
}

void __wrap_free(void *memory)
{
	if (memory != NULL)
		held--;
	__real_free(memory);
}

void *__wrap_mmap64(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	void *memory;

	if (request_fails()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	memory = __real_mmap64(addr, size, prot, flags, fd, offset);
	if (memory != MAP_FAILED)
		held++;
	return memory;
}

int __wrap_munmap(void *addr, size_t size)
{
	held--;
	return __real_munmap(addr, size);
}

int __wrap_madvise(void *addr, size_t size, int advice)
{
	bool release = advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED;

	if (release ? release_fails() : commit_fails()) {
		errno = ENOMEM;
		return -1;
	}
	return __real_madvise(addr, size, advice);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	return request_fails() ? EAGAIN : __real_pthread_create(thread, attr, fn, arg);
}
