#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the same load on the kernel's zram and on swap as zcramd makes it, with the same codec:
# time and memory; and what of the time are changes from task to task, which zram has none of.
# beside-zram.sh [CODEC...]
# Kernels: 6.12
# Limit: 600
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

mib=${ZCRAM_GUEST_MIB:-360}
modprobe zram num_devices=1

# Run the load, and say how long it took: load NAME
load() {
	local since switches

	since=$(cut -d' ' -f1 /proc/uptime)
	switches=$(awk '/^ctxt/ { print $2 }' /proc/stat)
	swapload "$mib" 4 1 1
	figure "$1_seconds" "$(awk -v since="$since" '{ print $1 - since }' /proc/uptime)"
	figure "$1_switches" "$(awk -v since="$switches" '/^ctxt/ { print $2 - since }' /proc/stat)"
}

# zcramctl's statistic NAME of zcram0
stat() {
	zcramctl stat zcram0 | sed -n "s/^stats\.$1: //p"
}

# What the pool was at most while the same memory was swapped out, with all tables beside it.
zram() {
	local codec=$1 mm

	echo "$codec" >/sys/block/zram0/comp_algorithm
	echo 1G >/sys/block/zram0/disksize
	mkswap /dev/zram0 >/dev/null
	swapon --discard --priority 100 /dev/zram0
	load "zram_$codec"
	read -ra mm </sys/block/zram0/mm_stat
	figure "zram_${codec}_pool_max" "${mm[4]}"
	# one table entry of 16 bytes a page of the device
	figure "zram_${codec}_tables" $((16 * (1 << 30) / 4096))
	swapoff /dev/zram0
	echo 1 >/sys/block/zram0/reset
}

zcram() {
	conf '[zcram0]' 'zram-size = 1024' "compression-algorithm = $1"
	start
	figure "zcram_$1_rss_idle" $(($(status VmRSS) << 10))
	load "zcram_$1"
	figure "zcram_$1_pool_max" "$(stat pool_max)"
	figure "zcram_$1_tables" "$(stat metadata)"
	figure "zcram_$1_rss_most" $(($(status VmHWM) << 10))
	figure "zcramd_$1_rss" "$(($(awk '$1 == "VmRSS:" { print $2 }' "/proc/$zcramd/status") << 10))"
	figure "zcram_$1_refills" "$(stat refills)"
	stop_zcramd
}

[ $# -gt 0 ] || set -- lz4 zstd
for codec; do
	zram "$codec"
	zcram "$codec"
done
