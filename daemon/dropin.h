/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dropin: what systemd is told of the units that it makes by itself of our swap or mount.
 *
 * As soon as the kernel has a new swap device, systemd has dev-nbdN.swap, and at shutdown turns it
 * off: while we do the same, and for 90 seconds at most. A drop-in that is there before says that
 * the swap is ours to turn off. Of a mount it says that it goes before we do.
 *
 * That there are no further units, one for each link to the device in /dev/disk, a rule of udev's
 * sees to (systemd/60-nbd-zcram.rules).
 *
 * The drop-ins are in /run/systemd/system, and take effect without a reload. Where systemd is not the init
 * there is no such directory, and nothing to do.
 */
#ifndef ZCRAM_DAEMON_DROPIN_H
#define ZCRAM_DAEMON_DROPIN_H

/*
 * To be called before PATH becomes swap ("/dev/nbd3") or a mount point (absolute, normalised) of
 * device NAME ("zcram0"). ROOT is NULL or "" for this system. Writes a small file. 0 also without
 * systemd; a negative errno: the unit will be as systemd makes it.
 */
int dropin_add_swap(const char *root, const char *name, const char *path);
int dropin_add_mount(const char *root, const char *name, const char *path);

/* To be called when PATH is no longer so. What is not there needs no removal. */
void dropin_remove_swap(const char *root, const char *path);
void dropin_remove_mount(const char *root, const char *path);

#endif
