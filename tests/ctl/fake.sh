#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: a compaction that takes longer than a second shows the pool on a terminal; a server that
# answers nonsense does no harm.
. "$(dirname "$0")/lib.sh"

here=$(dirname "$0")
mkdir -p "$run/zcram0"

# fake STAT: a server for zcram0 that answers so
fake() {
	local ready

	rm -f "$run/zcram0/control"
	coproc faker { exec python3 "$here/fake.py" "$run/zcram0/control" "$1"; }
	read -r ready <&"${faker[0]}"
	equal "the word of the fake server" "$ready" ready
	# shellcheck disable=SC2154 # set by coproc
	fake_pid=$faker_PID
}

end_fake() {
	eval "exec ${faker[1]}>&-"
	wait "$fake_pid"
}

fake '{"version":1,"result":{"stats":{"pool":3145728}}}'
# "script" runs it in a terminal; its own output is what is shown there.
script -qec "'$ZCRAM_CTL' compact zcram0" /dev/null </dev/null >"$dir/out"
tr '\r' '\n' <"$dir/out" >"$dir/lines"
grep -q 'zcramctl: zcram0: compacting: pool 3M' "$dir/lines" || fail "$(cat -v "$dir/out")"
grep -q 'zcram0: pool 4M before, 1M after: 3M freed' "$dir/lines" || fail "$(cat -v "$dir/out")"
end_fake

# No answer, or not what is expected.
deep=$(printf '[%.0s' {1..2000})
for stat in '' 'null' '[]' '{}' '{"version":1}' '{"version":1,"result":' "$deep" \
	'{"version":1,"error":{}}' '{"version":2,"result":{}}' '{"version":1,"result":[1]}' \
	'{"version":1,"result":17}' '{"version":1,"result":null}' '{"version":1,"result":{}}' \
	'{"version":1,"result":{"stats":7,"algorithm":[],"size":{},"name":{}}}' \
	'{"version":1,"result":{"stats":{"pool":"x","payload":-1,"pages_same":1e99},"size":-5}}' \
	'{"version":1,"error":{"errno":"EIO","message":"a line"}}'; do
	fake "$stat"
	for command in '' --json --output-all 'stat zcram0' 'stat --json zcram0' 'stat --zram mm_stat zcram0' \
		'stat --zram block_state zcram0' metrics \
		'top --once --interval 0.1' 'set zcram0 filter=auto'; do
		status=0
		# shellcheck disable=SC2086 # words
		ctl $command >"$dir/out" 2>"$dir/err" || status=$?
		[ $status -le 1 ] || fail "with $stat, zcramctl $command ends with $status: $(cat "$dir/err")"
		[ $status -eq 0 ] || [ -s "$dir/err" ] || fail "with $stat, zcramctl $command says nothing"
	done
	end_fake
done
fake '{"version":1,"error":{"errno":"EIO","message":"a line"}}'
refused 1 "zcram0: a line" stat zcram0
end_fake
