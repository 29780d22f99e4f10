#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: writeback= to a file and to another zcram: what is written is read, also by the next
# server after SIGKILL; a store that is missing, another's, in use or no store is refused in one line, and
# nothing is lost; an export that goes and comes back.
. "$(dirname "$0")/lib.sh"
require nbdcopy ipcrm mkswap
. "$(dirname "$0")/pool-lib.sh"
: "${ZCRAM_ASK:?the path of the client that asks}"

control=$dir/control

# write_back TEXT [ARGUMENTS]: the answer has TEXT.
write_back() {
	local answer

	answer=$(echo "{\"version\":1,\"command\":\"writeback\",\"arguments\":{${2-}}}" |
		"$ZCRAM_ASK" "$control")
	[[ $answer == *"$1"* ]] || fail "$1 is not in $answer"
}

# refused MESSAGE PARAMETER...
refused() {
	local message=$1 status=0

	shift
	rm -f "$dir/socket2" # it is there, and stays, when the store is opened
	nbdkit -f -U "$dir/socket2" "$ZCRAM_PLUGIN" lock=off "$@" >"$dir/out" 2>&1 || status=$?
	[ $status -ne 0 ] || fail "nbdkit starts with $*"
	equal "lines with $*" "$(wc -l <"$dir/out")" 1
	grep -qF "zcram: $message" "$dir/out" ||
		fail "with $*, \"$(cat "$dir/out")\" is not \"$message\""
}

check_content() {
	nbdcopy "$uri" "$dir/out.img"
	cmp "$dir/in.img" "$dir/out.img"
}

{
	head -c 512K /dev/urandom
	seq 100001 600000 # 7 bytes a line
} >"$dir/in.img"
truncate -s 8M "$dir/in.img"
store=$dir/store

refused "writeback=$store: cannot be found: No such file or directory: give writeback-size= too" \
	size=8M writeback="$store"
[ ! -e "$store" ] || fail "a file was made"
truncate -s 8M "$dir/swap"
mkswap "$dir/swap" >/dev/null 2>&1
before=$(sum "$dir/swap")
refused "writeback=$dir/swap: it holds swap: wipefs removes that" size=8M writeback="$dir/swap"
equal "what is on it" "$(sum "$dir/swap")" "$before"

# Forked off too, while there is somebody who reads it.
if nbdkit -U "$dir/socket2" -P "$dir/pid2" "$ZCRAM_PLUGIN" size=8M lock=off writeback="$store" 2>"$dir/out"; then
	kill "$(cat "$dir/pid2")"
	fail "nbdkit forks off without a store"
fi
grep -qF "zcram: writeback=$store: cannot be found" "$dir/out" || fail "$(cat "$dir/out")"

# To a file, which is made; by a relative path.
cd "$dir"
serve -- size=8M lock=auto pool=$pool control="$control" writeback=store writeback-size=16M
cd - >/dev/null
nbdcopy "$dir/in.img" "$uri" # by then the server has all that it needs
equal "size of the file" "$(stat -c %s "$store")" 16777216
get_stats
stored=${S[pages_pool]}
write_back '"pages":128,' '"type":"huge"'
write_back '"pages":1,' '"pages":[[700,700]]'
write_back "\"pages\":$((stored - 129)),"
get_stats
stat_is pages_pool 0 pages_backing "$stored" written_back "$stored" payload 0
[ $((S[backing_written] * 100)) -le $((S[payload_backing] * 105)) ] ||
	fail "${S[backing_written]} bytes were written for ${S[payload_backing]}"
check_content
get_stats
[ "${S[backing_reads]}" -ge "$stored" ] || fail "nothing was read there"
refused "writeback=$store: in use by another server" size=8M writeback="$store"

# The next one, after a kill.
write_back '"pages":' # what came back
murder
refused "writeback: missing: $stored pages of pool=$pool are in a backing store" pool=$pool
refused "writeback=$dir/other: cannot be found" pool=$pool writeback="$dir/other" writeback-size=16M
[ ! -e "$dir/other" ] || fail "a file was made"
truncate -s 16M "$dir/other"
refused "writeback=$dir/other: it is no backing store any more" pool=$pool writeback="$dir/other"
serve -- pool=$pool control="$control" writeback="$store"
get_stats
stat_is generation 4 pages_backing "$stored" pages_damaged 0
check_content
stop
nothing_left "a clean stop"

# To another zcram, which goes and comes back.
nbdkit -U "$dir/remote" -P "$dir/remote.pid" "$ZCRAM_PLUGIN" size=16M lock=off
kill_remote() {
	kill "$(cat "$dir/remote.pid")" 2>/dev/null || true
}
also_clean_up+=(kill_remote)
remote="nbd+unix:///?socket=$dir/remote"
refused "writeback=$remote.x: nbd_connect_uri: connect: No such file or directory" size=8M \
	writeback="$remote.x"
serve -- size=8M lock=auto control="$control" writeback="$remote"
nbdcopy "$dir/in.img" "$uri"
write_back "\"pages\":$stored,"
check_content
answer=$(echo '{"version":1,"command":"stat"}' | "$ZCRAM_ASK" "$control")
[[ ${answer//\\\//\/} == *"\"writeback\":{\"where\":\"$remote\",\"state\":\"ready\",\"error\":null}"* ]] ||
	fail "$answer"
stop
