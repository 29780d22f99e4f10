#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: what is in force, and from which file and line; and what is wrong with it.
. "$(dirname "$0")/lib.sh"

root=$dir/root
mkdir -p "$root/etc/zcram.conf.d" "$root/usr/lib/zcram.conf.d"

# line DEVICE KEY VALUE FROM: what config must say
line() {
	ctl config --root="$root" "$1" | grep -qE "^$2 +$3 +$4\$" ||
		fail "$1 $2: not $3 from $4: $(ctl config --root="$root" "$1")"
}

equal "of no configuration" "$(ctl config --root="$root")" ""
equal "JSON of none" "$(ctl config --json --root="$root" | json 'j')" "{'files': [], 'devices': []}"
refused 1 "config: zcram0: no section [zcram0] in any file" config --root="$root" zcram0

cat >"$root/etc/zcram.conf" <<-'END'
	[defaults]
	filter = none
	[zcram0]
	zram-size = 1024
	[zcram1]
	zram-size = 512
	host-memory-limit = 1
END
cat >"$root/usr/lib/zcram.conf.d/50-more.conf" <<-'END'
	[zcram0]
	algorithm = zstd(level=3)
END
line zcram0 zram-size 1G '/etc/zcram.conf:4'
line zcram0 filter none '/etc/zcram.conf:2 \[defaults\]'
line zcram0 compression-algorithm 'zstd\(level=3\)' '/usr/lib/zcram.conf.d/50-more.conf:2'
line zcram0 compact auto default
line zcram1 zram-size 512M '/etc/zcram.conf:6'
ctl config --root="$root" >"$dir/out"
equal "files" "$(grep '^#' "$dir/out")" "# /etc/zcram.conf
# /usr/lib/zcram.conf.d/50-more.conf"
grep -qx '\[zcram0\]' "$dir/out"
grep -q '^\[zcram1\]: not on this machine: ' "$dir/out" || fail "$(cat "$dir/out")"

ctl config --json --root="$root" >"$dir/json"
equal "devices" "$(json '[(d["name"], d["applies"]) for d in j["devices"]]' <"$dir/json")" \
	"[('zcram0', True), ('zcram1', False)]"
equal "a key" "$(json 'j["devices"][0]["keys"]["zram-size"]' <"$dir/json")" \
	"{'value': '1G', 'file': '/etc/zcram.conf', 'line': 4, 'defaults': False}"
equal "a default" "$(json 'j["devices"][0]["keys"]["compact"]["file"]' <"$dir/json")" None
equal "one device" "$(ctl config --json --root="$root" zcram1 | json 'len(j["devices"])')" 1

printf '[zcram0]\nalgorithm = zstd(level=99)\nfrob = 1\n' >"$root/etc/zcram.conf.d/bad.conf"
for option in '' --json; do
	status=0
	ctl config --root="$root" $option >"$dir/out" 2>"$dir/err" || status=$?
	equal "status with faults" $status 1
	equal "output with faults" "$(cat "$dir/out")" ""
	grep -q '^/etc/zcram.conf.d/bad.conf:2: \[zcram0\] algorithm = zstd(level=99): no such level' \
		"$dir/err" || fail "$(cat "$dir/err")"
	grep -q '^/etc/zcram.conf.d/bad.conf:3: \[zcram0\] frob = 1: ' "$dir/err"
	equal "faults" "$(wc -l <"$dir/err")" 2
done
