/* SPDX-License-Identifier: BSD-3-Clause */
/* disk: the plainest device behind the loop's ops: an array of bytes. */
#ifndef ZCRAM_TESTS_DISK_H
#define ZCRAM_TESTS_DISK_H

#include <stdint.h>

#include "nbd/loop.h"

struct disk {
	uint8_t *bytes; /* may be shared with other processes */
	uint64_t size;
	uint64_t calls; /* atomic */
	int fail;	/* unless 0: what every call returns */
	/* Unless 0: a call takes so many microseconds at most, some of them none. */
	unsigned int delay_us;
};

/* Their opaque is a struct disk. What is outside the disk ends the program (CHECK). */
extern const struct nbd_ops disk_ops;

#endif
