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
zcramd_options=()
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
		NOTIFY_SOCKET=$dir/notify zcramd "${zcramd_options[@]}" zcram0 2>>"$dir/log" 5<&- &
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

# Go on swapping it out, a little at a time, until it ends. What it touches comes back, and stays otherwise.
press() {
	while [ -e "/proc/$load/stat" ]; do
		echo 1M >/sys/fs/cgroup/squeezed/memory.reclaim || true
		sleep 0.2
	done 2>/dev/null &
}

# Have reads of the device measured from now on.
start_probe() {
	rm -f "$dir/probe"
	mkfifo "$dir/probe"
	exec 6<>"$dir/probe"
	probe "$nbd" >&6 5<&- &
	probe=$!
	until_probe_says ready >/dev/null
}

# The longest of its reads since it was asked last, in milliseconds.
longest() {
	local said

	kill -USR1 "$probe"
	said=$(until_probe_says 'longest *')
	said=${said#longest }
	echo "${said% of *}"
}

until_probe_says() {
	local said

	read -r -t 120 -u 6 said || fail "no read of $nbd is answered"
	# shellcheck disable=SC2053
	[[ $said == $1 ]] || fail "the probe says $said"
	echo "$said"
}

stop_probe() {
	local status=0

	kill -TERM "$probe"
	wait "$probe" || status=$?
	equal "status of the probe" "$status" 0
}

# Pages that were swapped so far, out and in.
pages_swapped() {
	awk '$1 == "pswpout" || $1 == "pswpin" { pages += $2 } END { print pages }' /proc/vmstat
}

# Return when another COUNT have been, by the load: await_swapping COUNT
await_swapping() {
	local from

	from=$(pages_swapped)
	until [ $(($(pages_swapped) - from)) -ge "$1" ]; do
		[ -e "/proc/$load/stat" ] || fail "the load has ended"
		sleep 0.1
	done
}

# Kill the server, and return when another serves, as $server.
kill_server() {
	local old=$server

	kill -KILL "$old"
	until grep -q "(pid $old) has ended (.*): pid [0-9]* goes on" "$dir/log"; do
		[ -e "/proc/$zcramd" ] || fail "zcramd has ended"
		sleep 0.1
	done
	server=$(cat "$run/pid")
	[ "$server" != "$old" ] || fail "it is the same"
}

# How long servers were gone, as zcramd says: the longest time, in milliseconds
longest_gone() {
	sed -n 's/.* goes on after \([0-9]*\) ms.*/\1/p' "$dir/log" | sort -n | tail -n 1
}

# The load is to check all it has, and end.
end_load() {
	local status=0

	kill -TERM "$load"
	wait "$load" || status=$?
	equal "status of the load" "$status" 0
}

# Have fio, as the load, write and verify files in DIRECTORY until end_fio: start_fio DIRECTORY
start_fio() {
	fio --name=verify --directory="$1" --size=24M --bs=4k-64k --rw=randrw --verify=crc32c \
		--verify_fatal=1 --ioengine=psync --numjobs=2 --fsync=32 --loops=1000 --verify_backlog=256 \
		--refill_buffers --buffer_compress_percentage=60 --output="$dir/fio" &
	load=$!
}

# It is interrupted, and has found nothing wrong.
end_fio() {
	local status=0

	kill -INT "$load"
	wait "$load" || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 128 ] || fail "fio: $status: $(cat "$dir/fio")"
	equal "jobs of fio without an error" "$(grep -c 'err= 0' "$dir/fio")" 2
	! grep -i 'verify.*\(fail\|bad\)' "$dir/fio" || fail "$(cat "$dir/fio")"
}

# The kernel has noticed nothing, but that a device was detached when it was no longer used.
kernel_silent() {
	! dmesg | grep -E 'block nbd|I/O error|-error on swap' |
		grep -vE 'NBD_DISCONNECT|Disconnected due to user request|shutting down sockets' ||
		fail "the kernel has noticed"
}

# A line of the log must contain TEXT: logged TEXT
logged() {
	grep -qF -- "$1" "$dir/log" || fail "the log does not say \"$1\""
}

# There is no shared memory of a pool, nor its semaphore.
no_pool() {
	[ "$(wc -l </proc/sysvipc/shm)" -eq 1 ] || fail "a pool is left: $(cat /proc/sysvipc/shm)"
	[ "$(wc -l </proc/sysvipc/sem)" -eq 1 ] || fail "a semaphore is left: $(cat /proc/sysvipc/sem)"
}

# Nothing may be left of it.
nothing_left() {
	[ ! -e "$run" ] || fail "$run is left: $(ls "$run")"
	[ "$(wc -l </proc/swaps)" -eq 1 ] || fail "swap is left: $(cat /proc/swaps)"
	! pgrep -x nbdkit || fail "nbdkit is left"
	! pgrep -x zcram-server || fail "zcram-server is left"
	no_pool
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
