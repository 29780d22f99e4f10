#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: a server is killed, and its backing store is gone when the next one starts: it serves what is in
# memory, fails reads of what is in the store and of nothing else, and says so in one line; when the store is
# there again it is found, and all can be read.
. "$(dirname "$0")/lib.sh"
require nbdcopy qemu-io ipcrm
. "$(dirname "$0")/pool-lib.sh"
: "${ZCRAM_ASK:?the path of the client that asks}"

control=$dir/control
store=$dir/store

ask() {
	echo "{\"version\":1,\"command\":\"$1\",\"arguments\":{${2-}}}" | "$ZCRAM_ASK" "$control"
}

# says TEXT: one of the next lines of the server has it.
says() {
	local line=

	until [[ $line == *"$1"* ]]; do
		IFS= read -r -t 100 -u 4 line || fail "\"$1\" is not said"
	done
}

# reads MIB: can the whole of it be read? What is in it, is right.
reads() {
	qemu-io -f raw -c "read -q $1M 1M" "$uri" >"$dir/io" 2>&1 && ! grep -q failed "$dir/io"
}

state_is() {
	[[ $(ask stat) == *"\"state\":\"$1\",\"error\":$2}"* ]] || fail "the state is not $1, $2: $(ask stat)"
}

seq 1000001 1524288 >"$dir/in.img" # 8 bytes a line
serve -- size=4M pool=$pool control="$control" writeback="$store" writeback-size=16M
nbdcopy "$dir/in.img" "$uri"
[[ $(ask writeback '"pages":[[0,511]]') == *'"pages":512,'* ]] || fail "not all pages were written"
murder
mv "$store" "$store.away"

# Where nothing was, a server does not begin: that is a slip.
status=0
nbdkit -f -U "$dir/socket2" "$ZCRAM_PLUGIN" lock=off pool=$pool writeback="$dir/other" \
	>"$dir/out" 2>&1 || status=$?
[ $status -ne 0 ] || fail "a server starts with another store"
grep -qF "writeback=$dir/other: cannot be found" "$dir/out" || fail "$(cat "$dir/out")"

serve -- pool=$pool control="$control" writeback="$store"
says "writeback=$store: cannot be found: No such file or directory: going on without: 512 pages that are there cannot be read until it is there again"
state_is gone '"ENOENT"'
! reads 0 || fail "what is in the store can be read"
! reads 1 || fail "what is in the store can be read"
reads 2 || fail "what is in memory cannot be read"
reads 3 || fail "what is in memory cannot be read"
[[ $(ask writeback) == *'"errno":"ENOTCONN"'* ]] || fail "writeback: $(ask writeback)"
# Such a page can be written, or dropped; and a next server goes on from there.
qemu-io -f raw -c "write -q -P 7 0 64k" -c "discard -q 64k 64k" "$uri"
murder
serve -- pool=$pool control="$control" writeback="$store"
says "going on without: 480 pages"
qemu-io -f raw -c "read -q -P 7 0 64k" -c "read -q -P 0 64k 64k" "$uri" >"$dir/io" 2>&1
! grep . "$dir/io" || fail "what was written meanwhile is lost"
[ ! -e "$store" ] || fail "a store was made"

mv "$store.away" "$store"
says "writeback=$store: it is there again"
state_is ready null
nbdcopy "$uri" "$dir/out.img"
cmp -i 128K "$dir/in.img" "$dir/out.img"
[[ $(ask writeback) == *'"pages":'* ]] || fail "writeback: $(ask writeback)"
nbdcopy "$uri" "$dir/out.img"
cmp -i 128K "$dir/in.img" "$dir/out.img"
stop
nothing_left "a clean stop"
