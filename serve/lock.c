/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve/lock.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/os.h"
#include "common/util.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define STACK_DEPTH ((size_t)32 << 10)
#define PAGE	    ((size_t)4 << 10)

static bool has_cap_ipc_lock(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	/* The C library has no wrapper. */
	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

static bool memlock_is_unlimited(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

static int lock_memory(void)
{
	/*
	 * Under a finite limit, locking what is mapped now may succeed, and then every mapping that
	 * would go beyond it fails: a thread's stack, a larger buffer. Better not to lock at all.
	 */
	if (!memlock_is_unlimited() && !has_cap_ipc_lock())
		return -EPERM;
	/* Without MCL_ONFAULT all of the reserved address space would be filled with memory. */
	return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0 ? -errno : 0;
}

struct lock_result lock_apply(void)
{
	return (struct lock_result){
		.memory = lock_memory(),
		.io_flusher = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0 ? -errno : 0,
		.urgent = os_thread_urgent(true),
	};
}

void lock_undo(void)
{
	munlockall();
	prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	os_thread_urgent(false);
}

bool lock_is_complete(const struct lock_result *result)
{
	return result->memory == 0 && result->io_flusher == 0 && result->urgent == 0;
}

bool lock_result_equal(const struct lock_result *a, const struct lock_result *b)
{
	return a->memory == b->memory && a->io_flusher == b->io_flusher && a->urgent == b->urgent;
}

/* Add to TEXT what could not be done, why, and what it takes; R is 0 or a negative errno. */
static void describe(char *text, size_t size, int r, const char *what, const char *needs)
{
	size_t len = strlen(text);

	if (r < 0)
		snprintf(text + len, size - len, "%s%s (%s: it takes %s)", len > 0 ? ", " : "",
			 what, strerror(-r), needs);
}

void lock_describe(const struct lock_result *result, char *text, size_t size)
{
	*text = '\0';
	describe(text, size, result->memory, "memory is not locked",
		 "CAP_IPC_LOCK or ulimit -l unlimited");
	describe(text, size, result->io_flusher, "threads are not marked PR_SET_IO_FLUSHER",
		 "CAP_SYS_RESOURCE");
	describe(text, size, result->urgent, "threads have no real-time policy",
		 "CAP_SYS_NICE or ulimit -r 1");
}

/* All threads use less than a quarter of it. */
#define THREAD_STACK ((size_t)128 << 10)

void lock_prepare_heap(void)
{
	/* One heap for all, extended by so much that it will hardly ever be again. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_TOP_PAD, 1 << 20);
}

void lock_prepare_threads(void)
{
	pthread_attr_t attributes;

	lock_prepare_heap();
	/* No longer only as it is touched: stacks are had whole when their threads are created. */
	mlockall(MCL_FUTURE);
	if (pthread_attr_init(&attributes) != 0)
		return;
	if (pthread_attr_setstacksize(&attributes, THREAD_STACK) == 0)
		pthread_setattr_default_np(&attributes);
	pthread_attr_destroy(&attributes);
}

static bool has_address(const struct dl_phdr_info *object, uintptr_t address)
{
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD &&
		    address - (object->dlpi_addr + segment->p_vaddr) < segment->p_memsz)
			return true;
	}
	return false;
}

/* Is it an object whose code serves requests? The main program has no name here. */
static bool is_on_io_path(const struct dl_phdr_info *object)
{
	static const char *const names[] = {"libzstd.", "liblz4.",     "liburing.",
					    "libc.",	"libpthread.", "libxxhash."};
	const char *name = object->dlpi_name, *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;

	if (*name == '\0' || has_address(object, (uintptr_t)&is_on_io_path))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strncmp(base, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

/* Between the variables, too, where AddressSanitizer wants nobody to look. */
static __attribute__((no_sanitize("address"))) void touch_read(uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = start & ~(PAGE - 1); at < end; at += PAGE)
		(void)*(const volatile char *)at;
}

static int touch_object(struct dl_phdr_info *object, size_t size, void *unused)
{
	if (!is_on_io_path(object))
		return 0;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && (segment->p_flags & (PF_R | PF_W)) == PF_R)
			touch_read(start, start + segment->p_memsz);
	}
	return 0;
}

void lock_touch_code(void)
{
	dl_iterate_phdr(touch_object, NULL);
}

static __attribute__((noinline)) void touch_stack(void)
{
	volatile char stack[STACK_DEPTH];

	for (size_t i = 0; i < sizeof(stack); i += PAGE)
		stack[i] = 0;
}

void lock_touch_stack(void)
{
	/*
	 * Initial-exec: the variable has its place in every thread from the start. As a module that
	 * is loaded late would have it otherwise, the first use in each thread would call malloc().
	 */
	static __thread __attribute__((tls_model("initial-exec"))) bool touched;

	if (touched)
		return;
	touched = true;
	touch_stack();
}
