#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: control= of the plugin: statistics, settings and compaction on a socket, in the
# foreground, the background and under --run; clients that hang while data is copied; a socket left
# by a server that was killed, one that is live, and paths where none can be.
. "$(dirname "$0")/lib.sh"
require nbdcopy
: "${ZCRAM_ASK:?the path of the client that asks}"

control=$dir/control

# ask REQUEST...: the answers, a line each, are in the array answers.
ask() {
	mapfile -t answers < <(printf '%s\n' "$@" | "$ZCRAM_ASK" "$control")
	equal "answers" "${#answers[@]}" $#
}

# request COMMAND [ARGUMENTS]
request() {
	echo "{\"version\":1,\"command\":\"$1\",\"arguments\":{${2-}}}"
}

# has TEXT: the last answer has it.
has() {
	[[ ${answers[-1]} == *"$1"* ]] || fail "$1 is not in ${answers[-1]}"
}

# succeeds TEXT COMMAND [ARGUMENTS]: the answer is a result with TEXT in it.
succeeds() {
	ask "$(request "${@:2}")"
	has '{"version":1,"result":{'
	has "$1"
}

gone() {
	[ ! -e "$control" ] || fail "$control is still there"
}

# refused LINE PATH: nbdkit does not start, and says why in one line.
refused() {
	if nbdkit -f -U - "$ZCRAM_PLUGIN" size=4M lock=off control="$2" --run true 2>"$dir/said"; then
		fail "a socket can be made at $2"
	fi
	equal "lines" "$(wc -l <"$dir/said")" 1
	grep -qF "zcram: control=$2: $1" "$dir/said" || fail "$(cat "$dir/said")"
}

# What is asked is answered.
serve -- size=64M control="$control" name=zcram0 compact=off
equal "mode" "$(stat -c %A "$control")" srw-------
real_data "$dir/in" $((48 << 20))
nbdcopy --sparse=0 "$dir/in" "$uri"
get_stats
succeeds "{\"name\":\"zcram0\",\"pid\":$server,\"version\":" stat
has '"size":67108864,"algorithm":"zstd(level=1)","filter":"auto","compact":"off","mem-limit":0,'
for name in "${!S[@]}"; do
	has "\"$name\":${S[$name]}"
done
succeeds '"held":[' map '"cells":64'
succeeds '"after":{"pool":' compact

# What is set is in force.
succeeds '{}' set '"algorithm":"lz4","filter":"none","mem-limit":"200M","compact":"auto"'
succeeds '"algorithm":"lz4(level=1)","filter":"none","compact":"auto","mem-limit":209715200,' stat
nbdcopy --sparse=0 "$dir/in" "$uri"
get_stats
stat_is pages_filter 0 mem_limit $((200 << 20))
ask "$(request set '"filter":"some"')"
has '"error":{"errno":"EINVAL","message":"filter=some: not a choice: give auto or none"}'

# The two threads, and no other, are there for it.
for thread in zcram-control zcram-job; do
	equal "threads called $thread" "$(cat "/proc/$server/task/"*/comm | grep -cx "$thread")" 1
done

# Clients that hang, as many as there may be but for one, while data is copied in and out.
coproc half { exec "$ZCRAM_ASK" "$control" half 8; }
read -r line <&"${half[0]}"
equal "the word of half" "$line" ready
half_pid=$! half_in=${half[1]}
# The shell warns that it has a coprocess already; it can well have two.
{ coproc deaf { exec "$ZCRAM_ASK" "$control" deaf 7; }; } 2>/dev/null
read -r line <&"${deaf[0]}"
equal "the word of deaf" "$line" ready
deaf_pid=$! deaf_in=${deaf[1]}
nbdcopy --sparse=0 "$dir/in" "$uri"
succeeds '"size":67108864' stat
nbdcopy "$uri" "$dir/out"
cmp -n $((48 << 20)) "$dir/in" "$dir/out"
eval "exec $half_in>&- $deaf_in>&-"
wait "$half_pid"
wait "$deaf_pid"
succeeds '"failed_writes":0' stat

# A live one is not taken away.
refused 'in use: another server is running on it' "$control"
succeeds "\"pid\":$server," stat
stop
gone

# One that a killed server has left is.
serve -- size=4M control="$control"
kill -KILL "$server"
wait "$waiter" || true
server=
[ -S "$control" ] || fail "a killed server has taken its socket away"
serve -- size=4M control="$control"
succeeds '"name":null' stat
# Somebody else's in its place is left alone.
rm "$control"
echo text >"$control"
stop
equal "content" "$(cat "$control")" text
refused 'there is something that is not a socket: give another path, or remove it' "$control"
equal "content" "$(cat "$control")" text
rm "$control"

# In the background, where the current directory is another. (The fork's parent leaves it alone.)
cd "$dir"
serve_in_background size=4M control=control
cd /
succeeds "\"pid\":$server," stat
stop
gone

# shellcheck disable=SC2016 # for the shell of --run
nbdkit -f -U - "$ZCRAM_PLUGIN" size=4M control="$control" \
	--run 'echo "{\"version\":1,\"command\":\"stat\"}" | "$ZCRAM_ASK" "'"$control"'"' >"$dir/answer"
grep -q '"result":{"name":null,"pid":' "$dir/answer" || fail "$(cat "$dir/answer")"
gone

refused 'there is no such directory: give a path in one that exists' "$dir/none/control"
refused 'there is no such directory: give a path in one that exists' /dev/null/control
long=$dir/$(printf 'x%.0s' {1..100})
refused "too long: a socket's path has at most 107 bytes" "$long"
refused 'empty: give the path of a socket' ''
for name in '' 'a b' a/b "$(printf 'x%.0s' {1..64})"; do
	if nbdkit -U - "$ZCRAM_PLUGIN" size=4M lock=off name="$name" --run true 2>"$dir/said"; then
		fail "name=$name is taken"
	fi
	equal "lines" "$(wc -l <"$dir/said")" 1
	grep -qF "zcram: name=$name: not a name: give 1 to 63 letters" "$dir/said"
done
