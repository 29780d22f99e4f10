#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the server is upgraded again and again while a program that checks its memory is swapped, and
# while a file system is used: by another process each time, without swapoff, and no request waits for
# long. One that does not come up changes nothing.
# zcramd-upgraded.sh [UPGRADES [SEED]]
# Memory: 256
# Limit: 590
# Kernels: 6.1
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

upgrades=${1:-3} seed=${2:-1}
# What is installed as zcram-server: a link to the real one, to be changed.
installed=$dir/zcram-server

# upgrade: by another process, which is $server from then on
upgrade() {
	local old=$server

	zcramctl upgrade zcram0 >"$dir/said" || fail "upgrade: $(cat "$dir/said" "$dir/log")"
	server=$(cat "$run/pid")
	[ "$server" != "$old" ] || fail "it is the same"
	[ ! -e "/proc/$old" ] || fail "the old one is there still"
	grep -q "^zcram0: pid $old .*was replaced by pid $server " "$dir/said" ||
		fail "$(cat "$dir/said")"
	figure pause_ms "$(sed 's/.*waited at most \([0-9.]*\) ms.*/\1/' "$dir/said")"
}

# It fails with TEXT, and nothing has changed: upgrade_fails TEXT
upgrade_fails() {
	local status=0

	zcramctl upgrade zcram0 >"$dir/said" 2>&1 || status=$?
	equal "status of the upgrade" "$status" 1
	grep -qF -- "$1" "$dir/said" || fail "\"$1\" is not said: $(cat "$dir/said")"
	equal "the server" "$(cat "$run/pid")" "$server"
}

conf '[zcram0]' 'zram-size = 1024'
real=$(zcramd --check zcram0 | awk '/^[^#]/ { print $1; exit }')
ln -sf "$real" "$installed"
zcramd_options=(--server="$installed")
start
swapload 190 2 60000 "$seed" &
load=$!
await_swapping 2000
start_probe
figure longest_before_ms "$(longest)"
for ((i = 1; i <= upgrades; i++)); do
	await_swapping $((RANDOM % 1000 + 200))
	longest >/dev/null
	upgrade
	await_swapping 200
	figure longest_request_ms "$(longest)"
done

# What is installed is of no use.
rm "$installed"
printf '#!/bin/sh\nexit 1\n' >"$installed"
chmod 755 "$installed"
upgrade_fails 'the new server has ended before it was ready: exit status 1'
rm "$installed"
upgrade_fails 'cannot be run: No such file or directory; the old one goes on'
ln -sf "$real" "$installed"
await_swapping 200
upgrade
kill_server
await_swapping 200
upgrade
stop_probe

# What zcramctl says of all that.
zcramctl stat zcram0 >"$dir/stat"
for line in 'zcramd.state: serving' "zcramd.upgrades: $((upgrades + 2))" 'zcramd.deaths: 1' \
	'zcramd.restarts: 1' 'zcramd.last-death: killed by signal 9 (Killed)' \
	"zcramd.server-pid: $server"; do
	grep -qxF "$line" "$dir/stat" || fail "no \"$line\": $(cat "$dir/stat")"
done
zcramctl metrics >"$dir/metrics"
grep -qx 'zcram_server_restarts_total{device="zcram0"} 1' "$dir/metrics" || fail "$(cat "$dir/metrics")"
equal "the list" "$(zcramctl list -n --raw -o NAME,STATE)" "zcram0 running"

end_load
kernel_silent
stop_zcramd
nothing_left

# Several connections, and a file system.
conf '[zcram0]' 'zram-size = 256' 'fs-type = ext4' 'mount-point = /srv/upgraded' 'connections = 2'
start
start_fio /srv/upgraded
for ((i = 1; i <= upgrades; i++)); do
	sleep 1
	upgrade
	[ -e "/proc/$load" ] || fail "fio has ended: $(cat "$dir/fio")"
done
sleep 1
end_fio
kernel_silent
stop_zcramd
nothing_left

# nbdkit has no successor.
zcramd_options=(--server=nbdkit)
conf '[zcram0]' 'zram-size = 64' 'fs-type = ext4'
start
upgrade_fails 'the server is nbdkit, whose connections are its own and end with it'
stop_zcramd
