/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/deaths.h"

bool deaths_add(struct deaths *deaths, uint64_t served)
{
	uint64_t sum = 0;

	/* No more than tells: the sum stays in bounds. */
	deaths->served[deaths->count++ % DEATHS_MAX] =
		served < DEATHS_SERVICE ? served : DEATHS_SERVICE;
	if (deaths->count < DEATHS_MAX)
		return false;
	for (unsigned int i = 0; i < DEATHS_MAX; i++)
		sum += deaths->served[i];
	return sum < DEATHS_SERVICE;
}
