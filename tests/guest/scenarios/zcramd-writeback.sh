#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: 64 MiB for what is swapped, a disk behind it, and a load that does not fit: it gets through with
# zcramd as it is configured, and no byte is wrong. With the kernel's zram it does not.
# zcramd-writeback.sh [MIB [WITH...]]: 448, or 1280 for five times the machine's memory; zcramd; zram-by-hand, where
# a loop writes back, which with 1280 refuses writes for ever; zram, with the same limit and no disk, which cannot
# get through.
# Memory: 256
# Kernels: 6.12
# The kernel may say: Write-error on swap-device \(25[0-9]:|I/O error, dev zram0|blocked for more than
# Disk: 2G
# Limit: 590
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

mib=${1:-448} disk=/dev/vde zram=/sys/block/zram0
shift || true
[ $# -gt 0 ] || set -- zcramd zram

# Pages of which all together shrink to a third, checked to the last byte: swap_load [COMMAND...], which runs it
swap_load() {
	echo 900 >/proc/self/oom_score_adj
	exec "$@" swapload "$mib" 4 1 5 26
}

# Its status is $status, 137 when it has not come to its end in time: load NAME
load() {
	local since

	since=$(cut -d' ' -f1 /proc/uptime)
	status=0
	(swap_load timeout --signal=KILL 1800) || status=$?
	figure "${1}_seconds" "$(awk -v since="$since" '{ print $1 - since }' /proc/uptime)"
	figure "${1}_status" "$status"
}

# For so many seconds. By the shell alone: to start a program takes memory.
pause() {
	read -r -t "$1" <>"$dir/never" || true
}

# Sectors of the disk that were written, in bytes.
written() {
	awk '{ print $7 * 512 }' /sys/block/vde/stat
}

with_zcramd() {
	local faults

	conf '[zcram0]' 'zram-size = 1536' 'mem-limit = 64' "writeback = $disk"
	start
	faults=$(major_faults)
	load zcramd
	zcramctl stat zcram0
	zcramctl stat --zram bd_stat zcram0
	figure zcramd_written "$(written)"
	equal "status of the load" "$status" 0
	equal "major faults of the server" $(($(major_faults) - faults)) 0
	stop_zcramd
	nothing_left
	kernel_silent
}

set_zram() {
	modprobe zram num_devices=1
	echo zstd >$zram/comp_algorithm
	[ -z "$1" ] || echo "$1" >$zram/backing_dev
	echo 1536M >$zram/disksize
	echo 64M >$zram/mem_limit
	mkswap /dev/zram0 >/dev/null
	swapon --discard --priority 100 /dev/zram0
}

end_zram() {
	cat $zram/mm_stat $zram/io_stat $zram/bd_stat
	swapoff /dev/zram0
	echo 1 >$zram/reset
}

# As zcram does: incompressible pages first, and then, if that was not enough, what was not touched for a moment.
# It writes a page at a time, and a load that is faster is refused.
with_zram_by_hand() {
	local from mm

	from=$(written)
	set_zram $disk
	while :; do
		echo all >$zram/idle
		pause 0.2
		echo huge >$zram/writeback || true
		read -ra mm <$zram/mm_stat
		[ "${mm[2]}" -lt $((48 << 20)) ] || echo idle >$zram/writeback || true
	done 2>/dev/null &
	loop=$!
	load zram_by_hand
	kill $loop
	wait $loop || true
	figure zram_by_hand_written $(($(written) - from))
	end_zram
}

# When so many writes were refused it is plain: as long as there are free slots, the kernel may try for minutes
# before it ends anybody.
with_zram() {
	local io=(0 0)

	set_zram ''
	(swap_load) &
	load=$!
	while [ -e "/proc/$load/stat" ] && [ "${io[1]}" -le 256 ]; do
		pause 0.5
		read -ra io <$zram/io_stat
	done
	figure zram_refused "${io[1]}"
	kill -KILL "$load" || true
	! wait "$load" || fail "it gets through without a disk"
	end_zram
}

# Of each write that is refused the kernel says so, and this console is slow.
echo 3 >/proc/sys/kernel/printk
mkfifo "$dir/never"
for name; do
	"with_${name//-/_}"
done
