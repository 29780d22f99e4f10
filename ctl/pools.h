/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pools: memory of devices that outlives their servers (common/segment.h), and whose server is gone.
 */
#ifndef ZCRAM_CTL_POOLS_H
#define ZCRAM_CTL_POOLS_H

#include <stddef.h>
#include <stdint.h>

#include "common/segment.h"

struct ctl_pool {
	char name[SEGMENT_NAME_SIZE];
	uint64_t memory; /* bytes, swapped out or not */
};

/*
 * The pools that nobody serves and that the caller may read, by name. Allocates; *ret_pools is the
 * caller's to free(). CTL_OK; else a complaint has been made, and the exit status is returned. Where the
 * kernel has no such memory there are none.
 */
int ctl_pools_find(struct ctl_pool **ret_pools, size_t *ret_count);

#endif
