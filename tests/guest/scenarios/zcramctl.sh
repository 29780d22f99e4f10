#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: zcramctl attaches and detaches, shows what a device is used for, and lets go of none that
# is in use or that zcramd runs.
# Memory: 256
# Limit: 200
# Kernels: 6.12
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/zcramd.sh"

# refused STATUS MESSAGE ARGUMENT...: one line, and that status
refused() {
	local expected=$1 message=$2 status=0

	shift 2
	zcramctl "$@" >"$dir/out" 2>"$dir/err" || status=$?
	equal "status of zcramctl $* ($(cat "$dir/err"))" "$status" "$expected"
	[ ! -s "$dir/out" ] || fail "zcramctl $* prints $(cat "$dir/out")"
	grep -qF "zcramctl: $message" "$dir/err" || fail "$(cat "$dir/err") is not $message"
	equal "lines" "$(wc -l <"$dir/err")" 1
}

# One column of the only device: shown COLUMN
shown() {
	zcramctl --noheadings --raw --output "$1"
}

mkdir -p "$run"
serve -- size=64M "control=$run/control" name=zcram0
equal "what attach prints" "$(zcramctl attach --name zcram0 "$dir/socket")" /dev/nbd0
equal "size" "$(cat /sys/block/nbd0/size)" $((64 << 11))
refused 1 'attach: zcram0 is attached already, to /dev/nbd0' attach --name zcram0 "$dir/socket"
equal DEVICE "$(shown DEVICE)" /dev/nbd0
equal MOUNTPOINT "$(shown MOUNTPOINT)" ''
equal "name by its node" "$(zcramctl --noheadings --raw --output NAME /dev/nbd0)" zcram0
zcramctl stat /dev/nbd0 | grep -qx 'device: /dev/nbd0'

mkswap /dev/nbd0 >/dev/null
swapon /dev/nbd0
equal MOUNTPOINT "$(shown MOUNTPOINT)" '[SWAP]'
refused 1 '/dev/nbd0: in use as swap' detach /dev/nbd0
refused 1 'zcram0: in use as swap' detach zcram0
swapoff /dev/nbd0
mkfs.ext4 -q /dev/nbd0
mkdir /tmp/mounted
mount /dev/nbd0 /tmp/mounted
equal MOUNTPOINT "$(shown MOUNTPOINT)" /tmp/mounted
refused 1 'zcram0: in use mounted on /tmp/mounted' detach zcram0
umount /tmp/mounted
zcramctl detach zcram0
equal "size of what is not attached" "$(cat /sys/block/nbd0/size)" 0
refused 1 'zcram0: not attached' detach zcram0
refused 1 '/dev/nbd0: not attached' detach /dev/nbd0
equal "where it was asked for" \
	"$(zcramctl attach --device nbd5 --connections 2 --name zcram0 "$dir/socket")" /dev/nbd5
# Any content goes there and back.
head -c $((4 << 20)) /dev/urandom >"$dir/in"
dd if="$dir/in" of=/dev/nbd5 bs=1M conv=fsync status=none
dd if=/dev/nbd5 bs=1M count=4 iflag=direct status=none | cmp - "$dir/in"
refused 1 "$dir/socket: " attach --device nbd5 --name other "$dir/socket"
zcramctl detach /dev/nbd5
equal "under the name of its path" "$(zcramctl attach "$dir/socket")" /dev/nbd0
equal "identifier" "$(cat /sys/block/nbd0/backend)" "zcram:$dir/socket"
zcramctl detach /dev/nbd0
stop
rm -r "$run"

conf '[zcram0]' 'zram-size = 64'
start
equal DEVICE "$(shown DEVICE)" /dev/nbd0
equal MOUNTPOINT "$(shown MOUNTPOINT)" '[SWAP]'
equal STATE "$(shown STATE)" running
equal DISKSIZE "$(shown DISKSIZE)" 64M
refused 1 'zcram0: zcramd runs it: systemctl stop zcram@zcram0' detach zcram0
refused 1 '/dev/nbd0: zcramd runs it: systemctl stop zcram@zcram0' detach /dev/nbd0
zcramctl set zcram0 algorithm=lz4
zcramctl compact zcram0
zcramctl top --once
zcramctl config zcram0 | grep -q '^zram-size  *64M  */etc/zcram.conf:2$' || fail "$(zcramctl config)"
zcramctl
stop_zcramd
