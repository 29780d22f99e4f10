#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: a parameter that is missing, unknown, given twice or out of range is refused in one
# line that names it, and nbdkit does not start.
. "$(dirname "$0")/lib.sh"

dump() {
	nbdkit "$ZCRAM_PLUGIN" --dump-plugin | sed -n "s/^$1=//p"
}

# refused MESSAGE PARAMETER...: the line must begin with "zcram: " and MESSAGE.
refused() {
	local message=$1 status=0

	shift
	nbdkit -f -U "$dir/socket" "$ZCRAM_PLUGIN" "$@" --run true >"$dir/out" 2>&1 || status=$?
	[ $status -ne 0 ] || fail "nbdkit starts with $*"
	[ $status -lt 128 ] || fail "nbdkit dies of signal $((status - 128)) with $*"
	[ "$(wc -l <"$dir/out")" -eq 1 ] || fail "not one line for $*: $(cat "$dir/out")"
	grep -qF "zcram: $message" "$dir/out" ||
		fail "with $*, \"$(cat "$dir/out")\" is not \"$message\""
}

not_a_size='not a size: give bytes, or a number with K, M, G or T (1K = 1024)'
not_an_algorithm='not an algorithm: give lz4, lz4(level=N), zstd or zstd(level=N)'

refused 'size: missing: give'
refused 'size: missing: give' algorithm=lz4
for size in '' -1 -4G four 12Q 1.5G 0x10 ' 1' 1KB 4G4; do
	refused "size=$size: $not_a_size" "size=$size"
done
refused "size=nonsense: $not_a_size" nonsense
refused 'size=0: too small: give at least 1' size=0
refused 'size=0K: too small: give at least 1' size=0K
max=$(dump zcram_max_size)
refused "size=$((max + 1)): too large: give at most $max bytes" size=$((max + 1))
refused 'size=16777215T: too large: give at most' size=16777215T
refused 'size=99999999999999999999: too large' size=99999999999999999999
refused 'size=16777216T: too large' size=16777216T

refused 'sise=4G: unknown parameter: give size, algorithm, mem-limit,' sise=4G
refused 'Size=4G: unknown parameter: give' Size=4G
refused 'mem_limit=4G: unknown parameter: give' size=4G mem_limit=4G

for algorithm in '' lzo lzo-rle raw ZSTD 'zstd lzo' 'zstd(' 'zstd(3)' 'zstd(level=)' \
	'zstd(level=fast)' zstd:3 'lz4hc(level=9)'; do
	refused "algorithm=$algorithm: $not_an_algorithm" size=4M "algorithm=$algorithm"
done
again='not what is compressed again: give (type=idle), (type=huge) or (type=huge_idle)'
refused 'algorithm=zstd(level=3) (type=idle): with one algorithm nothing is compressed again' \
	size=4M 'algorithm=zstd(level=3) (type=idle)'
refused "algorithm=lz4 zstd (frob=1): $again" size=4M 'algorithm=lz4 zstd (frob=1)'
refused 'algorithm=lz4 zstd (type=all): not a type: give type=idle, type=huge or type=huge_idle' \
	size=4M 'algorithm=lz4 zstd (type=all)'
refused 'algorithm=lz4 zstd (type=idle: not what is compressed again: the ) is missing' \
	size=4M 'algorithm=lz4 zstd (type=idle'
refused 'algorithm=lz4 zstd (threshold=99999999999999999999): too large' \
	size=4M 'algorithm=lz4 zstd (threshold=99999999999999999999)'
refused 'algorithm=lz4 zstd (type=idle) lz4: nothing may stand behind' \
	size=4M 'algorithm=lz4 zstd (type=idle) lz4'
refused 'algorithm=lz4 lz4 lz4 lz4 lz4: too many algorithms: give at most 4' \
	size=4M 'algorithm=lz4 lz4 lz4 lz4 lz4'
refused 'recompress-age=soon: not a time: give seconds, or a number with s, m, h or d' \
	size=4M recompress-age=soon
