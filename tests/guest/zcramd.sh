# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# What the scenarios with zcramd share; each sources it behind lib.sh, whose $dir and $server it uses.
# shellcheck disable=SC2034,SC2154

modprobe nbd
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/squeezed
run=/run/zcram/zcram0
mkdir -p /etc
zcramd= # its process id
load=   # that of a program that uses the device

# Write the configuration: conf LINE...
conf() {
	printf '%s\n' "$@" >/etc/zcram.conf
}

# Start zcramd and the service manager's side of it, but do not wait.
# What it logs goes to $dir/log; $zcramd is its process id.
launch() {
	rm -f "$dir/words" "$dir/notify"
	mkfifo "$dir/words"
	exec 5<>"$dir/words"
	notify "$dir/notify" >&5 &
	notifier=$!
	await listening
	: >"$dir/log"
	{
		status=0
		NOTIFY_SOCKET=$dir/notify zcramd zcram0 2>>"$dir/log" 5<&- &
		echo "pid $!" >&5
		wait $! || status=$?
		# What it said last comes before.
		kill "$notifier"
		tail --pid="$notifier" -f /dev/null
		echo "dead $status" >&5
	} &
	await 'pid *'
	zcramd=${word#pid }
}

# Read what zcramd says to its service manager until a word that matches PATTERN comes; it is $word.
await() {
	local pattern=$1

	while IFS= read -r -u 5 word; do
		# shellcheck disable=SC2254
		case $word in
		$pattern) return ;;
		'dead '*) fail "zcramd ends with status ${word#dead } instead of $pattern" ;;
		esac
	done
}

# launch, and return when it is up, with the server's process id in $server.
start() {
	launch
	await READY=1
	server=$(cat "$run/pid")
}

# It must end by itself, or has been told to: ends STATUS
ends() {
	await "dead $1"
	server=
}

stop_zcramd() {
	kill -TERM "$zcramd"
	ends 0
}

# A group of processes, to be swapped out: squeezed COMMAND...
squeezed() {
	local group=/sys/fs/cgroup/squeezed

	# shellcheck disable=SC2016
	exec sh -c 'echo $$ >"$0"/cgroup.procs; exec "$@"' $group "$@"
}

# Have the kernel swap it ($load) out until there is so much in swap: push_out KIB
push_out() {
	until [ "$(awk 'NR > 1 { print $4 }' /proc/swaps)" -ge "$1" ]; do
		[ -e "/proc/$load/stat" ] || fail "the load has ended"
		# It fails when there is not so much to be had, for the group has just started.
		echo 16M >/sys/fs/cgroup/squeezed/memory.reclaim 2>/dev/null || true
	done
}

# A line of the log must contain TEXT: logged TEXT
logged() {
	grep -qF -- "$1" "$dir/log" || fail "the log does not say \"$1\""
}

# Nothing may be left of it.
nothing_left() {
	[ ! -e "$run" ] || fail "$run is left: $(ls "$run")"
	[ "$(wc -l </proc/swaps)" -eq 1 ] || fail "swap is left: $(cat /proc/swaps)"
	! pgrep -x nbdkit || fail "nbdkit is left"
	[ ! -e /sys/block/nbd0/pid ] || fail "nbd0 is still attached"
}

# The guest ends with this script: nothing needs to be cleaned up, but what zcramd said be shown.
finish() {
	local status=$?

	trap - ERR
	if [ "$status" -ne 0 ] && [ -e "$dir/log" ]; then
		sed 's/^/log: /' "$dir/log" >&2
	fi
	exit "$status"
}
trap finish EXIT
