/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *condition, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	flockfile(stderr);
	fprintf(stderr, "%s:%d: not so: %s: ", file, line, condition);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	funlockfile(stderr);
	abort();
}
