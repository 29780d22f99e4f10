#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: fio's random writes of 4 to 64 KiB, by four connections at once, overwritten and
# trimmed, verify.
. "$(dirname "$0")/lib.sh"
require fio
fio --enghelp | grep -qw nbd || {
	echo "SKIP: fio has no nbd engine"
	exit 77
}

# fio's jobs know of no other's blocks: each has a range of its own.
range=$((24 << 20))
jobs=4

# run NAME OPTION...
run() {
	fio --name="$1" --ioengine=nbd --uri="$uri" --thread --numjobs=$jobs --size=$range \
		--offset_increment=$range --iodepth=16 --bssplit=4k/50:12k/20:32k/20:64k/10 \
		--refill_buffers --buffer_compress_percentage=60 --buffer_compress_chunk=512 \
		--verify=crc32c --verify_fatal=1 --verify_state_save=0 --randrepeat=1 "${@:2}" >"$dir/fio" 2>&1 ||
		fail "fio: $(cat "$dir/fio")"
}

for algorithm in lz4 zstd; do
	serve -- size=$((jobs * range)) algorithm=$algorithm
	run fill --rw=randwrite
	run overwrite --rw=randwrite --loops=3 --verify_backlog=64
	run mixed --rw=randrw --rwmixread=30 --loops=2
	get_stats
	stat_is failed_reads 0 failed_writes 0 invalid_io 0
	[ "${S[bytes_written]}" -gt $((5 * jobs * range)) ] ||
		fail "too little was written: ${S[bytes_written]}"
	stop
done
