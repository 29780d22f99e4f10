# SPDX-License-Identifier: BSD-3-Clause
# What the tests of zcramctl share; each of them sources it first. $ZCRAM_CTL is the program under
# test. What the NBD tests have, they have too.

# Pools are the machine's: where that may be had, there are none here but the test's own.
if [ -z "${ZCRAM_TEST_ALONE-}" ] && unshare --ipc true 2>/dev/null; then
	ZCRAM_TEST_ALONE=1 exec unshare --ipc "$0" "$@"
fi

. "$(dirname "${BASH_SOURCE[0]}")/../nbd/lib.sh"

: "${ZCRAM_CTL:?the path of the zcramctl that is to be tested}"

# What a sanitizer finds is none of zcramctl's own statuses.
export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=halt_on_error=1:exitcode=99
export ZCRAM_RUN_DIR=$dir/run
run=$ZCRAM_RUN_DIR

ctl() {
	"$ZCRAM_CTL" "$@"
}

# serve_named NAME PARAMETER...: a server with a control socket where zcramctl looks for it.
serve_named() {
	local name=$1

	shift
	mkdir -p "$run/$name"
	serve -- "$@" "control=$run/$name/control" "name=$name"
}

# refused STATUS MESSAGE ARGUMENT...: zcramctl must end with that status and say one line with that
# message on standard error, and nothing on standard output.
refused() {
	local expected=$1 message=$2 status=0

	shift 2
	ctl "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
	equal "status of zcramctl $* ($(cat "$dir/err"))" $status "$expected"
	[ ! -s "$dir/out" ] || fail "zcramctl $* prints $(cat "$dir/out")"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || fail "not one line for $*: $(cat "$dir/err")"
	grep -qF "zcramctl: $message" "$dir/err" ||
		fail "with $*, \"$(cat "$dir/err")\" is not \"$message\""
}

# A socket that somebody listens on who never answers: hang PATH. Ends with the test.
hang() {
	local ready

	coproc hanger {
		exec python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(16)
print("ready", flush=True)
sys.stdin.read()' "$1"
	}
	read -r ready <&"${hanger[0]}"
	equal "the word of the server that hangs" "$ready" ready
}

# A socket that nobody listens on any more: leave_socket PATH
leave_socket() {
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$1"
}

# A member of the JSON on standard input, as Python finds it: json EXPRESSION, "j" being all of it
json() {
	python3 -c 'import json, sys; j = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

# write_data BYTES: of content, to the device
write_data() {
	real_data "$dir/data" "$1"
	nbdcopy "$dir/data" "$uri"
}
