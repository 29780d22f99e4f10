/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * top: a live view of one device.
 *
 *	top-sample  what its server and /proc say at one moment
 *	top-view    two such moments as text
 *	top-screen  the terminal
 *	top         the command
 */
#ifndef ZCRAM_CTL_TOP_H
#define ZCRAM_CTL_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/devices.h"

#define TOP_CELLS_MAX	4096
#define TOP_THREADS_MAX 32
#define TOP_COMM_SIZE	16

/* The server's threads of one name. */
struct top_threads {
	char name[TOP_COMM_SIZE];
	bool main; /* the process's first thread: alone, whatever it is called */
	unsigned int count;
	uint64_t ticks; /* of CPU time, since each was started */
};

/* One moment. */
struct top_sample {
	uint64_t when; /* nanoseconds of os_now() */
	struct json_object *stat;
	size_t cells;
	uint8_t live[TOP_CELLS_MAX], held[TOP_CELLS_MAX];
	uint64_t resident, locked, swapped; /* bytes of the server's memory; 0: unknown */
	struct top_threads threads[TOP_THREADS_MAX];
	size_t thread_count;
};

/* How it is to look. */
struct top_layout {
	unsigned int width, height; /* characters */
	bool unicode;
};

/*
 * Take a sample of DEVICE, whose picture has at most CELLS cells. *CLIENT is a connection to keep
 * from call to call; NULL: there is none yet, or it broke. 0, or a negative errno, and *device says
 * more of it. RET_SAMPLE has been zeroed, or was filled in by the call before; top_sample_clear()
 * empties it.
 */
int top_sample_take(struct ctl_device *device, struct control_client **client, size_t cells,
		    struct top_sample *ret_sample);
void top_sample_clear(struct top_sample *sample);

/* How many cells a layout has room for. */
size_t top_view_cells(const struct top_layout *layout);

/*
 * Write the view to OUT: lines of at most layout->width characters, at most layout->height. BEFORE
 * is an earlier sample, or NULL: then there are no rates.
 */
void top_view_print(FILE *out, const struct top_layout *layout, const struct ctl_device *device,
		    const struct top_sample *before, const struct top_sample *now);

/* What the user or the system asked for while waiting. */
enum top_event {
	TOP_TIMEOUT,
	TOP_RESIZE,
	TOP_QUIT,
};

/*
 * Take the terminal on standard output and input over, until top_screen_close(), a fatal signal
 * (which then takes its course), or exit(). Negative errno.
 */
int top_screen_open(void);
void top_screen_close(void);

/* Its size. */
void top_screen_layout(struct top_layout *ret_layout);

/* Wait MILLISECONDS for a key or a signal. */
enum top_event top_screen_wait(int milliseconds);

/* Show TEXT, lines, in place of what was there. */
void top_screen_show(const char *text);

#endif
