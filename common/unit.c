/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == ':' || c == '_' || c == '.';
}

char *unit_of_path(const char *path, const char *suffix)
{
	const char *at = path + strspn(path, "/");
	/* Each byte becomes \xNN at most. */
	char *unit = malloc(4 * strlen(at) + strlen(suffix) + sizeof("-."));
	char *out = unit;

	if (unit == NULL)
		return NULL;
	if (*at == '\0')
		*out++ = '-';
	for (const char *start = at; *at != '\0'; at++) {
		if (*at == '/')
			*out++ = '-';
		else if (is_plain(*at) && !(*at == '.' && at == start))
			*out++ = *at;
		else
			out += sprintf(out, "\\x%02x", (unsigned char)*at);
	}
	sprintf(out, ".%s", suffix);
	return unit;
}
