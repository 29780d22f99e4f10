/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/size.h"

#include <inttypes.h>
#include <stdio.h>

const char *ctl_size_human(uint64_t bytes, char buf[CTL_SIZE_TEXT])
{
	static const char units[] = "BKMGTPE";
	unsigned int shift = 0;
	uint64_t tenths;

	while (shift < 60 && bytes >> shift >= 1024)
		shift += 10;
	if (shift == 0) {
		snprintf(buf, CTL_SIZE_TEXT, "%" PRIu64 "B", bytes);
		return buf;
	}
	/* Ten bits below the unit are enough for tenths, and cannot overflow. */
	tenths = ((bytes >> (shift - 10)) * 10 + 512) / 1024;
	/* 1023.95K and more is 1M. */
	if (tenths >= 10240 && shift < 60) {
		tenths = 10;
		shift += 10;
	}
	if (tenths % 10)
		snprintf(buf, CTL_SIZE_TEXT, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10,
			 units[shift / 10]);
	else
		snprintf(buf, CTL_SIZE_TEXT, "%" PRIu64 "%c", tenths / 10, units[shift / 10]);
	return buf;
}

const char *ctl_size_text(uint64_t bytes, bool digits, char buf[CTL_SIZE_TEXT])
{
	if (!digits)
		return ctl_size_human(bytes, buf);
	snprintf(buf, CTL_SIZE_TEXT, "%" PRIu64, bytes);
	return buf;
}

double ctl_ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}
