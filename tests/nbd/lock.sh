#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: lock= locks memory and marks every thread where that is allowed, in the background
# too; where it is not, auto says so in one line and serves on, and on does not start.
. "$(dirname "$0")/lib.sh"
require setpriv
: "${ZCRAM_HOLD:?the path of the client that holds connections open}"

cap_ipc_lock=14 cap_sys_resource=24

capable() {
	local caps

	caps=0x$(awk '$1 == "CapEff:" { print $2 }' /proc/self/status)
	[ $((caps >> $1 & 1)) -eq 1 ]
}

can_lock() {
	[ "$(ulimit -l)" = unlimited ] || capable $cap_ipc_lock
}

# Every thread's flags must have both bits that PR_SET_IO_FLUSHER sets, or none must have one.
check_marks() {
	local stat fields flags

	for stat in "/proc/$server/task"/*/stat; do
		fields=$(sed 's/.*) //' "$stat") # the name may hold anything
		flags=$(cut -d' ' -f7 <<<"$fields")
		equal "marks of $stat" $((flags & 0x180000)) "$1"
	done
}

# All of the code of FILE must be there, in memory that is locked as it is touched: check_code FILE
check_code() {
	local sizes

	# Of its executable mapping the size and what is resident: alike. (Locked: is a share of it
	# only, where other processes have the same pages.)
	sizes=$(awk -v file="$1" '
		/^[0-9a-f]+-/ { wanted = $2 ~ /x/ && index($NF, file) }
		wanted && /^(Size|Rss):/ { print $2 }' "/proc/$server/smaps" | sort -u)
	[ "$(wc -w <<<"$sizes")" -eq 1 ] || fail "code of $1 is not all resident: $sizes"
}

# Accepted connections mean that the server is all the way up, and has its I/O threads.
expect() {
	local marks=$1 locks=$2

	hold 2
	check_marks "$marks"
	case $locks in
	none) equal "locked memory" "$(status VmLck)" 0 ;;
	some)
		[ "$(status VmLck)" -gt 0 ] || fail "no memory is locked"
		check_code "$ZCRAM_PLUGIN"
		check_code libzstd.so
		;;
	esac
	release
}

# What the server says in its log until now, but for the statistics.
said() {
	: >"$dir/log"
	get_stats
	grep lock= "$dir/log" || true
}

serve -- size=4M lock=off
expect 0 none
equal "what is said with lock=off" "$(said)" ''
stop

locks=none marks=0
! can_lock || locks=some
! capable $cap_sys_resource || marks=$((0x180000))

serve -- size=4M
expect $marks $locks
said >"$dir/said"
stop
complete=false
if [ $locks = some ] && [ $marks -ne 0 ]; then
	complete=true
	[ ! -s "$dir/said" ] || fail "all is locked, and yet: $(cat "$dir/said")"
else
	equal "lines" "$(wc -l <"$dir/said")" 1
	[ $locks = some ] || grep -q 'memory is not locked' "$dir/said"
	[ $marks -ne 0 ] || grep -q 'threads are not marked' "$dir/said"
fi

# In the background, where a lock taken before the fork would be lost.
serve_in_background size=4M control="$dir/control"
expect $marks $locks
stop
$complete || equal "lines" "$(grep -c lock=auto "$dir/said")" 1

if $complete; then
	serve -- size=4M lock=on
	expect $marks some
	stop
elif nbdkit -U - "$ZCRAM_PLUGIN" size=4M lock=on 2>"$dir/said"; then
	fail "lock=on starts though not all can be locked"
else
	# Not in the background either, and the user sees it.
	equal "lines" "$(wc -l <"$dir/said")" 1
	grep -q 'zcram: lock=on: .*CAP_' "$dir/said"
fi

# Without any right, under the small limit that users have.
ulimit -l 8192 || ulimit -l 64 || true
if [ "$(ulimit -l)" != unlimited ]; then
	rights=-ipc_lock,-sys_resource drop=()
	[ "$(id -u)" -ne 0 ] || drop=(setpriv "--bounding-set=$rights" "--inh-caps=$rights")
	nbdkit=("${drop[@]}" nbdkit)
	serve -- size=1G
	expect 0 none
	said >"$dir/said"
	stop
	equal "lines" "$(wc -l <"$dir/said")" 1
	grep -q 'lock=auto: .*memory is not locked .*, threads are not marked' "$dir/said"
	if "${nbdkit[@]}" -f -U - "$ZCRAM_PLUGIN" size=4M lock=on --run true \
		2>"$dir/said"; then
		fail "lock=on starts without any right"
	fi
	grep -q 'lock=on: memory is not locked .*, threads are not marked' "$dir/said"
fi
