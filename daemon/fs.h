/* SPDX-License-Identifier: BSD-3-Clause */
/* fs: making a file system of a device, and mounting it. */
#ifndef ZCRAM_DAEMON_FS_H
#define ZCRAM_DAEMON_FS_H

#include <stdbool.h>

struct zcramd;

/* mkfs. As a step: errors as child_run()'s. */
int fs_format(struct zcramd *z, char **why);

/*
 * Mount it, if the configuration says where, on a directory that is made when it is not there. As
 * a step.
 */
int fs_mount(struct zcramd *z, char **why);

/*
 * Unmount it. A negative errno, and *why: it is busy, for example. LAZY: take it out of the tree
 * of directories, and leave those who have files open with them.
 */
int fs_unmount(struct zcramd *z, const char *mount_point, bool lazy, char **why);

#endif
