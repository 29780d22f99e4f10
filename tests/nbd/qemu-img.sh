#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: qemu-img converts an image in and out, finds both alike, and sees one changed byte.
. "$(dirname "$0")/lib.sh"
require qemu-img qemu-io

size=$((96 << 20))
# Half of it holes.
real_data "$dir/in" $((size / 2))
truncate -s $size "$dir/in"

serve -- size=$size
qemu-img convert -n -f raw -O raw "$dir/in" "$uri"
qemu-img compare -f raw -F raw "$dir/in" "$uri"
get_stats
[ "${S[pages_pool]}" -le $((size / 2 / 4096)) ] || fail "holes take objects: ${S[pages_pool]}"

qemu-img convert -f raw -O qcow2 "$uri" "$dir/out.qcow2"
qemu-img compare -f raw -F qcow2 "$dir/in" "$dir/out.qcow2"

qemu-io -f raw -c "write -q -P 0x5a 70000001 1" "$uri"
if qemu-img compare -f raw -F raw "$dir/in" "$uri" >"$dir/difference"; then
	fail "qemu-img sees no difference where there is one"
fi
grep -q mismatch "$dir/difference" || fail "$(cat "$dir/difference")"
stop
