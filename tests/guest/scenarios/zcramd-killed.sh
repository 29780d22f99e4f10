#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: when the server dies zcramd says so, requests fail instead of waiting for ever, swap or the
# mount is taken away, and zcramd ends with an error; then it can be started again.
# Memory: 256
# Limit: 200
# The kernel may say: block nbd0|I/O error|[Rr]ead-error on swap-device|[Ww]rite-error on swap-device|EXT4-fs
# shellcheck source=SCRIPTDIR/../lib.sh
# Kernels: 6.12
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

check_said() {
	logged "the server (pid $1) has ended (killed by signal 9 (Killed)): what it held is lost"
}

conf '[zcram0]' 'zram-size = 256'
start
squeezed swapload 80 2 1000 >"$dir/load" 2>&1 &
load=$!
push_out 20000
old=$server
kill -KILL "$old"
ends 1
check_said "$old"
nothing_left
status=0
wait "$load" || status=$?
[ "$status" -gt 128 ] || fail "a program whose memory is lost ends with status $status"

start
stop_zcramd
nothing_left

# A file system, with a file open on it.
conf '[zcram0]' 'zram-size = 64' 'fs-type = ext4' 'mount-point = /srv/killed'
start
exec 6>/srv/killed/open
old=$server
kill -KILL "$old"
ends 1
check_said "$old"
! findmnt -n /srv/killed || fail "it is still mounted"
exec 6>&-
[ ! -e "$run" ] || fail "$run is left"
