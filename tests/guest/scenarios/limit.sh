#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: mem-limit is reached under swap: the kernel keeps the pages that cannot be written, the
# server lives, nothing dies but what the OOM killer takes, and what is stored reads back right.
# Limit: 400
# The kernel may say: Write-error on swap-device|I/O error, dev nbd0|blocked for more than
# Kernels: 6.12
. "$(dirname "$0")/lib.sh"

# nbd says of each refused write that it was, hundreds of times a second; to print that on this console
# takes more than all the rest. What is graver still comes.
echo 3 >/proc/sys/kernel/printk
serve -- size=1G mem-limit=16M
attach 2
swap_on
# This one must be right to its end, and the OOM killer is to spare it.
(echo -900 >/proc/self/oom_score_adj && exec swapload 64 1 60 7) >"$dir/kept" 2>&1 &
kept=$!
# This one does not fit: it is ended when the limit has been felt, if the kernel has not done so. (As
# long as there are free slots it may try for minutes: that it keeps pages is all that it owes us.)
(echo 1000 >/proc/self/oom_score_adj && exec swapload 600 2 1 8) >"$dir/taken" 2>&1 &
taken=$!
until get_stats && [ "${S[failed_writes]}" -gt 256 ]; do
	kill -0 "$taken" || fail "600 MiB fit: $(cat "$dir/taken")"
	sleep 1
done
kill -KILL "$taken" 2>/dev/null || true
wait "$taken" 2>/dev/null || true
! grep ' is 0x' "$dir/taken" || fail "a wrong byte"
kill -0 "$server" || fail "the server is dead"
wait "$kept" || fail "the load that fits ended with $?: $(cat "$dir/kept")"
cat "$dir/kept"
get_stats
figure failed_writes "${S[failed_writes]}"
figure writes_slowed "${S[writes_slowed]}"
figure slowed_ns "${S[slowed_ns]}"
equal "refused writes" "${S[writes_refused]}" "${S[failed_writes]}"
equal "failed reads" "${S[failed_reads]}" 0
[ "${S[pool_max]}" -le $((16 << 20)) ] || fail "${S[pool_max]} bytes are beyond the limit"
swapoff "$nbd"
detach
stop
