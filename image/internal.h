/* SPDX-License-Identifier: BSD-3-Clause */
/* The reader from inside. Inside image/ only. */
#ifndef ZCRAM_IMAGE_INTERNAL_H
#define ZCRAM_IMAGE_INTERNAL_H

#include "image/image.h"

/* Have image_reader_why() say WHY, a constant. -EBADMSG. */
int image_damaged(struct image_reader *reader, const char *why);

#endif
