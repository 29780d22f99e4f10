/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seek: a backing store that could not be opened when the device began to serve, and is looked for.
 *
 * Until it is there reads of backed pages are -EIO, of these alone; nothing is written back, and nothing is
 * lost. The policy's thread looks for it every few seconds, by its UUID; from when it is there all is as if
 * it had been there from the start.
 */
#ifndef ZCRAM_DEVICE_SEEK_H
#define ZCRAM_DEVICE_SEEK_H

struct device;
struct seek;

/* The policy's thread: look for it, if it is time. Blocks as backing_open() does, and allocates. */
void seek_look(struct device *device);

/* Why it was not there when it was last looked for. Any thread. */
int seek_error(const struct seek *seek);

/* NULL is fine. */
void seek_free(struct seek *seek);

#endif
