#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: what zcramd says of a server, there or not, is shown by list, stat and metrics; upgrade
# asks zcramd, and repeats what it says.
. "$(dirname "$0")/lib.sh"

here=$(dirname "$0")
mkdir -p "$run/zcram0"
state='"name":"zcram0","pid":7,"version":"2.0","since":1000,"device":"/dev/nbd0","server-pid":8'
counts='"deaths":3,"restarts":2,"upgrades":1,"last-death":"killed by signal 9 (Killed)","last-restart-us":140000'

result() {
	echo '{"version":1,"result":{'"$1"'}}'
}

# fake STATUS UPGRADE [STAT]: a zcramd that answers so, and a server too, if STAT is given
fake() {
	local ready

	rm -f "$run/zcram0/"*
	coproc faker {
		exec python3 "$here/fake.py" --zcramd "$run/zcram0/zcramd" "$1" "$2" \
			${3:+"$run/zcram0/control" "$3"}
	}
	read -r ready <&"${faker[0]}"
	equal "the word of the fake zcramd" "$ready" ready
	# shellcheck disable=SC2154 # set by coproc
	fake_pid=$faker_PID
}

end_fake() {
	eval "exec ${faker[1]}>&-"
	wait "$fake_pid"
}

# without STATE WORD: zcramd says of a server that is not there
without() {
	local status=0

	fake "$(result "$state,$counts,\"state\":\"$1\"")" '{}'
	ctl -n --raw -o NAME,STATE >"$dir/out" 2>"$dir/err" || status=$?
	equal "status of the list of what is $1" $status 1
	equal "the list of what is $1" "$(cat "$dir/out")" "zcram0 $1"
	equal "what is said of it" "$(cat "$dir/err")" \
		"zcramctl: zcram0: the server $2 (killed by signal 9 (Killed))"
	status=0
	ctl stat zcram0 >"$dir/out" 2>"$dir/err" || status=$?
	equal "status of stat of what is $1" $status 1
	equal "what stat says of it" "$(cat "$dir/err")" \
		"zcramctl: zcram0: the server $2 (killed by signal 9 (Killed))"
	grep -qx "zcramd.state: $1" "$dir/out" || fail "$(cat "$dir/out")"
	grep -qx 'zcramd.deaths: 3' "$dir/out" || fail "$(cat "$dir/out")"
	ctl metrics >"$dir/out" 2>"$dir/err" && fail "metrics of what is $1"
	python3 "$here/openmetrics.py" <"$dir/out"
	grep -qx 'zcram_up{device="zcram0"} 0' "$dir/out" || fail "$(cat "$dir/out")"
	grep -qx 'zcram_server_deaths_total{device="zcram0"} 3' "$dir/out" || fail "$(cat "$dir/out")"
	end_fake
}

without restarting "has died, and is being brought back"
without given-up "has died too often, and has been given up"
without starting "is being started"

# One that is there.
upgraded='"old":{"pid":8,"version":"1.0"},"new":{"pid":9,"version":"2.0"},"pause-us":23456'
fake "$(result "$state,$counts,\"state\":\"serving\"")" "$(result "$upgraded")" \
	"$(result '"size":4096,"stats":{"pool":1}')"
ctl --raw -n -o NAME,STATE >"$dir/out"
equal "the list" "$(cat "$dir/out")" "zcram0 running"
ctl stat --json zcram0 >"$dir/out"
equal "deaths" "$(json 'j["zcramd"]["deaths"]' <"$dir/out")" 3
equal "what upgrade says" "$(ctl upgrade zcram0)" \
	"zcram0: pid 8 (version 1.0) was replaced by pid 9 (version 2.0): requests waited at most 23.4 ms"
end_fake

# It answers, but its days are numbered.
fake "$(result "$state,$counts,\"state\":\"failing\"")" '{}' \
	"$(result '"size":4096,"stats":{"pool":1}')"
equal "the list of what fails" "$(ctl --raw -n -o NAME,STATE)" "zcram0 failing"
end_fake

# It cannot be, and why; a zcramd that ends meanwhile; and one that makes no sense.
why="upgrade: the server is nbdkit, whose connections are its own"
fake "$(result "$state")" \
	'{"version":1,"error":{"errno":"EOPNOTSUPP","message":"'"$why"'"}}' "$(result '"size":1')"
refused 1 "zcram0: $why" upgrade zcram0
end_fake
fake "$(result "$state")" close
refused 1 "zcram0: zcramd went away before it had answered" upgrade zcram0
end_fake
for answer in '' null '[]' '{"version":1,"result":[]}' '{"version":1,"result":{"state":7}}' \
	'{"version":1,"result":{"state":"given-up","deaths":"x","last-death":[]}}'; do
	fake "$answer" "$answer"
	for command in '' --json 'stat zcram0' 'stat --json zcram0' metrics 'upgrade zcram0'; do
		status=0
		# shellcheck disable=SC2086 # words
		ctl $command >"$dir/out" 2>"$dir/err" || status=$?
		[ $status -le 1 ] || fail "with $answer, zcramctl $command ends with $status"
		[ $status -eq 0 ] || [ -s "$dir/err" ] || fail "with $answer, $command says nothing"
	done
	end_fake
done
