/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * save: the content of a device to an image and back, compressed as it is.
 *
 * On a thread that serves no requests: both allocate, and block as their callbacks do, but without
 * any lock of the device's; requests go on meanwhile.
 */
#ifndef ZCRAM_DEVICE_SAVE_H
#define ZCRAM_DEVICE_SAVE_H

#include <stdbool.h>

#include "device/device.h"
#include "image/image.h"

/*
 * Write an image of the device by FN. A page that is written meanwhile is in it as it was before or
 * after, whole; what is consistent with what is for the caller to see to. A page that cannot be read
 * is in it as one that cannot be read. -ENOMEM, -EIO, FN's.
 */
int device_save(struct device *device, image_write_fn *fn, void *opaque,
		struct image_counts *ret_counts);

struct device_restored {
	const char *why; /* of an error: a constant; NULL: the errno says it */
	bool emptied;	 /* all that the device had is gone */
	struct image_counts counts;
};

/*
 * Read an image by FN, and have the device hold what is in it, and nothing else. Without FORCE only
 * a device that reads as zeros is changed. Other requests may go on; of the pages that they write
 * meanwhile nothing is known.
 *
 * It is changed as the image is read: whoever wants to be sure of that calls image_verify() first. An
 * error after the first change leaves it empty, which ret->emptied says.
 * -EINVAL: the image is of another size; -ENOTEMPTY; -ENOSPC: mem_limit; -ENOMEM; those of
 * image_next(), and FN's.
 */
int device_restore(struct device *device, bool force, image_read_fn *fn, void *opaque,
		   struct device_restored *ret);

#endif
