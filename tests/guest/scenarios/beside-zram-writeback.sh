#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the same data in the kernel's zram and in zcram, all of it written back to the same disk by
# hand, and read again in order: pages a second, bytes for the disk, and what fio writes to it in order.
# beside-zram-writeback.sh [MIB [disk|loop]]: a virtio disk, or a loop device on a file there
# Memory: 512
# Disk: 2G
# Kernels: 6.12
# Limit: 590
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

mib=${1:-256} disk=/dev/vde zram=/sys/block/zram0

uptime() {
	cut -d' ' -f1 /proc/uptime
}

# rate NAME SINCE PAGES: a second, as a figure
rate() {
	figure "$1" "$(awk -v since="$2" -v n="$3" '{ printf "%.0f", n / ($1 - since) }' /proc/uptime)"
}

# of the disk itself, since it was there: requests and bytes that were written
written() {
	awk '{ print $5, $7 * 512 }' "/sys/block/${disk#/dev/}/stat"
}

# Pages of which each shrinks to a third, and says itself whether it is whole.
on_device() {
	fio --eta=never --name=data --filename="$1" --size="${mib}M" --bs=128k --direct=1 --ioengine=psync --randseed=7 \
		--buffer_compress_percentage=66 --buffer_compress_chunk=4k --refill_buffers \
		--verify=crc32c --verify_interval=4k --verify_fatal=1 --output="$dir/fio" "${@:2}" ||
		fail "$(cat "$dir/fio")"
}

# write_back NAME DEVICE COMMAND...: fill it, have COMMAND write all back, read it again.
write_back() {
	local name=$1 device=$2 since before after

	on_device "$device" --rw=write --do_verify=0
	before=$(written)
	since=$(uptime)
	"${@:3}"
	rate "${name}_pages_per_second" "$since" $((mib * 256))
	after=$(written)
	figure "${name}_requests" $((${after% *} - ${before% *}))
	figure "${name}_bytes" $((${after#* } - ${before#* }))
	since=$(uptime)
	on_device "$device" --rw=read
	rate "${name}_pages_read_per_second" "$since" $((mib * 256))
}

zram_writes_back() {
	echo all >$zram/idle
	echo idle >$zram/writeback
}

zram() {
	local bd

	modprobe zram num_devices=1
	echo zstd >$zram/comp_algorithm
	echo "$disk" >$zram/backing_dev
	echo $((mib << 20)) >$zram/disksize
	write_back zram /dev/zram0 zram_writes_back
	read -ra bd <$zram/bd_stat
	equal "pages that zram has written" "${bd[2]}" $((mib * 256))
	echo 1 >$zram/reset
}

zcram_writes_back() {
	zcramctl idle zcram0 all
	zcramctl writeback zcram0 type=idle
}

stat() {
	zcramctl stat zcram0 | sed -n "s/^stats\.$1: //p"
}

zcram() {
	conf '[zcram0]' "zram-size = $mib" 'fs-type = ext2' "writeback = $disk"
	start
	write_back zcram "$nbd" zcram_writes_back
	figure zcram_payload "$(stat written_back_payload)"
	figure zcram_written "$(stat backing_written)"
	[ "$(stat written_back)" -ge $((mib * 256)) ] || fail "only $(stat written_back) pages were written back"
	zcramctl stat --zram bd_stat zcram0
	kernel_silent
	stop_zcramd
	nothing_left
}

if [ "${2:-disk}" = loop ]; then
	mke2fs -q -t ext4 "$disk"
	mount "$disk" /mnt
	fallocate -l 1600M /mnt/file
	disk=$(losetup -f)
	losetup "$disk" /mnt/file
fi
zcram
zram
since=$(uptime)
fio --eta=never --name=order --filename="$disk" --rw=write --bs=1M --size=512M --direct=1 --ioengine=io_uring --iodepth=4 \
	--refill_buffers --output="$dir/fio" || fail "$(cat "$dir/fio")"
rate fio_bytes_per_second "$since" $((512 << 20))
