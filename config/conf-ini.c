/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file's lines, through inih. The reader that inih takes them from knows the number of the line
 * that is being parsed, which inih does not tell, and hands on only what inih reads as it is meant:
 * no line that it would cut, or take for the continuation of another. A line that its handler was
 * not called for is one that it could not parse.
 */
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "config/conf-internal.h"

/* What inih needs behind a line: "\r\n" and the 0. */
#define LINE_ROOM 3
/* Handed on behind each section's line, for inih says nothing of a section that is empty. */
#define MARK "mark = 1\n"

struct reader {
	const struct conf_ini *ini;
	const char *at, *end;
	unsigned int line;
	bool mark_next; /* a section's line was handed on */
	bool marking;	/* the mark was */
	bool awaiting;	/* a line was, for which the handler has not been called */
};

static void complain(const struct reader *reader, const char *why)
{
	reader->ini->error(reader->ini->user, reader->line, why);
}

static void complain_of_line(const struct reader *reader)
{
	complain(reader, "not \"key = value\": give that, [zcramN], [defaults] or a comment that "
			 "begins with # or ;");
}

/* Is what follows in [at, end) nothing, or a comment? */
static bool is_blank(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at == end || *at == '#' || *at == ';';
}

/* Characters that would make an error of more than one line, or hide in it. */
static bool has_control(const char *at, const char *end)
{
	for (; at < end; at++)
		if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
			return true;
	return false;
}

/* Does a blank and # stand in it? inih knows only ; as the beginning of a comment behind a value. */
static bool has_hash_comment(const char *at, const char *end)
{
	for (; at + 1 < end; at++)
		if ((at[0] == ' ' || at[0] == '\t') && at[1] == '#')
			return true;
	return false;
}

/*
 * Is it [name] and nothing but a comment behind? inih passes over whatever is behind the ], and may
 * take a ; before it for the beginning of a comment.
 */
static bool is_section(const char *at, const char *end)
{
	const char *close = memchr(at, ']', (size_t)(end - at));

	return close != NULL && memchr(at, ';', (size_t)(close - at)) == NULL &&
	       is_blank(close + 1, end);
}

/* May inih have this line, [at, end), that is neither blank nor a comment? */
static bool check_line(const struct reader *reader, const char *at, const char *end, size_t max)
{
	char why[96];

	if (has_control(at, end)) {
		complain(reader, "has a control character: give text, in lines that end in a "
				 "newline");
	} else if ((size_t)(end - at) > max) {
		snprintf(why, sizeof(why), "too long: give at most %zu bytes a line", max);
		complain(reader, why);
	} else if (end[-1] == '\\') {
		complain(reader, "ends in a backslash: lines are not continued: give all of a "
				 "value in one");
	} else if (*at == '[') {
		if (is_section(at, end))
			return true;
		reader->ini->section(reader->ini->user, reader->line, NULL);
	} else if (has_hash_comment(at, end)) {
		complain(reader, "has a # behind a blank: give a comment a line of its own, or "
				 "begin it with ;");
	} else {
		return true;
	}
	return false;
}

/* The next line that is not blank, without the blanks around it; false: there is none. */
static bool next_line(struct reader *reader, const char **ret_at, const char **ret_end)
{
	while (reader->at < reader->end) {
		const char *at = reader->at;
		size_t left = (size_t)(reader->end - at);
		const char *end = memchr(at, '\n', left);

		if (end == NULL)
			end = reader->end;
		reader->at = end < reader->end ? end + 1 : end;
		reader->line++;
		if (end > at && end[-1] == '\r')
			end--;
		if (is_blank(at, end))
			continue;
		while (*at == ' ' || *at == '\t')
			at++;
		while (end[-1] == ' ' || end[-1] == '\t')
			end--;
		*ret_at = at;
		*ret_end = end;
		return true;
	}
	return false;
}

/* Called by inih, as fgets() would be. */
static char *read_line(char *buf, int size, void *stream)
{
	struct reader *reader = stream;
	const char *at, *end;

	if (reader->awaiting)
		complain_of_line(reader);
	reader->awaiting = false;
	reader->marking = reader->mark_next;
	reader->mark_next = false;
	if (reader->marking) {
		snprintf(buf, (size_t)size, MARK);
		return buf;
	}
	do {
		if (!next_line(reader, &at, &end))
			return NULL;
	} while (!check_line(reader, at, end, (size_t)size - LINE_ROOM));
	memcpy(buf, at, (size_t)(end - at));
	memcpy(buf + (end - at), "\n", 2);
	reader->mark_next = *at == '[';
	reader->awaiting = !reader->mark_next;
	return buf;
}

static int handle(void *stream, const char *section, const char *name, const char *value)
{
	struct reader *reader = stream;
	const struct conf_ini *ini = reader->ini;

	reader->awaiting = false;
	if (reader->marking)
		ini->section(ini->user, reader->line, section);
	else
		ini->setting(ini->user, reader->line, name, value);
	return 1;
}

void conf_ini_parse(const char *text, size_t len, const struct conf_ini *ini)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct reader reader = {.ini = ini, .at = text, .end = text + len};

	if (len >= sizeof(bom) - 1 && memcmp(text, bom, sizeof(bom) - 1) == 0)
		reader.at += sizeof(bom) - 1;
	/* What it returns is known line by line. */
	(void)ini_parse_stream(read_line, &reader, handle, &reader);
	/* An inih that stops at the first error asks for no further line. */
	if (reader.awaiting)
		complain_of_line(&reader);
}
