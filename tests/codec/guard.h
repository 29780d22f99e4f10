/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard: memory with a page on either side that nobody may touch. What is put flush against one
 * of its ends and is read or written beyond it ends the program with SIGSEGV.
 */
#ifndef ZCRAM_TESTS_GUARD_H
#define ZCRAM_TESTS_GUARD_H

#include <stddef.h>
#include <stdint.h>

struct guard {
	uint8_t *start, *end;
};

/* SIZE bytes, a multiple of the page size. Ends the program when there is no memory. */
void guard_init(struct guard *guard, size_t size);
void guard_fini(struct guard *guard);

#endif
