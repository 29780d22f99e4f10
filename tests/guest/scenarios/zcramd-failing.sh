#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: a server that always dies: swap is drained while that can be done, and where it cannot,
# the server is given up, plainly, and the pool is kept; and one that cannot go on with its connections
# gets new ones.
# Memory: 256
# Limit: 590
# The kernel may say: block nbd0|I/O error|[Rr]ead-error on swap-device|[Ww]rite-error on swap-device|EXT4-fs
# Kernels: 6.12
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

conf '[zcram0]' 'zram-size = 256'
real=$(zcramd --check zcram0 | awk '/^[^#]/ { print $1; exit }')
# A server that dies when it has served for as many seconds as /run/life says, or at once, or lives.
cat >/run/server <<EOF
#!/bin/bash
if [ -e /run/life ]; then
	read -r life </run/life
	[ "\$life" != 0 ] || kill -KILL \$\$
	(
		until [ "\$(cat $run/pid)" = \$\$ ]; do sleep 0.05; done
		sleep "\$life"
		kill -KILL \$\$
	) </dev/null >/dev/null 2>&1 &
fi
exec $real "\$@"
EOF
chmod +x /run/server
zcramd_options=(--server=/run/server)

load() {
	squeezed swapload 24 2 60000 &
	load=$!
	push_out 5000
}

# It serves for a moment each time: that is enough to swap off.
start
load
echo 0.4 >/run/life
kill -KILL "$server"
ends 1
logged 'the server has died too often'
! grep -qF 'is given up' "$dir/log" || fail "it is given up"
figure deaths_until_drained "$(grep -c ' goes on after ' "$dir/log")"
nothing_left
rm /run/life
end_load

# New connections, where the old ones are of no use.
start
load
kill -STOP "$server" # for good: it must not go by what is no longer so
for fd in /proc/"$zcramd"/fd/*; do
	if [[ $(readlink "$fd") == */memfd:zcram-connection* ]]; then
		head -c 64 /dev/zero | dd of="$fd" conv=notrunc status=none
	fi
done
kill_server
logged 'no server goes on with the connections: they are begun anew'
push_out 5000
end_load
stop_zcramd
nothing_left

# It dies at once: requests fail, and what was stored is there to be looked at.
start
load
echo 0 >/run/life
kill -KILL "$server"
ends 1
logged 'the server has died too often'
logged 'it has died too often and is given up: requests fail; the pool stays'
[ "$(wc -l </proc/swaps)" -eq 1 ] || fail "swap is left: $(cat /proc/swaps)"
[ ! -e /sys/block/nbd0/pid ] || fail "nbd0 is still attached"
status=0
wait "$load" || status=$?
[ "$status" -gt 128 ] || fail "a program whose memory is lost ends with status $status"
equal "pools" "$(awk 'NR > 1' /proc/sysvipc/shm | wc -l)" 1
# Nobody can make anything of what was in swap.
rm /run/life
start
logged 'the pool zcram0 was left from an earlier server: removed'
stop_zcramd
nothing_left

# Of a file system, somebody may.
conf '[zcram0]' 'zram-size = 64' 'fs-type = ext4' 'mount-point = /srv/failing'
start
echo kept >/srv/failing/file
sync -f /srv/failing
exec 7>/srv/failing/open
echo 0 >/run/life
kill -KILL "$server"
ends 1
exec 7>&-
! findmnt -n /srv/failing || fail "it is still mounted"
launch
ends 1
logged 'the pool zcram0 is left from an earlier server, with the content'
rm /run/life
serve -- pool=zcram0
nbd-client -unix "$dir/socket" "$nbd" >/dev/null
mount "$nbd" /srv/failing
equal "the file" "$(cat /srv/failing/file)" kept
umount /srv/failing
nbd-client -d "$nbd"
stop
start
stop_zcramd
nothing_left

# Where nbdkit serves, what it holds goes with it.
zcramd_options=(--server=nbdkit)
conf '[zcram0]' 'zram-size = 256'
start
load
old=$server
kill -KILL "$server"
ends 1
logged "the server (pid $old) has ended ("
logged 'what it held is lost'
nothing_left
