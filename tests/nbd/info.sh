#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: a client is told the true size, every ability, and where the holes are.
. "$(dirname "$0")/lib.sh"
require nbdinfo qemu-io

for size in 1 511 4095 4096 4097 1000001 4294967297; do
	serve -- size=$size
	equal "size of a device of $size bytes" "$(nbdinfo --size "$uri")" $size
	stop
done

serve -- 4M
equal "size given bare" "$(nbdinfo --size "$uri")" 4194304

nbdinfo "$uri" >"$dir/info"
for line in 'is_rotational: false' 'is_read_only: false' 'can_cache: true' 'can_df: true' \
	'can_fast_zero: true' 'can_flush: true' 'can_fua: true' 'can_multi_conn: true' \
	'can_trim: true' 'can_zero: true' 'block_size_minimum: 1' 'block_size_preferred: 4096' \
	'block_size_maximum: 67108864' 'base:allocation'; do
	grep -qF "$line" "$dir/info" || fail "nbdinfo does not say $line: $(cat "$dir/info")"
done

# map OFFSET LENGTH TYPE...: what nbdinfo --map must show, and nothing else.
map() {
	nbdinfo --map "$uri" | awk '{ print $1, $2, $3 }' >"$dir/map"
	printf '%s %s %s\n' "$@" >"$dir/expected"
	diff -u "$dir/expected" "$dir/map" >&2 || fail "the map is not the one expected"
}
data=0 hole=3

map 0 4194304 $hole

random_data "$dir/random" 1048576
qemu-io -f raw -c "write -q -s $dir/random 1M 1M" "$uri"
map 0 1048576 $hole 1048576 1048576 $data 2097152 2097152 $hole

qemu-io -f raw -c "discard -q 1280k 256k" "$uri"
map 0 1048576 $hole 1048576 262144 $data 1310720 262144 $hole 1572864 524288 $data \
	2097152 2097152 $hole

# Zeros that were written as data take no object either.
qemu-io -f raw -c "write -q -P 0 1M 256k" "$uri"
map 0 1572864 $hole 1572864 524288 $data 2097152 2097152 $hole

# Part of a page is not trimmed away.
qemu-io -f raw -c "discard -q 1572865 524287" "$uri"
map 0 1572864 $hole 1572864 4096 $data 1576960 2617344 $hole
stop
