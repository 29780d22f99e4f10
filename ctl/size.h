/* SPDX-License-Identifier: BSD-3-Clause */
/* size: numbers as people read them. Pure. */
#ifndef ZCRAM_CTL_SIZE_H
#define ZCRAM_CTL_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_PAGE      4096
#define CTL_SIZE_TEXT 24

/* "0B", "4K", "1.5G": the largest unit, at most one digit behind the point, as util-linux prints. */
const char *ctl_size_human(uint64_t bytes, char buf[CTL_SIZE_TEXT]);

/* The same, or all the digits and no unit if DIGITS. */
const char *ctl_size_text(uint64_t bytes, bool digits, char buf[CTL_SIZE_TEXT]);

/* A / B, or 0 where B is 0. */
double ctl_ratio(double a, double b);

#endif