refused 'recompress-age=4d: too long: give at most 262128 seconds' size=4M recompress-age=4d
for cpu in 0 101 5% -1 ten ''; do
	refused "recompress-cpu=$cpu: not a share of one CPU: give 1 to 100, in percent" \
		size=4M "recompress-cpu=$cpu"
done
lz4_levels=$(dump zcram_lz4_levels) zstd_levels=$(dump zcram_zstd_levels)
for algorithm in "zstd(level=$((${zstd_levels#* to } + 1)))" \
	"zstd(level=$((${zstd_levels% to *} - 1)))" 'zstd(level=99999999999)' \
	"lz4(level=$((${lz4_levels#* to } + 1)))" "lz4(level=$((${lz4_levels% to *} - 1)))"; do
	refused "algorithm=$algorithm: no such level: lz4 takes $lz4_levels, zstd $zstd_levels" \
		size=4M "algorithm=$algorithm"
done

for allocator in '' zsmalloc ZBUD z3fold 'zbud '; do
	refused "allocator=$allocator: not a choice: give zspage or zbud" size=4M "allocator=$allocator"
done

refused "mem-limit=12Q: $not_a_size" size=4M mem-limit=12Q
min=$(dump zcram_min_mem_limit)
for limit in 0 1 $((min - 1)); do
	refused "mem-limit=$limit: too small: give at least $min bytes" size=4M mem-limit=$limit
done
refused "reserve=-1: $not_a_size" size=4M reserve=-1
refused 'reserve=8M: too large: give at most 4194304 bytes, the size' size=4M reserve=8M
refused 'reserve=3M: too large: give at most 2097152 bytes, the mem-limit' \
	size=4M mem-limit=2M reserve=3M
refused 'filter=off: not a choice: give auto or none' size=4M filter=off
refused 'compact=on: not a choice: give auto or off' size=4M compact=on
refused 'lock=yes: not a choice: give auto, on or off' size=4M lock=yes

for where in '' http://host/ file:///x; do
	refused "writeback=$where: not a place to write to: give the path of a file or of a block" \
		size=4M "writeback=$where"
done
refused "writeback-size=12Q: $not_a_size" size=4M writeback=/nowhere writeback-size=12Q
refused 'writeback-size=4M: too small: give at least 5M' size=4M writeback=/nowhere writeback-size=4M
refused 'writeback-size=8M: there is nothing to be made so large: give writeback=PATH too' \
	size=4M writeback-size=8M
for at in 101 -1 5% ''; do
	refused "writeback-at=$at: not a share of the limit: give 1 to 100, in percent, or 0" \
		size=4M writeback=/nowhere "writeback-at=$at"
done
refused 'writeback-age=4d: too long: give at most 262128 seconds' \
	size=4M writeback=/nowhere writeback-age=4d
refused "writeback-limit=x: $not_a_size" size=4M writeback=/nowhere writeback-limit=x
refused 'writeback-at=50: there is nowhere to write to: give writeback= too' size=4M writeback-at=50
refused 'writeback-size=8M: an export has its own size' \
	size=4M writeback=nbd://host/ writeback-size=8M

refused 'size=5M: given twice (4M before): give it once' size=4M size=5M
refused 'size=5M: given twice (4M before): give it once' 4M size=5M
for parameter in algorithm=lz4 mem-limit=4M reserve=1M filter=auto compact=auto recompress-age=1h recompress-cpu=5 lock=auto \
	writeback=/nowhere writeback-size=8M \
	control=/nowhere name=zcram0 pool=test; do
	refused "$parameter: given twice (${parameter#*=} before): give it once" \
		size=4M $parameter $parameter
done

# The very borders are not refused.
for parameters in "size=1" "size=1T" "size=4M mem-limit=$min" "size=4M reserve=0" \
	"size=4M reserve=4M" "size=4M algorithm=zstd(level=${zstd_levels#* to })" \
	"size=4M algorithm=zstd(level=${zstd_levels% to *})" \
	"size=4M algorithm=lz4(level=${lz4_levels#* to })"; do
	# shellcheck disable=SC2086
	serve -- $parameters
	stop
done
