#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: zcramd is killed again and again while a program that checks its memory is swapped: I/O goes
# on meanwhile, and each next one takes over what serves, by the same process; then all works as
# ever: reload, a kill of the server, leaving on SIGUSR2, stop. And both are killed at once.
# zcramd-adopted.sh [KILLS [SEED]]
# Memory: 256
# Limit: 590
# The kernel may say: block nbd0
# Kernels: 6.12
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

kills=${1:-3} seed=${2:-1}

# Requests that the device has completed.
completed() {
	awk '{ print $1 + $5 }' /sys/block/nbd0/stat
}

# zcramd is gone, and requests are completed all the same.
goes_on() {
	local from

	from=$(completed)
	until [ "$(completed)" -gt $((from + 50)) ]; do
		[ -e "/proc/$load" ] || fail "the load has ended"
		sleep 0.1
	done
}

# kill_zcramd SIGNAL STATUS: it ends so, and the next one takes over.
kill_zcramd() {
	local old=$server

	kill "-$1" "$zcramd"
	ends "$2"
	goes_on
	start
	equal "the server" "$server" "$old"
	logged "/dev/nbd0 and its server, pid $old, are taken over as they are"
}

conf '[zcram0]' 'zram-size = 1024'
start
swapload 190 2 60000 "$seed" &
load=$!
await_swapping 2000
start_probe
for ((i = 1; i <= kills; i++)); do
	kill_zcramd KILL 137
	await_swapping $((RANDOM % 500 + 100))
done
kill_zcramd USR2 0
figure longest_request_ms "$(longest)"
kernel_silent
equal "VmSwap of zcramd" "$(awk '$1 == "VmSwap:" { print $2 }' "/proc/$zcramd/status")" 0

# What was taken over is as good as what one has made.
conf '[zcram0]' 'zram-size = 512' 'compression-algorithm = lz4'
kill -HUP "$zcramd"
await READY=1
logged 'compression-algorithm: changed from zstd(level=1) to lz4'
kill_server
await_swapping 200
kill_server
stop_probe
kernel_silent
end_load
stop_zcramd
nothing_left

# Both die at once. Those that start the next zcramd must not be in that swap: only the load is. Requests that
# were under way are sent again when the kernel's time for them is over.
conf '[zcram0]' 'zram-size = 256'
start
squeezed swapload 24 2 60000 "$seed" &
load=$!
push_out 5000
press
kill -KILL "$zcramd" "$server"
ends 137
start
logged 'has lost its server with an earlier zcramd'
await_swapping 500
kill_server
kill_zcramd KILL 137
await_swapping 500
end_load
stop_zcramd
nothing_left

# A file system that nobody has mounted is not made again.
conf '[zcram0]' 'zram-size = 64' 'fs-type = ext4'
start
mkdir -p /srv/adopted
mount "$nbd" /srv/adopted
seq 100000 >/srv/adopted/numbers
umount /srv/adopted
kill -KILL "$zcramd"
ends 137
start
mount "$nbd" /srv/adopted
seq 100000 | cmp - /srv/adopted/numbers
umount /srv/adopted
stop_zcramd
nothing_left
