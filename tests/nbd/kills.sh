#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: fio verifies what it writes while the server is killed 50 times and started again on its
# pool; fio's client is one that connects again by itself (nbdkit's retry filter before its nbd plugin).
. "$(dirname "$0")/lib.sh"
require fio ipcrm
fio --enghelp | grep -qw nbd || {
	echo "SKIP: fio has no nbd engine"
	exit 77
}
nbdkit --filter=retry nbd --dump-plugin >/dev/null 2>&1 || {
	echo "SKIP: nbdkit has no nbd plugin, or no retry filter"
	exit 77
}
. "$(dirname "$0")/pool-lib.sh"

kills=50
size=64M
proxy= # process id of the nbdkit that connects again
load=  # of fio's shell

# Start the client that connects again: its own clients are at $dir/steady.
start_proxy() {
	mkfifo "$dir/proxy.pid"
	exec 5<>"$dir/proxy.pid"
	nbdkit -f -P "$dir/proxy.pid" -U "$dir/steady" --filter=retry nbd socket="$dir/socket" retry=100 \
		retries=100 retry-delay=1 retry-exponential=no >"$dir/proxy" 2>&1 5<&- || echo dead >&5 &
	read -r proxy <&5
	[ "$proxy" != dead ] || fail "nbdkit: $(cat "$dir/proxy")"
}

# fio, again and again, until there is $dir/enough.
verify() {
	until [ -e "$dir/enough" ]; do
		fio --name=kills --ioengine=nbd --uri="nbd+unix:///?socket=$dir/steady" --size=$size \
			--rw=randrw --rwmixread=30 --iodepth=16 --bssplit=4k/60:12k/20:64k/20 \
			--refill_buffers --buffer_compress_percentage=60 --buffer_compress_chunk=512 \
			--verify=crc32c --verify_fatal=1 --verify_state_save=0 --verify_backlog=256 \
			--randseed="$RANDOM" >"$dir/fio" 2>&1 || return 1
		: >"$dir/verified"
	done
}

end_clients() {
	local pid

	for pid in $load $proxy; do
		kill "$pid" 2>/dev/null
	done
}
also_clean_up+=(end_clients)

serve -- size=$size pool="$pool"
start_proxy
verify &
load=$!
RANDOM=${ZCRAM_TEST_SEED:-$$}
echo "seed ${ZCRAM_TEST_SEED:-$$}"
for ((n = 1; n <= kills; n++)); do
	# The moment is any, but requests are under way: reads and writes have gone on since the start.
	get_stats
	since=${S[bytes_written]:-0} much=$((RANDOM % 4096 << 10))
	until get_stats && [ $((S[bytes_written] - since)) -ge $much ]; do
		sleep 0.02
		kill -0 "$load" 2>/dev/null || fail "fio after $n kills: $(cat "$dir/fio" "$dir/proxy")"
	done
	murder
	serve -- pool="$pool"
	get_stats
	stat_is generation "$n" pages_damaged 0
done
: >"$dir/enough"
wait "$load" || fail "fio: $(cat "$dir/fio" "$dir/proxy")"
load=
[ -e "$dir/verified" ] || fail "fio has verified nothing"
get_stats
stat_is failed_reads 0 failed_writes 0
kill "$proxy"
tail --pid="$proxy" -f /dev/null
proxy=
stop
nothing_left "a clean stop"
