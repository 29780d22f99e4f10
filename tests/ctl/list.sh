#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the list shows what the servers say, in the columns asked for; one that is dead and
# one that hangs are shown as such, and the others all the same.
. "$(dirname "$0")/lib.sh"
require nbdcopy

# No run directory, and an empty one: nothing to list, and nothing wrong.
equal "the list of nothing" "$(ctl)" ""
mkdir -m 700 "$run"
equal "the list of nothing" "$(ctl list)" ""
equal "JSON of nothing" "$(ctl --json | json 'j')" "{'devices': []}"

serve_named zcram0 size=128M algorithm=lz4 mem-limit=100M
write_data $((20 << 20))
ctl >"$dir/list"
equal "the heading" "$(head -n 1 "$dir/list" | xargs)" \
	"NAME DEVICE ALGORITHM DISKSIZE DATA COMPR TOTAL STREAMS MOUNTPOINT"
grep -q '^zcram0 .*lz4(level=1).* 128M ' "$dir/list" || fail "$(cat "$dir/list")"
equal "lines" "$(wc -l <"$dir/list")" 2

# The same as the server says on a signal. It gives back memory that has been of no use for some seconds,
# and moves things for that: what is compared stands between two equal readings of its own.
before=
get_stats
while [ "$before" != "$(declare -p S)" ]; do
	before=$(declare -p S)
	read -r data compr total limit used zero < <(
		ctl -b -n --raw -o DATA,compr,TOTAL,MEM-LIMIT,MEM-USED,ZERO-PAGES zcram0
	)
	get_stats
done
equal DATA "$data" $(((S[pages_same] + S[pages_pool]) * 4096))
equal COMPR "$compr" "${S[payload]}"
equal TOTAL "$total" $((S[pool] + S[metadata]))
equal MEM-LIMIT "$limit" $((100 << 20))
equal MEM-USED "$used" "${S[pool_max]}"
equal ZERO-PAGES "$zero" "${S[pages_same]}"
equal "MEM-LIMIT for people" "$(ctl -n --raw -o MEM-LIMIT)" 100M

equal "columns of all" "$(ctl --output-all | head -n 1 | wc -w)" 15
equal "columns with +" "$(ctl -o +STATE,NAME --raw | head -n 1 | wc -w)" 11
ctl --json -b --output-all >"$dir/json"
equal "JSON's data" "$(json 'j["devices"][0]["data"]' <"$dir/json")" "$data"
equal "JSON's device" "$(json 'j["devices"][0]["device"]' <"$dir/json")" None
equal "JSON's state" "$(json 'j["devices"][0]["state"]' <"$dir/json")" running
equal "JSON for people" "$(ctl --json | json 'j["devices"][0]["disksize"]')" 128M
equal "by its socket" "$(ctl -n --raw -o DISKSIZE "$run/zcram0/control")" 128M

# A socket that nobody serves, one whose server hangs, and a directory without a socket.
mkdir "$run/zcram1" "$run/zcram2" "$run/zcram10"
leave_socket "$run/zcram1/control"
hang "$run/zcram10/control"
status=0
ctl -o NAME,STATE,DATA -b -n >"$dir/list" 2>"$dir/err" || status=$?
equal "status with devices that do not answer" $status 1
equal "the list" "$(sed 's/  */ /g; s/ $//' "$dir/list")" \
	"zcram0 running $data
zcram1 (dead) dead
zcram10 (hung) hung"
equal "what is said" "$(cat "$dir/err")" \
	"zcramctl: zcram1: control socket: nobody serves it: the server is dead
zcramctl: zcram10: control socket: no answer within 2 seconds: the server hangs"
ctl --json zcram1 >"$dir/json" 2>/dev/null || true
equal "JSON's name" "$(json 'j["devices"][0]["name"]' <"$dir/json")" zcram1
equal "JSON's data" "$(json 'j["devices"][0]["data"]' <"$dir/json")" None
stop
