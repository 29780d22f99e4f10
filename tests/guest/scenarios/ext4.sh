#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: ext4 on the kernel's device: fio verifies, fstrim gives memory back, fsck is clean.
# Memory: 384
# Kernels: 6.1
. "$(dirname "$0")/lib.sh"

serve -- size=512M
attach 2
mkfs.ext4 -q "$nbd"
mount "$nbd" /mnt
verify_and_trim
umount /mnt
e2fsck -fn "$nbd"
detach
stop
