#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the limit is met while the backing store hangs, and as many writes as the kernel can have under way
# are held: reads of what is in memory are answered meanwhile, before any of these writes has ended; and when
# the store goes on, so do they, and none has failed.
# Memory: 512
# Limit: 280
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

limit=$((8 << 20)) queue=/sys/block/nbd0/queue

# zcramctl's statistic NAME of zcram0
stat() {
	zcramctl stat zcram0 | sed -n "s/^stats\.$1: //p"
}

# Writes that the kernel waits for, of those that it has sent or is about to.
under_way() {
	awk '{ print $2 }' /sys/block/nbd0/inflight
}

# Writes that have ended, well or not.
ended() {
	awk '{ print $5 }' /sys/block/nbd0/stat
}

# COUNT pages, from the first on, are as they were written: read_pages COUNT
read_pages() {
	local i

	for i in $(seq 0 $(($1 - 1))); do
		dd if="$nbd" of="$dir/page" bs=4k skip="$i" count=1 iflag=direct status=none
		cmp -s -n 4096 "$dir/page" "$dir/first" 0 $((i * 4096)) || fail "page $i is not what was written"
	done
}

nbdkit -f -P "$dir/store.pid" -U "$dir/store" memory 64M &
store=$!
until [ -s "$dir/store.pid" ]; do
	sleep 0.1
done
conf '[zcram0]' 'zram-size = 128' 'mem-limit = 8' 'fs-type = ext2' 'connections = 1' \
	"writeback = nbd+unix:///?socket=$dir/store"
start
random_data "$dir/first" $((64 << 10))
dd if="$dir/first" of="$nbd" bs=64k oflag=direct status=none
figure queue "$(cat $queue/scheduler) $(cat $queue/max_sectors_kb) $(cat $queue/iosched/async_depth)"

kill -STOP "$store"
fio --name=held --filename="$nbd" --offset=1M --size=32M --rw=write --bs=128k --direct=1 --ioengine=libaio \
	--iodepth=250 --refill_buffers --eta=never --output="$dir/fio" &
writer=$!
# What is written fits no more, and writes are under way.
until [ "$(stat pool)" -gt $((limit - (256 << 10))) ] && [ "$(under_way)" -gt 0 ]; do
	kill -0 "$writer" || fail "32 MiB fit into 8: $(cat "$dir/fio")"
done
before=$(ended)
read_pages 8
figure writes_under_way "$(under_way)"
figure writes_ended $(($(ended) - before))
equal "refused writes" "$(stat writes_refused)" 0
kill -CONT "$store"
wait "$writer" || fail "fio: $(cat "$dir/fio")"
equal "failed writes" "$(stat failed_writes)" 0
equal "scheduler" "$(grep -o '\[.*\]' $queue/scheduler)" '[mq-deadline]'
equal "writes under way at most" "$(cat $queue/iosched/async_depth)" 24
equal "KiB of a request" "$(cat $queue/max_sectors_kb)" 64

# The next zcramd finds it so.
kill -USR2 "$zcramd"
await 'dead 0'
start
read_pages 1
equal "writes under way at most" "$(cat $queue/iosched/async_depth)" 24
! grep -F 'may have to wait' "$dir/log" || fail "writes are not bounded"
stop_zcramd
