# SPDX-License-Identifier: BSD-3-Clause
# What the NBD tests share; each of them sources it first. $ZCRAM_PLUGIN is the plugin under test.

set -eEuo pipefail
trap 'echo "FAIL: $0: line $LINENO: $BASH_COMMAND" >&2' ERR

: "${ZCRAM_PLUGIN:?the path of the plugin that is to be tested}"

dir=$(mktemp -d)
server= # process id of nbdkit
waiter= # of the shell that waits for it
uri="nbd+unix:///?socket=$dir/socket"
nbdkit=(nbdkit) # what serve starts it with
also_clean_up=() # functions that are called when the test ends, however it does
declare -A S # the statistics that get_stats read last

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# Skip the test where a program that it needs is missing.
require() {
	local program

	for program; do
		command -v "$program" >/dev/null || {
			echo "SKIP: $program is not installed"
			exit 77
		}
	done
}

# equal WHAT ACTUAL EXPECTED
equal() {
	[ "$2" = "$3" ] || fail "$1 is $2, not $3"
}

# serve [NBDKIT-OPTION...] -- PARAMETER...
# Start a server on $uri and return when it listens. Its standard error can be read from fd 4.
serve() {
	local options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	rm -f "$dir/socket" "$dir/pid" "$dir/stderr"
	mkfifo "$dir/pid" "$dir/stderr"
	# Open for both directions, neither end blocks; and a server that dies before it listens is
	# seen, for then the shell around it writes the line that is waited for.
	exec 3<>"$dir/pid" 4<>"$dir/stderr"
	{
		status=0
		"${nbdkit[@]}" -f -P "$dir/pid" -U "$dir/socket" "${options[@]}" "$ZCRAM_PLUGIN" "$@" \
			2>"$dir/stderr" 3<&- 4<&- || status=$?
		echo dead >&3
		exit "$status"
	} &
	waiter=$!
	read -r server <&3
	if [ "$server" = dead ]; then
		server=
		fail "nbdkit does not start: $(dd iflag=nonblock status=none <&4)"
	fi
}

# serve_in_background PARAMETER...: the same server forked off; what it said before is in $dir/said.
serve_in_background() {
	rm -f "$dir/socket" "$dir/pid"
	mkfifo "$dir/pid"
	exec 3<>"$dir/pid"
	nbdkit -P "$dir/pid" -U "$dir/socket" "$ZCRAM_PLUGIN" "$@" 2>"$dir/said" 3<&-
	read -r server <&3
	tail --pid="$server" -f /dev/null & # it is no child that could be waited for
	waiter=$!
}

# Stop the server as an administrator would; it must end well.
stop() {
	local pid=$server

	server=
	kill -TERM "$pid"
	wait "$waiter" || fail "nbdkit ends with status $?"
}

# Ask the server for its statistics and read them into S. What else it says goes to $dir/log.
get_stats() {
	local line

	S=()
	kill -USR1 "$server"
	while IFS= read -r -u 4 line && [ -n "$line" ]; do
		if [[ $line =~ ^([a-z_]+):\ ([0-9]+)$ ]]; then
			S[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
		else
			echo "$line" >>"$dir/log"
		fi
	done
}

# hold N: open N connections, and have every thread that serves them at work once; release: close.
# $ZCRAM_HOLD is the program that does so.
hold() {
	local ready

	coproc holder { exec "$ZCRAM_HOLD" "$uri" "$1"; }
	read -r ready <&"${holder[0]}"
	equal "the word of $ZCRAM_HOLD" "$ready" ready
	holder_pid=$holder_PID
}

release() {
	eval "exec ${holder[1]}>&-"
	wait "$holder_pid"
}

# A statistic of the last get_stats must have the value given: stat_is NAME VALUE...
stat_is() {
	while [ $# -gt 0 ]; do
		equal "statistic $1" "${S[$1]-missing}" "$2"
		shift 2
	done
}

# real_data FILE SIZE: content as it is met in life, programs and text, always SIZE bytes.
real_data() {
	{ tar -cf - -C / usr/bin usr/lib usr/share 2>/dev/null || true; } | head -c "$2" >"$1" || true
	equal "size of $1" "$(stat -c %s "$1")" "$2"
}

# random_data FILE SIZE: content that no codec makes smaller.
random_data() {
	head -c "$2" /dev/urandom >"$1"
}

# A line of the server's /proc/PID/status, without its unit: status KEY
status() {
	awk -v key="$1:" '$1 == key { print $2 }' "/proc/$server/status"
}

sum() {
	sha256sum "$1" | cut -d' ' -f1
}

clean_up() {
	local status=$? function

	trap - ERR
	set +e
	for function in "${also_clean_up[@]}"; do
		"$function"
	done
	if [ -n "$server" ]; then
		# SIGTERM would let its clients finish, who may be waiting for this script.
		kill -KILL "$server"
		wait "$waiter"
	fi
	if [ "$status" -ne 0 ] && [ "$status" -ne 77 ] && [ -e "$dir/stderr" ]; then
		echo "standard error of the server:" >&2
		dd iflag=nonblock status=none <&4 >&2 2>/dev/null
	fi
	rm -rf "$dir"
	exit "$status"
}
trap clean_up EXIT
