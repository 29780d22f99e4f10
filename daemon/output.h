/* SPDX-License-Identifier: BSD-3-Clause */
/* output: what a child writes, line by line. */
#ifndef ZCRAM_DAEMON_OUTPUT_H
#define ZCRAM_DAEMON_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/loop.h"

#define OUTPUT_LINE_SIZE 512

struct output {
	int fd;
	sd_event_source *source;
	void (*on_line)(const char *line); /* or NULL */
	const char *awaited; /* a line that is waited for, or NULL; may be set any time */
	bool seen;	     /* it has come since */
	size_t len;
	char line[OUTPUT_LINE_SIZE]; /* the LEN bytes that have come of the next line */
	char all[OUTPUT_LINE_SIZE];  /* all lines that were not empty, in one, as far as they fit */
	char last[OUTPUT_LINE_SIZE]; /* the last that says "error: ", or the last if none does */
};

/* Read from FD, which is non-blocking, and closed at the end, or on an error. */
int output_open(struct output *output, struct loop *loop, int fd,
		void (*on_line)(const char *line));

/* Forget what has come, for what comes next is somebody else's. */
void output_forget(struct output *output);

/* Read what is there by now. */
void output_drain(struct output *output);

/* Take an unfinished line for one. All zeros is fine. */
void output_close(struct output *output);

#endif
