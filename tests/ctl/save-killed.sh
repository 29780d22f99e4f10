#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: a save that is killed half-way leaves the old file, and nothing beside it where the file
# system has files without a name; where it has none, a save that ends otherwise leaves nothing either.
. "$(dirname "$0")/lib.sh"
: "${ZCRAM_WITHOUT:?the program that runs another without something}"

mkdir -p "$run/zcram0" "$dir/images"
image=$dir/images/image
coproc saving { exec python3 "$(dirname "$0")/saving.py" "$run/zcram0/control"; }
# shellcheck disable=SC2154 # set by coproc
read -r word <&"${saving[0]}"
equal "the word of the fake server" "$word" ready

# end_save SIGNAL PROGRAM...: it saves, and gets the signal half-way.
end_save() {
	local signal=$1 saver word status=0

	shift
	"$@" save zcram0 "$image" >"$dir/out" 2>"$dir/err" &
	saver=$!
	read -r word <&"${saving[0]}"
	equal "the word of the fake server" "$word" saving
	kill "-$signal" "$saver"
	wait "$saver" || status=$?
	equal "status" "$status" "$expected"
	equal "content" "$(cat "$image")" old
}

files() {
	find "$dir/images" -mindepth 1 -printf '%f\n' | sort | xargs
}

echo old >"$image"
without=("$ZCRAM_WITHOUT" O_TMPFILE "$ZCRAM_CTL")
expected=1
for program in ctl without; do
	[ $program = ctl ] && program=("$ZCRAM_CTL") || program=("${without[@]}")
	end_save TERM "${program[@]}"
	equal "what it says" "$(cat "$dir/err")" "zcramctl: zcram0: interrupted: nothing is saved"
	equal "files" "$(files)" image
done
# By a name, it cannot be helped.
expected=137
end_save KILL "${without[@]}"
[[ $(files) =~ ^image\ image\.[[:alnum:]]{6}$ ]] || fail "beside the image: $(files)"
rm "$image".??????
if python3 -c 'import os, sys; os.open(sys.argv[1], os.O_TMPFILE | os.O_WRONLY)' "$dir/images"; then
	end_save KILL "$ZCRAM_CTL"
	equal "files" "$(files)" image
fi
