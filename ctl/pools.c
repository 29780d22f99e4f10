/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/pools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

struct found {
	struct ctl_pool *pools;
	size_t count;
};

static int add(void *opaque, const struct segment_info *info)
{
	struct found *found = opaque;
	struct ctl_pool *more;

	if (info->claimant != 0)
		return 0;
	more = reallocarray(found->pools, found->count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	found->pools = more;
	more += found->count++;
	memcpy(more->name, info->name, sizeof(more->name));
	more->memory = info->resident + info->swapped;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct ctl_pool *x = a, *y = b;

	return strverscmp(x->name, y->name);
}

int ctl_pools_find(struct ctl_pool **ret_pools, size_t *ret_count)
{
	struct found found = {0};
	int ret = segment_list(add, &found);

	if (ret < 0 && ret != -ENOENT) {
		free(found.pools);
		ctl_complain("/proc/sysvipc/shm: %s", strerror(-ret));
		return CTL_FAILURE;
	}
	if (found.count > 0)
		qsort(found.pools, found.count, sizeof(*found.pools), by_name);
	*ret_pools = found.pools;
	*ret_count = found.count;
	return CTL_OK;
}
