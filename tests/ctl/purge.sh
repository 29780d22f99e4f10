#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: pools whose servers were killed are listed and can be removed, after a question; one
# that is served is left alone.
. "$(dirname "$0")/lib.sh"
require script
. "$(dirname "$0")/../nbd/pool-lib.sh"
[ -n "${ZCRAM_TEST_ALONE-}" ] || {
	echo "SKIP: other pools of this machine cannot be told apart from the test's"
	exit 77
}

# with_answer TEXT ARGUMENT...: zcramctl on a terminal, where TEXT is typed
with_answer() {
	local answer=$1

	shift
	printf '%s\n' "$answer" | script -qec "$ZCRAM_CTL $*" /dev/null >"$dir/out"
}

columns=NAME,STATE,DISKSIZE
serve_named zcram0 size=8M pool="$pool"
equal "the list with a server" "$(ctl -n --raw -o $columns)" "zcram0 running 8M"
refused 1 "$pool: a server is running on it: end that first" purge --yes "$pool"
ctl purge --all --yes
there shm || fail "a pool that is served was removed"

murder
rm -r "$run/zcram0"
ctl --json -b -o NAME,STATE,TOTAL >"$dir/json"
equal "its name" "$(json 'j["devices"][0]["name"]' <"$dir/json")" "$pool"
equal "its state" "$(json 'j["devices"][0]["state"]' <"$dir/json")" unserved
[ "$(json 'j["devices"][0]["total"]' <"$dir/json")" -gt 0 ] || fail "$(cat "$dir/json")"
grep -q "^$pool (unserved) " <(ctl) || fail "$(ctl)"

with_answer n purge "$pool"
grep -qF "$pool: " "$dir/out" || fail "$(cat "$dir/out")"
there shm || fail "it was removed although the answer was no"
with_answer y purge --all
nothing_left "purge"
equal "the list when it is gone" "$(ctl)" ""
refused 1 "$pool: there is no such pool" purge --yes "$pool"
nothing_left "a refusal"

# Its device's directory may be left too.
serve_named zcram0 size=8M pool=zcram0
murder
status=0
ctl -n --raw -o NAME,STATE >"$dir/list" 2>"$dir/err" || status=$?
equal "status with a dead server" $status 1
equal "the list" "$(cat "$dir/list")" "zcram0 unserved"
ctl purge --yes zcram0
