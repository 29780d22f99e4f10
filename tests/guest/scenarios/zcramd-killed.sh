#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the server is killed again and again while a program that checks its memory is swapped, and
# while fio verifies a file system: zcramd brings it back each time, the kernel notices nothing, and
# no request waits for long.
# zcramd-killed.sh [KILLS [SEED]]
# Memory: 256
# Limit: 590
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

kills=${1:-3} seed=${2:-1}

conf '[zcram0]' 'zram-size = 1024'
start
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
kernel_silent
stop_zcramd
nothing_left

# Several connections, and a file system.
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
kernel_silent
stop_zcramd
nothing_left
