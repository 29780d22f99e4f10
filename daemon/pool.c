/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/pool.h"

#include <errno.h>

#include "common/segment.h"

int pool_find(const char *name, bool *ret_found)
{
	struct segment segment;
	bool made;
	int r = segment_claim(name, 0, &segment);

	*ret_found = false;
	if (r < 0)
		return r;
	r = segment_attach(&segment, 0, &made);
	*ret_found = r == 0;
	segment_close(&segment);
	return r == -ENOENT ? 0 : r;
}

int pool_remove(const char *name)
{
	struct segment segment;
	int r = segment_claim(name, 0, &segment);

	if (r == 0)
		r = segment_remove(&segment);
	return r == -ENOENT ? 0 : r;
}
