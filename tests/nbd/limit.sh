#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: at mem-limit writes fail with ENOSPC on the wire, what was stored stays readable, and
# after a trim there is room again.
. "$(dirname "$0")/lib.sh"
require qemu-io nbdcopy

limit=$((16 << 20))
step=$((512 << 10))
random_data "$dir/random" $((32 << 20))
split -a 3 -d -b $step "$dir/random" "$dir/step."

# store I [AT]: write step I, at its own place or another.
store() {
	qemu-io -f raw -c "write -s $dir/step.$(printf %03d "$1") $((${2-$1} * step)) $step" "$uri" \
		>"$dir/io" 2>&1 && ! grep -q failed "$dir/io"
}

same() {
	nbdcopy "$uri" "$dir/out"
	cmp -n $((steps * step)) "$dir/out" "$dir/random"
}

serve -- size=32M mem-limit=$limit
steps=0
while store $steps; do
	steps=$((steps + 1))
	[ $((steps * step)) -le $limit ] || fail "more random data fits than the limit allows"
done
grep -q 'No space left on device' "$dir/io" || fail "not ENOSPC: $(cat "$dir/io")"
[ $((steps * step)) -ge $((limit * 9 / 10)) ] || fail "only $steps steps of $step fit into $limit"

get_stats
[ "${S[pool]}" -le $limit ] || fail "the pool is larger than its limit: ${S[pool]}"
[ "${S[pool_max]}" -le $limit ] || fail "the pool was larger than its limit: ${S[pool_max]}"
[ "${S[failed_writes]}" -ge 1 ] || fail "no failed write is counted"
equal "refused writes" "${S[writes_refused]}" "${S[failed_writes]}"
[ "${S[writes_slowed]}" -ge 1 ] || fail "a write was refused before any was made wait"
stat_is mem_limit $limit

same
# What takes no memory is written all the same, and what fails again does no harm.
qemu-io -f raw -c "write -q -P 0 31M 1M" -c "read -q -P 0 31M 1M" "$uri"
for i in 1 2 3; do
	! store $steps || fail "a write succeeds where there is no room"
done
same

# A page that cannot be overwritten keeps its old content: here all or none of each one.
store 0 1 || true
nbdcopy "$uri" "$dir/out"
for page in $(seq $((step / 4096)) $((2 * step / 4096 - 1))); do
	cmp -s -n 4096 -i $((page * 4096)) "$dir/out" "$dir/random" ||
		cmp -s -n 4096 -i $((page * 4096)):$((page * 4096 - step)) "$dir/out" "$dir/random" ||
		fail "page $page is neither old nor new"
done

qemu-io -f raw -c "discard -q 0 4M" "$uri"
for i in 0 1 2 3 4 5; do
	store $i || fail "no room after a trim: $(cat "$dir/io")"
done
nbdcopy "$uri" "$dir/out"
cmp -n $((6 * step)) "$dir/out" "$dir/random"
stop
