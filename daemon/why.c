/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int say_why(char **why, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(why, format, args) < 0)
		*why = NULL;
	va_end(args);
	return r;
}
