#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: swap by hand, as the manual pages say: 2.5 times the memory of the machine is filled
# and checked by four threads; the server has every mark, and nothing of it is ever swapped or read in.
# by-hand.sh [SEED] [CONNECTIONS] [PASSES] [ALGORITHM] [MIB] [DENSE]
# Memory: 256
# Kernels: 6.12
# Limit: 600
. "$(dirname "$0")/lib.sh"

seed=${1:-1} connections=${2:-2} passes=${3:-1} algorithm=${4:-zstd}
mib=${5:-640} dense=${6:-0} # see swapload.c

# How much is kept of what nobody has any more: stale NAME
stale() {
	get_stats
	figure "$1_pages_before" "$((${S[pages_pool]:-0} + ${S[pages_same]:-0}))"
	figure "$1_pool_before" "${S[pool]}"
	settle
	figure "$1_pages_after" "$((${S[pages_pool]:-0} + ${S[pages_same]:-0}))"
	figure "$1_pool_after" "${S[pool]}"
	figure "$1_notify_free" "${S[notify_free]}"
}

# What a swapped program leaves is discarded by a worker of the kernel: wait until nothing more is.
settle() {
	local last=-1

	while get_stats && [ "${S[notify_free]}" != "$last" ]; do
		last=${S[notify_free]}
		sleep 1
	done
}

serve -- size=1G algorithm="$algorithm"
attach "$connections"
swap_on
check_io_flusher
faults=$(major_faults)

swapload "$mib" 4 "$passes" "$seed" "$dense"
equal "major faults of the server since" $(($(major_faults) - faults)) 0
equal "VmSwap of the server" "$(status VmSwap)" 0
check_io_flusher
get_stats
equal "failed reads" "${S[failed_reads]}" 0
equal "failed writes" "${S[failed_writes]}" 0
[ "${S[bytes_written]}" -gt $((mib << 20 >> 2)) ] || fail "not much was swapped: ${S[bytes_written]} bytes"
figure refills "${S[refills]}"
figure pool_max "${S[pool_max]}"
figure rss_kib "$(status VmRSS)"
figure swapped "$(swapped | tr ' ' _)"
stale with_discard
swapoff "$nbd"

swapon --priority 100 "$nbd"
swapload 320 2 1 "$seed"
stale without_discard
swapoff "$nbd"
detach
stop
