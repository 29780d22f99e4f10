#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: zcramd never lets go of a device in use: when swapoff fails it stays, I/O goes on, and it
# tries again on SIGTERM and by itself when memory has come; a swapoff by somebody else is as good.
# Memory: 256
# Limit: 200
# shellcheck source=SCRIPTDIR/../lib.sh
# Kernels: 6.1
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

# Without overcommit, swapoff needs room for all of the device at once: none: scarce, enough
scarce() {
	local committed

	committed=$(awk '$1 == "Committed_AS:" { print $2 }' /proc/meminfo)
	sysctl -qw vm.overcommit_kbytes=$((committed / 2)) vm.overcommit_memory=2
}

enough() {
	sysctl -qw vm.overcommit_memory=0
}

# The device is there and serves.
check_serves() {
	equal "swap" "$(awk 'NR > 1 { print $1 }' /proc/swaps)" "$nbd"
	dd if="$nbd" of=/dev/null bs=64K count=16 iflag=direct status=none
	[ -e "/proc/$load" ] || fail "the load has ended"
}

conf '[zcram0]' 'zram-size = 512'
start
squeezed swapload 80 2 1000 &
load=$!
push_out 20000

scarce
kill -TERM "$zcramd"
await STOPPING=1
await 'EXTEND_TIMEOUT_USEC=*'
await 'STATUS=Cannot stop: /dev/nbd0 is in use as swap (*'
logged 'swapoff /dev/nbd0: Cannot allocate memory: '
logged 'it stays, and I/O goes on'
check_serves
kill -TERM "$zcramd" # another try, at once
await 'STATUS=Cannot stop: *'
equal "tries" "$(grep -c 'swapoff /dev/nbd0: Cannot allocate memory: ' "$dir/log")" 2
check_serves
enough # and the next try is its own
ends 0
[ -e "/proc/$load" ] || fail "the load has ended"
nothing_left

# Somebody else swaps off while it waits.
start
push_out 20000
scarce
kill -TERM "$zcramd"
await 'STATUS=Cannot stop: *'
enough
swapoff "$nbd"
ends 0
nothing_left

# And before it is asked to stop.
start
push_out 20000
swapoff "$nbd"
stop_zcramd
nothing_left
kill "$load"
