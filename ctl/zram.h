/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zram: what a device's server says, in the words of the files that the kernel's zram has of a device:
 * mm_stat, io_stat and bd_stat in /sys/block/zramN, block_state in /sys/kernel/debug/zram/zramN. Columns,
 * their widths and units are those of Linux's Documentation/admin-guide/blockdev/zram.rst and of
 * drivers/block/zram/zram_drv.c.
 */
#ifndef ZCRAM_CTL_ZRAM_H
#define ZCRAM_CTL_ZRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/devices.h"

/* The names of the files, with commas between, for who has given another. */
#define CTL_ZRAM_FILES "mm_stat, io_stat, bd_stat or block_state"

bool ctl_zram_is_file(const char *name);

/* The one line of mm_stat, io_stat or bd_stat, of what "stat" has answered. */
void ctl_zram_print_stat(FILE *out, const char *file, const struct json_object *stat);

/*
 * Lines of block_state: of the pages from FROM on that BLOCKS, as "blocks" has answered, says something
 * of. STAT has the ages; NOW: seconds since boot.
 */
void ctl_zram_print_blocks(FILE *out, uint64_t from, const char *blocks,
			   const struct json_object *stat, uint64_t now);

/*
 * Print the file to standard output, of the device whose server CLIENT is connected to. CTL_OK, or a
 * complaint has been made, and the exit status is returned.
 */
int ctl_zram_print(struct ctl_device *device, struct control_client *client, const char *file);

#endif
