#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: zcramd's life with swap: up by its configuration and protected, refused a second time,
# reloaded, and stopped while memory of a running program is in it.
# Memory: 256
# Limit: 200
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

# Each thread of process PID carries the bits of PR_SET_IO_FLUSHER, and the OOM killer passes by.
check_protected() {
	server=$1 check_marks
	equal "oom_score_adj of $1" "$(cat "/proc/$1/oom_score_adj")" -1000
	[ "$(awk '$1 == "VmLck:" { print $2 }' "/proc/$1/status")" -gt 0 ] || fail "$1 is not locked"
}

check_marks() {
	local stat flags

	for stat in "/proc/$server/task"/*/stat; do
		flags=$(sed 's/.*) //' "$stat" | cut -d' ' -f7)
		equal "marks of $stat" $((flags & 0x180000)) $((0x180000))
	done
}

conf '[zcram0]' 'zram-size = 1024' 'swap-priority = 7'
start
equal "swaps" "$(awk 'NR > 1 { print $1, $3, $5 }' /proc/swaps)" "$nbd 1048572 7"
equal "identifier" "$(cat /sys/block/nbd0/backend)" zcram:zcram0
equal "label" "$(blkid -o value -s LABEL "$nbd")" zcram0
equal "mode of the run directory" "$(stat -c %a "$run")" 700
equal "kernel's pid" "$(cat /sys/block/nbd0/pid)" "$zcramd"
check_protected "$server"
check_protected "$zcramd"
equal "core limit" "$(awk '/^Max core/ { print $5, $6 }' "/proc/$server/limits")" "0 0"
[ "$(awk '$1 == "VmStk:" { print $2 }' "/proc/$server/status")" -lt 600 ] || fail "a large stack"

# A second one is refused, and harms nothing.
status=0
zcramd zcram0 2>"$dir/second" || status=$?
equal "status of a second one" "$status" 1
grep -qF "run-directory: already running, pid $zcramd" "$dir/second" || fail "$(cat "$dir/second")"

# Reload: what can change in use, what cannot, and a mistake.
conf '[zcram0]' 'zram-size = 512' 'swap-priority = 7' 'compression-algorithm = lz4' \
	'zram-resident-limit = 600'
kill -HUP "$zcramd"
await 'RELOADING=1'
await 'MONOTONIC_USEC=[0-9]*'
await READY=1
logged 'compression-algorithm: changed from zstd(level=1) to lz4'
logged 'zram-resident-limit: changed from'
logged 'zram-size: changed from 1G to 512M: takes effect at the next start'
conf '[zcram0]' 'filter = maybe'
kill -HUP "$zcramd"
await READY=1
logged '/etc/zcram.conf:2: [zcram0] filter = maybe: '
logged 'what was in force before stays so'

# Stop with a running program's memory in it.
squeezed swapload 80 2 60000 &
load=$!
push_out 20000
stop_zcramd
[ -e "/proc/$load" ] || fail "the load was done before swapoff was"
nothing_left
logged stopped
kill -TERM "$load"
wait "$load"
