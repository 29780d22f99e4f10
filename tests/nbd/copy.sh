#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: nbdcopy brings real data in and the same data out, by any algorithm and filter, over
# several connections, without structured replies, and to a device whose last page is part of one.
. "$(dirname "$0")/lib.sh"
require nbdcopy

size=$((64 << 20))
real_data "$dir/in" $size

# in_and_out FILE [NBDCOPY-OPTION...]
in_and_out() {
	local file=$1

	shift
	nbdcopy "$@" -- "$file" "$uri"
	nbdcopy "$@" -- "$uri" "$dir/out"
	equal "what was read back of $file" "$(sum "$dir/out")" "$(sum "$file")"
	rm "$dir/out"
}

for algorithm in lz4 'lz4(level=8)' 'zstd(level=-5)' zstd; do
	for filter in auto none; do
		serve -- size=$size "algorithm=$algorithm" filter=$filter
		in_and_out "$dir/in"
		get_stats
		[ "${S[payload]}" -lt $((size * 9 / 10)) ] ||
			fail "$algorithm, filter=$filter: real data does not get smaller: ${S[payload]}"
		stop
	done
done

serve -- size=$size
in_and_out "$dir/in" --connections=4 --requests=16 --request-size=65536
in_and_out "$dir/in" --connections=1 --request-size=4194304
# Overwritten by something else, nothing of the old is left.
random_data "$dir/random" $size
in_and_out "$dir/random"
stop

serve --no-sr -- size=$size
in_and_out "$dir/in"
stop

head -c 20001237 "$dir/in" >"$dir/odd"
serve -- size=20001237
in_and_out "$dir/odd"
stop
