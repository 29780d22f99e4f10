/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which allocator a test's pools are of: that of ZCRAM_TEST_ALLOCATOR, zspage (the default) or zbud.
 */
#ifndef ZCRAM_TESTS_ALLOCATOR_H
#define ZCRAM_TESTS_ALLOCATOR_H

#include <stdlib.h>
#include <string.h>

#include "allocator/zs.h"
#include "tests/lib/check.h"

static inline enum zs_kind test_allocator(void)
{
	const char *name = getenv("ZCRAM_TEST_ALLOCATOR");

	if (name == NULL || *name == '\0' || strcmp(name, "zspage") == 0)
		return ZS_ZSPAGE;
	CHECK(strcmp(name, "zbud") == 0, "ZCRAM_TEST_ALLOCATOR=%s is none", name);
	return ZS_ZBUD;
}

#endif
