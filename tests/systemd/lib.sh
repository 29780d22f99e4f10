# SPDX-License-Identifier: BSD-3-Clause
# What the tests of the generator share. From meson: ZCRAM_GENERATOR, ZCRAM_UNIT.

set -eEuo pipefail
export LC_ALL=C
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND" >&2' ERR

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root out=$tmp/out

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# equal WHAT FOUND EXPECTED
equal() {
	[ "$2" = "$3" ] || fail "$1 is \"$2\", not \"$3\""
}

# A machine of 2 GiB, with the configuration that is on standard input: system <<EOF
system() {
	rm -rf "${root:?}"
	mkdir -p "${root:?}/etc" "$root/proc" "$root/run"
	printf 'MemTotal:        2097152 kB\nMemFree: 1 kB\n' >"$root/proc/meminfo"
	echo 'root=/dev/vda ro quiet' >"$root/proc/cmdline"
	cat >"$root/etc/zcram.conf"
}

# Run it as systemd does, in this environment: generate_in NAME=VALUE...
# $status, and in $tmp/stderr what it says.
generate_in() {
	rm -rf "${out:?}"
	mkdir -p "$out/normal" "$out/early" "$out/late"
	status=0
	env -i "ZCRAM_ROOT=$root" "$@" "$ZCRAM_GENERATOR" "$out/normal" "$out/early" "$out/late" \
		2>"$tmp/stderr" || status=$?
}

generate() {
	generate_in SYSTEMD_SCOPE=system
}

# What was made, as "path path", sorted, but for the order of start that each device has.
made() {
	(cd "$out" && find . -mindepth 2 ! -type d ! -name 40-order.conf -printf '%P\n') | sort | xargs
}

# It did well, said nothing, and made these: makes PATH...
makes() {
	equal "the exit status" "$status" 0
	equal "standard error" "$(cat "$tmp/stderr")" ""
	equal "what was made" "$(made)" "$*"
}
