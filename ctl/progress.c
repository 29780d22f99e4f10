/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/os.h"

#define FIRST UINT64_C(1000000000)
#define AGAIN UINT64_C(200000000)

void progress_start(struct progress *progress)
{
	progress->shown = false;
	progress->next = isatty(STDERR_FILENO) ? os_now() + FIRST : UINT64_MAX;
}

bool progress_due(const struct progress *progress)
{
	return progress->next != UINT64_MAX && os_now() >= progress->next;
}

void progress_show(struct progress *progress, const char *format, ...)
{
	va_list args;

	progress->next = os_now() + AGAIN;
	progress->shown = true;
	/* To the line's beginning, and clear behind what is written. */
	fputs("\rzcramctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\033[K", stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
