#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: an ext4 filesystem full of files is copied in and out, is sound and is the same.
PATH=$PATH:/usr/sbin:/sbin
. "$(dirname "$0")/lib.sh"
require mkfs.ext4 e2fsck debugfs nbdcopy

mkdir "$dir/files"
real_data "$dir/files/tar" $((40 << 20))
random_data "$dir/files/random" $((8 << 20))
for i in $(seq 500); do
	echo "file $i" >"$dir/files/small-$i"
done
truncate -s 128M "$dir/in"
mkfs.ext4 -q -F -d "$dir/files" "$dir/in"

serve -- size=128M
nbdcopy "$dir/in" "$uri"
nbdcopy "$uri" "$dir/out"
get_stats
stop

cmp "$dir/in" "$dir/out"
e2fsck -fn "$dir/out" >"$dir/e2fsck" 2>&1 || fail "e2fsck: $(cat "$dir/e2fsck")"
debugfs -R 'cat /tar' "$dir/out" 2>/dev/null | cmp - "$dir/files/tar"
# What no file uses is no object.
[ "${S[pages_pool]}" -lt $((64 << 20 >> 12)) ] || fail "too many objects: ${S[pages_pool]}"
