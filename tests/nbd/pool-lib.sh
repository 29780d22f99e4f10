# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# What the tests of pool= share; sourced behind lib.sh. The pool of the test is $pool.
# shellcheck disable=SC2034,SC2154

pool=test-pool.$$
[ -e /proc/sysvipc/shm ] || {
	echo "SKIP: no System V shared memory"
	exit 77
}

# The key of the pool's segment and semaphore: of its name, as common/segment.c makes it (FNV-1a).
key=$((0xcbf29ce484222325))
for ((i = 0; i < ${#pool}; i++)); do
	key=$(((key ^ $(printf %d "'${pool:i:1}")) * 0x100000001b3))
done
key=$((0x7a000000 | (key ^ key >> 24 ^ (key >> 48 & 0xffff)) & 0xffffff))

# there KIND: is there one of the key?
there() {
	awk -v key=$key 'NR > 1 && $1 == key { found = 1 } END { exit !found }' "/proc/sysvipc/$1"
}

remove_pool() {
	if there shm; then ipcrm -M $key; fi
	if there sem; then ipcrm -S $key; fi
}

also_clean_up+=(remove_pool)

nothing_left() {
	! there shm || fail "a segment is left after $1"
	! there sem || fail "a semaphore is left after $1"
}

murder() {
	local pid=$server

	server=
	kill -KILL "$pid"
	wait "$waiter" || true
}
