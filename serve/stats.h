/* SPDX-License-Identifier: BSD-3-Clause */
/* stats: the device's statistics as text, and the thread that prints them on SIGUSR1. */
#ifndef ZCRAM_STATS_H
#define ZCRAM_STATS_H

#include <stddef.h>

#include "device/device.h"

#define STATS_TEXT_SIZE 4096

/*
 * Write all of STATS to TEXT, SIZE bytes, as lines of "name: value", and an empty line by which a reader knows
 * the end. Returns the length of the text, without the NUL behind it.
 */
size_t stats_format(const struct device_stats *stats, char *text, size_t size);

/* Print the device's statistics on standard error. */
void stats_print(struct device *device);

/*
 * From now on SIGUSR1 asks for the statistics: the thread prints them, or will when it is started.
 * To be called before anybody can know the process id, for unasked the signal kills the process.
 */
void stats_catch_signal(void);

/* SIGUSR1 has the meaning back that it had. */
void stats_release_signal(void);

/* Start, after the fork, and stop the thread that answers. 0, or a negative errno: -EAGAIN. */
int stats_start(struct device *device);
void stats_stop(void);

#endif
