#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: FUA, fast zero, cache, the largest requests, requests outside the device and those
# that find no room get the answers that NBD has for them, with and without structured replies.
. "$(dirname "$0")/lib.sh"
: "${ZCRAM_WIRE:?the path of the client}"

# talk [NBDKIT-OPTION...]
talk() {
	serve "$@" -- size=5G mem-limit=80M
	"$ZCRAM_WIRE" "$uri"
	get_stats
	stat_is failed_reads 0
	[ "${S[failed_writes]}" -ge 1 ] || fail "no failed write is counted"
	stop
}

talk
talk --no-sr
