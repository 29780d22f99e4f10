#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: zcramctl saves what is attached, frozen while it is mounted, and restores it to another
# device, whose old content the kernel forgets; swap, and what is in use, it refuses.
# Memory: 384
# Limit: 200
# Kernels: 6.12
. "$(dirname "$0")/lib.sh"

run=/run/zcram/zcram0
image=/tmp/image

# refused MESSAGE ARGUMENT...: one line, and status 1
refused() {
	local message=$1 status=0

	shift
	zcramctl "$@" >"$dir/out" 2>"$dir/err" || status=$?
	equal "status of zcramctl $* ($(cat "$dir/err"))" "$status" 1
	grep -qF "zcramctl: $message" "$dir/err" || fail "$(cat "$dir/err") is not $message"
	equal "lines" "$(wc -l <"$dir/err")" 1
}

# A server in place of the last, attached: renew SIZE [PARAMETER...]
renew() {
	serve -- "size=$1" "control=$run/control" name=zcram0 "${@:2}"
	equal "what attach prints" "$(zcramctl attach --name zcram0 "$dir/socket")" "$nbd"
}

end() {
	zcramctl detach zcram0
	stop
}

modprobe nbd
mkdir -p "$run" /srv/disk
renew 64M

# Written through the kernel's cache, and not flushed.
head -c $((16 << 20)) /dev/urandom >"$dir/in"
dd if="$dir/in" of="$nbd" bs=1M status=none
zcramctl save zcram0 $image
end
renew 64M
# The kernel has zeros of it in its cache.
dd if="$nbd" of=/dev/null bs=1M count=16 status=none
zcramctl restore "$nbd" $image
dd if="$nbd" bs=1M count=16 status=none | cmp - "$dir/in"
refused 'zcram0: there is something on it: give --force' restore zcram0 $image

# Mounted, and written to all the while.
mkfs.ext4 -q "$nbd"
mount "$nbd" /srv/disk
cp "$dir/in" /srv/disk/in
(i=0 && while echo $((i = i + 1)) >>/srv/disk/log; do :; done) 2>/dev/null &
writer=$!
zcramctl save zcram0 $image
zcramctl save "$run/control" $image # which is the same one
refused "/srv/disk/: it is on the device that is to be saved" save zcram0 /srv/disk/image
refused 'zcram0: in use mounted on /srv/disk' restore --force zcram0 $image
# Who saves is killed: what is mounted can be written to all the same.
mkfifo "$dir/fifo"
exec 5<>"$dir/fifo"
zcramctl save zcram0 - >"$dir/fifo" &
saver=$!
dd bs=1 count=1 status=none <&5 >/dev/null
kill -KILL $saver
wait $saver || true
exec 5>&-
echo thawed >/srv/disk/thawed
sync -f /srv/disk/thawed
kill $writer
wait $writer || true
umount /srv/disk
zcramctl restore --force zcram0 $image
e2fsck -fn "$nbd"
mount "$nbd" /srv/disk
cmp /srv/disk/in "$dir/in"
[ ! -e /srv/disk/thawed ] || fail "what was written after the save is there"
umount /srv/disk

# Swap.
mkswap "$nbd" >/dev/null
swapon "$nbd"
refused 'zcram0: in use as swap' save zcram0 $image
refused 'zcram0: in use as swap' restore --force zcram0 $image
swapoff "$nbd"
end

# By its socket, under another name than it is attached by.
serve -- size=64M "control=$dir/control"
zcramctl attach --name other "$dir/socket"
mkswap "$nbd" >/dev/null
swapon "$nbd"
refused "$dir/control: $nbd may be this device, and is in use" save "$dir/control" $image
swapoff "$nbd"
zcramctl save "$dir/control" $image
zcramctl detach "$nbd"
stop
