/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/codec/guard.h"

#include <sys/mman.h>

#include "codec/codec.h"
#include "tests/lib/check.h"

void guard_init(struct guard *guard, size_t size)
{
	uint8_t *base = mmap(NULL, size + 2 * CODEC_PAGE_SIZE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(base != MAP_FAILED, "no address space");
	guard->start = base + CODEC_PAGE_SIZE;
	guard->end = guard->start + size;
	CHECK(mprotect(guard->start, size, PROT_READ | PROT_WRITE) == 0, "no memory");
}

void guard_fini(struct guard *guard)
{
	munmap(guard->start - CODEC_PAGE_SIZE,
	       (size_t)(guard->end - guard->start) + 2 * CODEC_PAGE_SIZE);
}
