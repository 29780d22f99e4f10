#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: what zcramd says when it cannot start, that it leaves nothing behind then, and what it does
# when somebody has detached its device.
# Memory: 256
# Limit: 200
# The kernel may say: block nbd0: Receive control failed
# shellcheck source=SCRIPTDIR/../lib.sh
# Kernels: 6.1
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

# It ends with status 1, having said TEXT, and leaves nothing: refused TEXT [COMMAND...]
refused() {
	local text=$1 status=0

	shift
	[ $# -gt 0 ] || set -- zcramd zcram0
	"$@" 2>"$dir/log" || status=$?
	equal "status of $*" "$status" 1
	logged "$text"
}

good=('[zcram0]' 'zram-size = 64')

# Who may not.
conf "${good[@]}"
chmod 644 /etc/zcram.conf
refused 'zcramd: zcram0: not root' setpriv --reuid=1000 --regid=1000 --clear-groups zcramd zcram0
refused 'not permitted: it takes CAP_SYS_ADMIN' setpriv --bounding-set=-sys_admin zcramd zcram0
nothing_left

# What it cannot use. Newer kernels load the module by themselves when they are asked for nbd.
loader=$(cat /proc/sys/kernel/modprobe)
sysctl -qw kernel.modprobe=/bin/false
rmmod nbd
# shellcheck disable=SC2016
refused 'survey: the kernel has no nbd client loaded: run `modprobe nbd`'
nothing_left
sysctl -qw "kernel.modprobe=$loader"
# Too few devices are none too few: the kernel makes another.
modprobe nbd nbds_max=0
[ ! -e /sys/block/nbd0 ] || fail "there is a device"
start
stop_zcramd
nothing_left
rmmod nbd
modprobe nbd
conf "${good[@]}" 'device = nbd5'
serve -- size=4M
nbd-client -unix "$dir/socket" /dev/nbd5 >/dev/null
refused 'attach: attaching nbd5: it is in use by something else'
equal "nbdkit" "$(pgrep -x nbdkit)" "$server"
[ ! -e "$run" ] || fail "$run is left"
nbd-client -d /dev/nbd5
stop
refused "server: nbdkit: exit status 1: nbdkit: error: cannot open plugin 'nonesuch'" zcramd --server=nbdkit --plugin=nonesuch zcram0
nothing_left
refused 'server: /nonesuch: cannot be run: No such file or directory' zcramd --server=/nonesuch zcram0
nothing_left
refused 'mkfs.nonesuch: cannot be run: No such file or directory' env \
	sh -c 'printf "fs-type = nonesuch\n" >>/etc/zcram.conf; exec zcramd zcram0'
nothing_left

# The configuration.
conf '[zcram0]' 'zram-size = many'
refused '/etc/zcram.conf:2: [zcram0] zram-size = many: '
conf '[zcram1]' '[zcram2]'
refused 'there is no section [zcram0] in the configuration: it has [zcram1], [zcram2]'
rm /etc/zcram.conf
refused 'there is no section [zcram0]: the configuration has none at all'

# /run is full, or not for us.
conf "${good[@]}"
mkdir /tmp/run
mount -t tmpfs -o size=64K,mode=700 tmpfs /tmp/run
head -c 64K /dev/zero >/tmp/run/full
refused 'run-directory: /tmp/run/zcram0/lock: cannot be written: No space left on device' \
	env ZCRAM_RUN_DIR=/tmp/run zcramd zcram0
[ ! -e /tmp/run/zcram0 ] || fail "/tmp/run/zcram0 is left"
umount /tmp/run
chmod 777 /tmp/run
refused 'not a directory that only its owner, uid 0, can write to' \
	env ZCRAM_RUN_DIR=/tmp/run zcramd zcram0
long=$(printf 'x%.0s' {1..100})
refused 'too long: a socket' env "ZCRAM_RUN_DIR=/tmp/$long" zcramd zcram0

# Not for this machine.
conf "${good[@]}" 'host-memory-limit = 1'
launch
await READY=1
ends 0
logged 'not needed here: '
nothing_left

# Asked to stop before it is up.
conf "${good[@]}"
launch
await 'STATUS=Starting: server'
kill -TERM "$zcramd"
ends 0
nothing_left

# What it hints at.
sysctl -qw vm.watermark_boost_factor=15000
start
logged 'vm.watermark_boost_factor is not 0'
stop_zcramd
nothing_left

# A server whose device somebody has detached is of no use.
start
old=$server
kill -KILL "$zcramd"
ends 137
swapoff "$nbd"
kill -STOP "$old"
nbd-client -d "$nbd"
kill -CONT "$old"
start
stop_zcramd
nothing_left

# Nor is zcramd then.
start
swapoff "$nbd"
nbd-client -d "$nbd"
ends 1
logged 'somebody has detached the device'
start
logged 'the pool zcram0 was left from an earlier server: removed'
stop_zcramd
nothing_left
