#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: btrfs on the kernel's device: fio verifies, fstrim gives memory back, check is clean.
# Memory: 384
# Kernels: 6.12
. "$(dirname "$0")/lib.sh"

serve -- size=512M
attach 2
mkfs.btrfs -q "$nbd"
mount "$nbd" /mnt
verify_and_trim
umount /mnt
btrfs check "$nbd"
detach
stop
