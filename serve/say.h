/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * say: how this room says what is wrong, and what is worth knowing: one line at a time, through the
 * front end, which knows where lines go and what stands before them. Never on the I/O path.
 */
#ifndef ZCRAM_SAY_H
#define ZCRAM_SAY_H

/* LINE has no newline, and is the caller's. */
struct say {
	void (*error)(const char *line);
	void (*debug)(const char *line);
};

/* The front end's, which must stay; before all else of this room. */
void say_through(const struct say *say);

/* Allocate. */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
