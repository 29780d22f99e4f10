#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: with pool= the content outlives SIGKILL and only that; a pool in use, of another size
# or that is none is refused in one line; nothing is left of a clean stop.
. "$(dirname "$0")/lib.sh"
require nbdcopy qemu-io ipcrm
. "$(dirname "$0")/pool-lib.sh"

# refused MESSAGE PARAMETER...
refused() {
	local message=$1 status=0

	shift
	nbdkit -f -U "$dir/socket2" "$ZCRAM_PLUGIN" lock=off "$@" --run true >"$dir/out" 2>&1 || status=$?
	[ $status -ne 0 ] || fail "nbdkit starts with $*"
	equal "lines with $*" "$(wc -l <"$dir/out")" 1
	grep -qF "zcram: $message" "$dir/out" ||
		fail "with $*, \"$(cat "$dir/out")\" is not \"$message\""
}

check_content() {
	nbdcopy "$uri" "$dir/out.img"
	cmp "$dir/in.img" "$dir/out.img"
}

# A little of everything: pages that shrink, that do not, of one word, and none.
{
	head -c 512K /dev/zero | tr '\0' '\377'
	head -c 256K /dev/urandom
	seq 10001 180000 # 6 bytes a line
} >"$dir/in.img"
truncate -s 8M "$dir/in.img"

# Killed, and started again; without its size, for the pool knows it.
serve -- size=8M lock=auto pool=$pool
there shm || fail "there is no segment of key $key"
there sem || fail "there is no semaphore of key $key"
get_stats
stat_is generation 0 pages_recovered 0 pages_damaged 0
nbdcopy "$dir/in.img" "$uri"
get_stats
stored=${S[pages_pool]} same=${S[pages_same]}
murder
serve -- pool=$pool
get_stats
stat_is generation 1 pages_recovered "$stored" pages_damaged 0 pages_pool "$stored" pages_same "$same"
grep -qE '^uuid: [0-9a-f-]{36}$' "$dir/log"
check_content

# A second server, in the same process group or not, does not get it.
refused "pool=$pool: in use: another server is running on it" pool=$pool
refused "pool=$pool: in use: another server is running on it" size=8M pool=$pool
check_content
murder

refused "pool=$pool: it holds a device of 8388608 bytes: give that size, or none" size=4M pool=$pool
refused "pool=$pool: it holds a device of 8388608 bytes: give that size, or none" size=8K pool=$pool
refused "pool=$pool: its allocator is zspage: give allocator=zspage, or none" allocator=zbud pool=$pool

# In the background, where the claim has to change hands.
serve_in_background pool=$pool control="$dir/control"
check_content
refused "pool=$pool: in use: another server is running on it" pool=$pool
pid=$server server=
kill -KILL "$pid"
wait "$waiter" || true

# A pool of the other allocator: the next server has it by itself, and refuses to have another.
serve -- pool=$pool
stop
serve -- size=8M pool=$pool lock=off allocator=zbud
nbdcopy "$dir/in.img" "$uri"
get_stats
stored=${S[pages_pool]}
murder
refused "pool=$pool: its allocator is zbud: give allocator=zbud, or none" allocator=zspage pool=$pool
serve -- pool=$pool
get_stats
stat_is generation 1 pages_recovered "$stored" pages_damaged 0
check_content
murder

# Kept over a clean stop when that is asked for; else nothing is left.
serve -- pool=$pool pool-at-exit=keep
check_content
stop
serve -- size=8M pool=$pool lock=off
check_content
stop
nothing_left "a clean stop"

# The pages of the segment that have memory.
resident() {
	awk -v key=$key 'NR > 1 && $1 == key { print $(NF - 1) / 4096 }' /proc/sysvipc/shm
}

# What is trimmed is given back, whether the mapping, the segment, or neither is locked.
: "${ZCRAM_ASK:?the path of the client that asks}"
for lock in auto off; do
	serve -- size=8M pool=$pool lock=$lock reserve=0 control="$dir/control"
	nbdcopy "$dir/in.img" "$uri"
	before=$(resident)
	qemu-io -f raw -c 'discard 0 8M' "$uri" >"$dir/io"
	echo '{"version":1,"command":"compact"}' | "$ZCRAM_ASK" "$dir/control" >"$dir/answer"
	after=$(resident)
	[ $((before - after)) -gt 64 ] || fail "with lock=$lock, of $before pages $after are left"
	stop
done
nothing_left "clean stops"

refused "pool=$pool: there is no such pool yet: give the size" pool=$pool
nothing_left "a refusal"
refused "pool=a/b: not a name: give 1 to 47 letters" size=8M pool=a/b
refused "pool-at-exit=keep: there is no pool: give pool=NAME too" size=8M pool-at-exit=keep
refused "pool-at-exit=maybe: not a choice: give remove or keep" size=8M pool=$pool pool-at-exit=maybe
refused "pool=$pool: given twice" size=8M pool=$pool pool=$pool
refused "control=/nowhere/socket: there is no such directory" size=8M pool=$pool control=/nowhere/socket
refused "reserve=9M: too large" size=8M reserve=9M pool=$pool
nothing_left "refusals"
