/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault: let the rooms' requests for memory and for threads fail.
 *
 * A program linked with this and with fault_link_args (tests/device/meson.build) has the rooms'
 * calls of malloc, calloc, aligned_alloc, posix_memalign, mmap, madvise and pthread_create come by
 * here, and those of free and munmap, which are counted against them. What shared libraries do
 * among themselves does not come by.
 */
#ifndef ZCRAM_TESTS_FAULT_H
#define ZCRAM_TESTS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum fault_mode {
	FAULT_ONCE,    /* the n-th request fails */
	FAULT_ONWARDS, /* so does every later one, until disarmed */
	FAULT_COMMIT,  /* the same, but of memory for what is mapped already, and nothing else */
	FAULT_RELEASE, /* requests are met; giving memory back fails, from the n-th time onwards */
};

/* N: 1 for the next request of any thread. */
void fault_arm(enum fault_mode mode, uint64_t n);

/* No more failures. Has there been any since it was armed, or since the last call of this? */
bool fault_disarm(void);

/* While it is so, no request fails, nor is it counted. */
void fault_pause(bool paused);

/* Allocations and mappings that are held now. */
int64_t fault_held(void);

#endif
