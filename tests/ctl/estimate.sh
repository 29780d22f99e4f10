#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the estimate of a file is what a server makes of it; processes and the system can be
# estimated too.
. "$(dirname "$0")/lib.sh"
require nbdcopy

size=$((24 << 20))
real_data "$dir/data" $((size / 2))
head -c $((size / 2)) /dev/zero | tr '\0' z >>"$dir/data"

# What estimate says of a method: method ALGORITHM FILTER MEMBER
method() {
	json "[m['$3'] for m in j['methods'] if (m['algorithm'], m['filter']) == ('$1', '$2')][0]" \
		<"$dir/json"
}

ctl estimate --json --sample 1G "$dir/data" >"$dir/json"
equal pages "$(json 'j["pages"]' <"$dir/json")" $((size / 4096))
equal tried "$(json 'j["tried"]' <"$dir/json")" $((size / 4096))
for algorithm in lz4 'zstd(level=1)' 'zstd(level=3)'; do
	for filter in auto none; do
		serve -- size=$size "algorithm=$algorithm" filter=$filter
		nbdcopy --sparse=0 "$dir/data" "$uri" # zeros are written too
		get_stats
		equal "payload by $algorithm, $filter" "$(method "$algorithm" $filter payload)" \
			"${S[payload]}"
		equal "incompressible by $algorithm, $filter" \
			"$(method "$algorithm" $filter incompressible)" "${S[pages_raw]}"
		equal "same-filled" "$(json 'j["same"]' <"$dir/json")" "${S[pages_same]}"
		stop
	done
done

ctl estimate --sample 4M "$dir/data" >"$dir/out"
grep -q '^6144 pages (24M); tried: 1024 (4M), drawn at random; same-filled: ' "$dir/out" ||
	fail "$(cat "$dir/out")"
equal "methods" "$(grep -cE '^(lz4|zstd\(level=[13]\)) +(auto|none) ' "$dir/out")" 6

# A process with 8 MiB of zeros written, which are pages of one word.
coproc filler {
	exec python3 -c '
import sys
b = bytearray(8 << 20)
for i in range(0, len(b), 4096): b[i] = 0
print("ready", flush=True)
sys.stdin.read()'
}
read -r _ <&"${filler[0]}"
# shellcheck disable=SC2154 # set by coproc
filler_pid=$filler_PID
ctl estimate --json --sample 1G "$filler_pid" >"$dir/json"
[ "$(json 'j["same"]' <"$dir/json")" -ge 2048 ] || fail "$(cat "$dir/json")"
equal "processes" "$(json 'j["processes"]' <"$dir/json")" 1

ctl estimate --json --system --sample 256K >"$dir/json"
[ "$(json 'j["tried"]' <"$dir/json")" -le 64 ] || fail "$(cat "$dir/json")"
[ "$(json 'j["pages"]' <"$dir/json")" -ge 2048 ] || fail "$(cat "$dir/json")"
[ "$(json 'j["processes"]' <"$dir/json")" -ge 2 ] || fail "$(cat "$dir/json")"

eval "exec ${filler[1]}>&-"
wait "$filler_pid"

# A stranger reads his own processes, and is told that there are others.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$dir"
	cp "$ZCRAM_CTL" "$dir/zcramctl"
	stranger=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	# One process of his own, besides the one that looks. It ends with this script.
	coproc own { exec "${stranger[@]}" sh -c 'echo ready; read -r _' 2>/dev/null; }
	read -r _ <&"${own[0]}"
	"${stranger[@]}" "$dir/zcramctl" estimate --system >"$dir/out"
	grep -qE '^processes that could not be read: [1-9][0-9]* \(permission denied\)$' "$dir/out" ||
		fail "$(cat "$dir/out")"
fi
