#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: zcramd with file systems: made, mounted where the configuration says, used, and unmounted;
# while one is busy it stays.
# Memory: 512
# Limit: 300
# shellcheck source=SCRIPTDIR/../lib.sh
# Kernels: 6.1
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

mounted() {
	findmnt -n -o SOURCE,FSTYPE --raw "$1" || true
}

conf '[zcram0]' 'zram-size = 256' 'fs-type = ext4' 'mount-point = /srv/made/here' 'lock = on'
start
equal "mount" "$(mounted /srv/made/here)" "$nbd ext4"
[[ $(findmnt -n -o OPTIONS /srv/made/here) == *discard* ]] || fail "discard is not in force"
fio --name=verify --directory=/srv/made/here --size=32M --bs=16k --rw=randwrite --verify=crc32c \
	--do_verify=1 --ioengine=psync --end_fsync=1 --invalidate=1 --output="$dir/fio" ||
	fail "$(cat "$dir/fio")"

# Busy: a file is open.
exec 6>/srv/made/here/open
kill -TERM "$zcramd"
await 'STATUS=Cannot stop: /dev/nbd0 is in use mounted on /srv/made/here'
logged 'umount: exit status 32: umount: /srv/made/here: target is busy'
echo "it still can be written" >&6
sync -f /srv/made/here/open
equal "mount" "$(mounted /srv/made/here)" "$nbd ext4"
exec 6>&-
ends 0 # by itself
equal "mount" "$(mounted /srv/made/here)" ""
nothing_left

# Busy: it is mounted a second time, which is not zcramd's to undo.
start
mkdir /srv/twice
mount "$nbd" /srv/twice
kill -TERM "$zcramd"
await 'STATUS=Cannot stop: /dev/nbd0 is in use mounted on /srv/twice'
equal "mount" "$(mounted /srv/twice)" "$nbd ext4"
umount /srv/twice
kill -TERM "$zcramd"
ends 0
nothing_left

# btrfs hides the device's number from mountinfo.
conf '[zcram0]' 'zram-size = 256' 'fs-type = btrfs' 'mount-point = /srv/btrfs'
start
equal "mount" "$(mounted /srv/btrfs)" "$nbd btrfs"
exec 6>/srv/btrfs/open
kill -TERM "$zcramd"
await 'STATUS=Cannot stop: /dev/nbd0 is in use mounted on /srv/btrfs'
exec 6>&-
kill -TERM "$zcramd"
ends 0
nothing_left

# Made, and left to be mounted by others.
conf '[zcram0]' 'zram-size = 64' 'fs-type = ext2' 'device = nbd7'
start
equal "type" "$(blkid -o value -s TYPE /dev/nbd7)" ext2
equal "backend" "$(cat /sys/block/nbd7/backend)" zcram:zcram0
stop_zcramd
[ ! -e /sys/block/nbd7/pid ] || fail "nbd7 is still attached"
