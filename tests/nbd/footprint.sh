#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: with nothing stored and four connections open the server has at most 16 MiB of memory
# resident; and where memory is locked, beside that the tables of the whole device, and what is had
# ahead for 64 threads.
. "$(dirname "$0")/lib.sh"
: "${ZCRAM_HOLD:?the path of the client that holds connections open}"

most=$((16 << 10)) # KiB
tables=$((4 * (2 << 10))) # KiB: of 4 GiB, 2 MiB for each
threads_have=$((64 * (128 + 132))) # KiB: a stack, and a buffer for a request of the kernel's

# measure PARAMETER...: the footprint, in KiB, with four connections at rest after work.
measure() {
	serve -- size=4G control="$dir/control" "$@"
	hold 4
	resident=$(status VmRSS) locked=$(status VmLck) threads=$(status Threads)
	echo "$*: VmRSS $resident KiB, VmLck $locked KiB, $threads threads"
	release
	stop
	[ "$threads" -ge 64 ] || fail "only $threads threads: were four connections open?"
	[ "$locked" -eq 0 ] || most=$((most + tables + threads_have))
	[ "$resident" -le $most ] || fail "$resident KiB are resident, more than $most"
	[ "$locked" -eq 0 ] || [ "$resident" -ge $((tables + threads_have)) ] ||
		fail "tables, stacks and buffers are not there"
}

measure lock=off
equal "locked with lock=off" "$locked" 0

# Locked in full where this machine allows it, else as far as it does.
if nbdkit -f -U - "$ZCRAM_PLUGIN" size=4M lock=on --run true 2>"$dir/refused"; then
	measure lock=on
	[ "$locked" -gt 0 ] || fail "nothing is locked with lock=on"
else
	grep -q 'zcram: lock=on: .*CAP_' "$dir/refused" || fail "$(cat "$dir/refused")"
	echo "lock=on is refused here, measuring lock=auto instead: $(cat "$dir/refused")"
	measure lock=auto
	grep -q 'memory is not locked' "$dir/refused" || [ "$locked" -gt 0 ] ||
		fail "nothing is locked with lock=auto"
fi
