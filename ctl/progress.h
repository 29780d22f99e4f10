/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * progress: a line on the terminal for what takes longer than a second. Where standard error is no
 * terminal, nothing.
 */
#ifndef ZCRAM_CTL_PROGRESS_H
#define ZCRAM_CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	uint64_t next; /* when to show something, in nanoseconds of os_now() */
	bool shown;
};

void progress_start(struct progress *progress);

/* Is it time to show a new line? Then progress_show() ought to be called. */
bool progress_due(const struct progress *progress);
void progress_show(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Take the line away again. */
void progress_end(struct progress *progress);

#endif
