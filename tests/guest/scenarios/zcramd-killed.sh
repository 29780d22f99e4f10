#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the server is killed again and again while a program that checks its memory is swapped, and
# while fio verifies a file system: zcramd brings it back each time, the kernel notices nothing, and
# no request waits for long. And, or alone, with a limit and a disk: pages are written back, fetched and compressed
# again, with a kill at any moment of it.
# zcramd-killed.sh [KILLS [SEED [PART...]]]: swap, fs, writeback
# Memory: 256
# Kernels: 6.12
# Disk: 1G
# Limit: 590
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

kills=${1:-3} seed=${2:-1}
shift $(($# < 2 ? $# : 2))
[ $# -gt 0 ] || set -- swap fs writeback

# KiB that zcramd has locked of the program of the server
text_kept() {
	awk '/^[0-9a-f]+-/ { its = /zcram-server$/ } its && $1 == "Rss:" { kib = $2 }
		its && $1 == "VmFlags:" && / lo/ { sum += kib } END { print sum + 0 }' "/proc/$zcramd/smaps"
}

part_swap() {
	conf '[zcram0]' 'zram-size = 1024'
	start
	kept=$(text_kept)
	figure text_kept_kib "$kept"
	[ "$kept" -gt 0 ] || fail "zcramd does not keep the server's program in memory"
	swapload 190 2 60000 "$seed" &
	load=$!
	await_swapping 2000
	start_probe
	figure longest_before_ms "$(longest)"
	for ((i = 1; i <= kills; i++)); do
		await_swapping $((RANDOM % 1000 + 200))
		longest >/dev/null
		kill_server
		await_swapping 200
		waited=$(longest)
		figure "longest_request_ms" "$waited"
		[ "$waited" -lt 2000 ] || echo "a request has waited $waited ms"
	done
	figure longest_gone_ms "$(longest_gone)"
	stop_probe
	end_load
}

# Several connections, and a file system.
part_fs() {
	conf '[zcram0]' 'zram-size = 256' 'fs-type = ext4' 'mount-point = /srv/killed' 'connections = 2'
	start
	start_fio /srv/killed
	for ((i = 1; i <= kills; i++)); do
		sleep 1
		kill_server
		[ -e "/proc/$load" ] || fail "fio has ended: $(cat "$dir/fio")"
	done
	sleep 1
	end_fio
	figure longest_gone_fs_ms "$(longest_gone)"
}

# The statistic NAME of the server that is, since it began: stat NAME
stat() {
	zcramctl stat zcram0 | sed -n "s/^stats\.$1: //p"
}

# Have all that can be made smaller made so, over and over, whichever server there is.
recompress() {
	while :; do
		zcramctl recompress zcram0 type=all || sleep 0.1
	done >/dev/null 2>&1
}

# Half of what is swapped does not fit, and the limit keeps writeback busy. Few pages stay in the pool for as long
# as it takes to grow old, and so it is by order that they are compressed again. The thread that does it is of idle
# priority, and so is the load: or there would be no turn for it. Of what each server has done till it was killed the
# next one knows nothing.
part_writeback() {
	local written=0 recompressed=0 fetched=0

	conf '[zcram0]' 'zram-size = 1024' 'mem-limit = 16' 'writeback = /dev/vde' 'writeback-age = 0' \
		'compression-algorithm = lz4 zstd(level=6) (type=idle)' 'recompress-age = 0' 'recompress-cpu = 100'
	start
	chrt --idle 0 swapload 224 2 60000 "$seed" 26 &
	load=$!
	await_swapping 12000
	recompress &
	orders=$!
	for ((i = 1; i <= kills; i++)); do
		await_swapping $((RANDOM % 1000 + 200))
		written=$((written + $(stat written_back)))
		recompressed=$((recompressed + $(stat recompressed)))
		fetched=$((fetched + $(stat backing_reads)))
		kill_server
	done
	kill "$orders"
	await_swapping 200
	figure longest_gone_writeback_ms "$(longest_gone)"
	figure written_back "$written"
	figure recompressed "$recompressed"
	figure fetched "$fetched"
	for count in "$written" "$recompressed" "$fetched"; do
		[ "$count" -gt 0 ] || fail "no page was written back, compressed again, or fetched"
	done
	equal "failed reads" "$(stat backing_read_errors)" 0
	equal "damaged pages" "$(stat pages_damaged)" 0
	end_load
}

for part; do
	"part_$part"
	kernel_silent
	stop_zcramd
	nothing_left
done
