#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: patterns written, zeroed and discarded at any offset and length, within a sector,
# across pages and at the very end, are read back as they are and touch nothing beside them.
. "$(dirname "$0")/lib.sh"
require qemu-io nbdcopy

size=$((8 << 20 | 777)) # the last page is part of one
serve -- size=$size

# io COMMAND...: all must succeed, patterns that differ included.
io() {
	local arguments=() command

	for command; do
		arguments+=(-c "$command")
	done
	qemu-io -f raw "${arguments[@]}" "$uri" >"$dir/io" 2>&1 || fail "qemu-io: $(cat "$dir/io")"
	! grep -qi 'fail\|error' "$dir/io" || fail "qemu-io: $(cat "$dir/io")"
}

# A test of the test: a pattern that differs is seen.
if (io 'read -P 1 0 512') 2>"$dir/seen"; then
	fail "qemu-io does not see a pattern that differs"
fi
grep -q 'Pattern verification failed' "$dir/seen"

io 'read -P 0 0 8M'
# Whole pages, then parts: within a sector, across sectors, across pages, many pages and two ends.
io 'write -P 0x11 0 1M' 'write -P 0x22 1 1' 'write -P 0x33 4095 2' 'write -P 0x44 10000 300' \
	'write -P 0x55 20001 50001'
io 'read -P 0x11 0 1' 'read -P 0x22 1 1' 'read -P 0x11 2 4093' 'read -P 0x33 4095 2' \
	'read -P 0x11 4097 5903' 'read -P 0x44 10000 300' 'read -P 0x11 10300 9701' \
	'read -P 0x55 20001 50001' 'read -P 0x11 70002 978574' 'read -P 0 1M 1M'

# Zeros, with and without leave to free what is below.
io 'write -P 0x66 2M 1M' 'write -z 2097153 1000' 'write -z -u 2200001 100003' 'write -z 2900k 4k'
io 'read -P 0x66 2M 1' 'read -P 0 2097153 1000' 'read -P 0x66 2098153 101848' \
	'read -P 0 2200001 100003' 'read -P 0x66 2300004 669596' 'read -P 0 2900k 4k' \
	'read -P 0x66 2904k 168k'

# Whole pages that are discarded read as zeros; parts of them stay.
io 'write -P 0x77 4M 256k' 'discard 4194305 131071' 'discard 4329472 4096' 'discard 4337665 100'
io 'read -P 0x77 4M 4k' 'read -P 0 4198400 126976' 'read -P 0x77 4325376 4096' \
	'read -P 0 4329472 4096' 'read -P 0x77 4333568 122880'

# Pages of one word, of a word of eight different bytes, and such pages written into.
printf 'abcdefg\n%.0s' $(seq 4096) >"$dir/words"
io "write -s $dir/words 5M 32k" 'write -P 0x88 5242883 2'
printf '\x88\x88' | dd of="$dir/words" bs=1 seek=3 conv=notrunc status=none
nbdcopy "$uri" "$dir/all"
cmp -n 32768 -i $((5 << 20)):0 "$dir/all" "$dir/words"

# The end of the device, whose last page has 777 bytes.
io 'write -P 0x99 8388000 1385' 'read -P 0 8387000 1000' 'read -P 0x99 8388000 1385'
io 'write -z 8388609 775' 'read -P 0x99 8388000 609' \
	'read -P 0 8388609 775' 'read -P 0x99 8389384 1'
io 'discard 8388608 777' 'read -P 0 8388608 777' 'read -P 0x99 8388000 608'

io 'flush' 'write -f -P 0xaa 6M 5000' 'read -P 0xaa 6M 5000'
stop
