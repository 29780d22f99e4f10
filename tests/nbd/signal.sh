#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: SIGUSR1, from the first moment on and again and again under load, prints statistics
# and disturbs no request; the command of --run has its SIGUSR1 as it was.
. "$(dirname "$0")/lib.sh"
require nbdcopy

size=$((48 << 20))
real_data "$dir/in" $size
serve -- size=$size
get_stats
stat_is reads 0

(
	exec 3<&- 4<&-
	nbdcopy --sparse=0 "$dir/in" "$uri" # zeros written too, so that every byte is counted
	nbdcopy "$uri" "$dir/out"
) &
copy=$!
asked=0
while kill -0 $copy 2>/dev/null; do
	get_stats
	asked=$((asked + 1))
done
wait $copy
cmp "$dir/in" "$dir/out"
[ $asked -ge 10 ] || fail "only $asked sets of statistics were printed meanwhile"
get_stats
stat_is bytes_written $size failed_reads 0 failed_writes 0
stop

nbdkit -f -U - "$ZCRAM_PLUGIN" size=4M --run 'grep ^Sig[BI] /proc/self/status' >"$dir/signals"
while read -r name mask; do
	equal "SIGUSR1 in $name" $((0x$mask >> 9 & 1)) 0
done <"$dir/signals"
equal "lines on signals" "$(wc -l <"$dir/signals")" 2
