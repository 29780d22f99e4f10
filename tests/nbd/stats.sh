#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: after known requests, the statistics that SIGUSR1 and -D zcram.stats=1 print are
# exact.
. "$(dirname "$0")/lib.sh"
require qemu-io

serve -D zcram.stats=1 -- size=8M algorithm=zstd mem-limit=4M reserve=1M compact=off
get_stats
stat_is reads 0 writes 0 trims 0 zeroes 0 flushes 0 bytes_read 0 bytes_written 0 \
	failed_reads 0 failed_writes 0 invalid_io 0 notify_free 0 pages_same 0 pages_pool 0 \
	pages_raw 0 pages_filter 0 payload 0 pool 0 pool_max 0 mem_limit $((4 << 20)) \
	reserve_target $((1 << 20)) objects_compacted 0 pages_compacted 0

# io COMMAND...: on one connection, without the cache and the flushes of qemu's own.
io() {
	local arguments=() command

	for command; do
		arguments+=(-c "$command")
	done
	qemu-io -f raw -t unsafe "${arguments[@]}" "$uri" >"$dir/io"
}

random_data "$dir/random" $((100 * 4096))
# 100 pages that stay as they are, 30 pages that shrink, 7 of one word.
io "write -s $dir/random 0 400k"
seq 10001 30480 >"$dir/text" # 6 bytes a line
io "write -s $dir/text 1M 120k" 'write -P 0x5a 2M 28k'
get_stats
stat_is writes 3 bytes_written $((137 * 4096)) reads 0 pages_same 7 pages_pool 130 pages_raw 100 \
	failed_writes 0 notify_free 0
[ "${S[payload]}" -gt $((100 * 4096)) ] || fail "payload is ${S[payload]}"
[ "${S[payload]}" -lt $((115 * 4096)) ] || fail "payload is ${S[payload]}"
[ "${S[pool]}" -ge "${S[payload]}" ] || fail "the pool is smaller than the payload: ${S[pool]}"
[ "${S[pool_max]}" -ge "${S[pool]}" ] || fail "pool_max is smaller than pool: ${S[pool_max]}"

# A read of whole pages, one of parts; a page becomes one of one word, a word becomes an object.
io 'read 0 400k' 'read 1 4097' 'write -P 1 0 4k' 'write -P 2 2097155 2'
get_stats
stat_is reads 2 bytes_read $((100 * 4096 + 4097)) writes 5 bytes_written $((138 * 4096 + 2)) \
	pages_same 7 pages_pool 130 pages_raw 99

# 10 raw pages and 2 that were never written; part of a page drops nothing.
io 'discard 40k 40k' 'discard 4M 8k' 'discard 100000 5000'
get_stats
stat_is trims 3 notify_free 10 pages_pool 120 pages_raw 89 pages_same 7
# An object and 3 pages of one word; zeros in part of an object leave it one.
io 'write -z -u 2M 16k' 'write -z 1M 100'
get_stats
stat_is zeroes 2 notify_free 14 pages_same 4 pages_pool 119

# Everything trimmed: nothing is left.
io 'discard 0 8M'
get_stats
stat_is pages_same 0 pages_pool 0 pages_raw 0 pages_filter 0 payload 0 pool 0 trims 4 \
	notify_free $((14 + 4 + 119))
stop

# At the end they are printed once more.
dd iflag=nonblock status=none <&4 >"$dir/end" 2>/dev/null || true
grep -qx 'trims: 4' "$dir/end" || fail "no statistics at the end: $(cat "$dir/end")"
grep -qx 'pages_pool: 0' "$dir/end" || fail "no statistics at the end: $(cat "$dir/end")"
