#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: writeback= to a store that fills, that fails to be written or read, that is killed and started
# again, and whose bytes are changed: an error for the pages concerned, in the answer and in the state, wrong
# data never, and all goes on when it works again.
. "$(dirname "$0")/lib.sh"
require nbdcopy qemu-io
: "${ZCRAM_ASK:?the path of the client that asks}"
[ -e "$(nbdkit --dump-config | sed -n 's/^filterdir=//p')/nbdkit-error-filter.so" ] || {
	echo "SKIP: no error filter of nbdkit"
	exit 77
}

control=$dir/control
remote=

start_remote() {
	rm -f "$dir/remote.pid" "$dir/remote"
	mkfifo "$dir/remote.pid"
	exec 5<>"$dir/remote.pid"
	nbdkit -f -U "$dir/remote" -P "$dir/remote.pid" --filter=error file "$dir/store" error=EIO \
		error-pread-rate=100% error-pread-file="$dir/no-reads" \
		error-pwrite-rate=100% error-pwrite-file="$dir/no-writes" >"$dir/remote.log" 2>&1 4<&- 5<&- &
	read -r -u 5 remote
}

kill_remote() {
	local pid=$remote

	[ -n "$pid" ] || return 0
	kill -KILL "$pid"
	remote=
	wait "$pid" 2>/dev/null || true
}
also_clean_up+=(kill_remote)

ask() {
	echo "{\"version\":1,\"command\":\"$1\",\"arguments\":{${2-}}}" | "$ZCRAM_ASK" "$control"
}

# answers TEXT COMMAND [ARGUMENTS]
answers() {
	local answer

	answer=$(ask "$2" "${3-}")
	[[ $answer == *"$1"* ]] || fail "$2: $1 is not in $answer"
}

# await_state STATE: asked again and again, as nobody tells.
await_state() {
	until [[ $(ask stat) == *"\"state\":\"$1\""* ]]; do :; done
}

check_content() {
	nbdcopy "$uri" "$dir/out.img"
	cmp "$dir/in.img" "$dir/out.img"
}

# reads PAGE
reads() {
	qemu-io -f raw -c "read -q $(($1 * 4096)) 4k" "$uri" >"$dir/io" 2>&1 && ! grep -q failed "$dir/io"
}

# Full: what fits is there, the rest stays in memory.
head -c 8M /dev/urandom >"$dir/in.img"
serve -- size=8M control="$control" writeback="$dir/small" writeback-size=6M
nbdcopy "$dir/in.img" "$uri"
answers '"errno":"ENOSPC"' writeback
get_stats
[ "${S[pages_backing]}" -gt 500 ] || fail "only ${S[pages_backing]} pages fit into 6 MiB"
[ "${S[pages_pool]}" -gt 500 ] || fail "2048 pages of random data fit into 6 MiB"
answers '"state":"ready","error":null' stat
check_content
qemu-io -f raw -c "discard -q 0 8M" "$uri"
get_stats
stat_is pages_backing 0
equal "free bytes of the store" "${S[backing_free]}" "${S[backing_size]}"
nbdcopy "$dir/in.img" "$uri"
answers '"pages":100,' writeback '"pages":[[0,99]]'
check_content
stop

# Unlinked: it is open, and nobody misses its name.
serve -- size=8M control="$control" writeback="$dir/small"
nbdcopy "$dir/in.img" "$uri"
rm "$dir/small"
answers '"pages":300,' writeback '"pages":[[0,299]]'
check_content
stop

seq 1000001 2048576 >"$dir/in.img" # 8 bytes a line
truncate -s 16M "$dir/store"
start_remote
serve -- size=8M control="$control" writeback="nbd+unix:///?socket=$dir/remote"
nbdcopy "$dir/in.img" "$uri"
answers '"pages":1000,' writeback '"pages":[[0,999]]'

touch "$dir/no-writes"
answers '"errno":"EIO"' writeback '"pages":[[1000,1999]]'
answers '"state":"failed","error":"EIO"' stat
get_stats
stat_is pages_backing 1000 pages_damaged 0
check_content
rm "$dir/no-writes"
answers '"pages":' writeback '"pages":[[1000,1999]]'
answers '"state":"ready"' stat
check_content

answers '"pages":' writeback # what has come back
touch "$dir/no-reads"
! reads 5 || fail "a page is read that cannot be"
qemu-io -f raw -c "write -q -P 9 20k 4k" "$uri"
reads 5 || fail "it cannot be read though it was written again"
rm "$dir/no-reads"
dd if="$dir/in.img" of="$dir/page" bs=4096 skip=5 count=1 status=none
qemu-io -f raw -c "write -q -s $dir/page 20k 4k" "$uri"
check_content

for _ in 1 2 3; do
	answers '"pages":' writeback
	kill_remote
	await_state gone
	qemu-io -f raw -c "write -q -s $dir/page 20k 4k" "$uri"
	reads 5 || fail "what is in memory cannot be read"
	answers '"errno":"ENOTCONN"' writeback
	start_remote
	await_state ready
	check_content
done

# Its bytes are changed: an error for that page alone.
answers '"pages":' writeback
kill_remote
python3 - "$dir/store" <<-'END'
	import sys
	with open(sys.argv[1], "r+b") as f:
	    data = bytearray(f.read())
	    # of some objects, in all segments but the header's
	    for at in range(1 << 20, len(data), 8 << 10):
	        data[at + 2000] ^= 1
	    f.seek(0)
	    f.write(data)
END
start_remote
await_state ready
for ((page = 0; page < 2048; page++)); do
	echo "read -q $((page * 4096)) 4k"
done >"$dir/commands"
qemu-io -f raw "$uri" <"$dir/commands" >"$dir/io" 2>&1 || true
broken=$(grep -c 'read failed: Input/output error' "$dir/io") || true
if [ "$broken" -lt 10 ] || [ "$broken" -gt 240 ]; then
	fail "$broken pages cannot be read: $(head -c 300 "$dir/io")"
fi
get_stats
[ "${S[backing_read_errors]}" -ge "$broken" ] || fail "${S[backing_read_errors]} errors are counted"
stop
