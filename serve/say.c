/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct say *front_end;

void say_through(const struct say *say)
{
	front_end = say;
}

static __attribute__((format(printf, 2, 0))) void pass_on(void (*to)(const char *line),
							  const char *format, va_list args)
{
	char *line;

	if (vasprintf(&line, format, args) < 0) {
		to("there is no memory to say what is wrong");
		return;
	}
	to(line);
	free(line);
}

void say_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pass_on(front_end->error, format, args);
	va_end(args);
}

void say_debug(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pass_on(front_end->debug, format, args);
	va_end(args);
}
