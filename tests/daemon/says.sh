#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: zcramd on a machine where it can do nothing: its options, what it would do, and one
# clear line, with nothing left behind, for each reason why it does not.
set -eEuo pipefail
trap 'echo "FAIL: $0: line $LINENO: $BASH_COMMAND" >&2' ERR
: "${ZCRAMD:?}"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export ZCRAM_RUN_DIR=$dir/run
mkdir "$dir/etc"

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

conf() {
	printf '%s\n' "$@" >"$dir/etc/zcram.conf"
}

# gives STATUS TEXT [ARGUMENT...]: it ends so, having said TEXT, and leaves nothing.
gives() {
	local expected=$1 text=$2 status=0

	shift 2
	"$ZCRAMD" --root="$dir" "$@" >"$dir/said" 2>&1 || status=$?
	[ "$status" -eq "$expected" ] || fail "status $status with $*: $(cat "$dir/said")"
	grep -qF -- "$text" "$dir/said" || fail "\"$text\" is not said: $(cat "$dir/said")"
	[ ! -e "$ZCRAM_RUN_DIR/zcram0" ] || fail "$ZCRAM_RUN_DIR/zcram0 is left"
}

gives 0 'Usage: zcramd ' --help
gives 0 'zcramd ' --version
gives 2 'give the NAME of a device'
gives 2 'give one NAME' zcram0 zcram1
gives 2 "unrecognized option '--nonsense'" --nonsense
for name in zram0 zcram zcram-1 zcram01 zcram10000 ../zcram0 '' 'zcram0 '; do
	gives 2 'not the name of a device: give zcram0, zcram1, ...' "$name"
done

gives 1 'zcramd: zcram0: there is no section [zcram0]: the configuration has none at all' zcram0
conf '[zcram1]' '[zram3]'
gives 1 'there is no section [zcram0] in the configuration: it has [zcram1], [zcram3]' zcram0
conf '[zcram0]' 'zram-size = 1024' 'colour = red' 'compression-algorithm = zstd(level=99)'
gives 1 '/etc/zcram.conf:3: [zcram0] colour' zcram0
gives 1 '/etc/zcram.conf:4: [zcram0] compression-algorithm = zstd(level=99): no such level' zcram0

conf '[zcram0]' 'zram-size = 1024' 'connections = 3' 'threads = 2' 'device = nbd9'
gives 0 "nbdkit --foreground --unix=$ZCRAM_RUN_DIR/zcram0/nbd.sock" --check --server=nbdkit zcram0
grep -q -- ' --threads=2 zcram size=1G .* name=zcram0$' "$dir/said"
grep -q "^attach $ZCRAM_RUN_DIR/zcram0/nbd.sock to /dev/nbd9 by 3 connections as zcram:zcram0" "$dir/said"
grep -q '^swapon --priority 100 --options discard ' "$dir/said"
! grep -q ' pool=' "$dir/said" || fail "a pool without a server that can be brought back"
gives 0 ' ./x.so size=1G' --check --server=nbdkit --plugin=./x.so zcram0
grep -q '^# served by nbdkit, the server that is set: ' "$dir/said"
# Where the kernel gives no io_uring, it says so, and so it does where we have it refuse one.
if [ -n "${ZCRAM_LOOP-}" ] && "$ZCRAMD" --root="$dir" --check zcram0 | grep -q '^# served by zcram-server: '; then
	gives 0 "/x/server --pidfile=$ZCRAM_RUN_DIR/zcram0/pid --threads=2 --connection=REGION,RING,SOCKET" \
		--check --server=/x/server zcram0
	equal=$(grep -o -- ' --connection=REGION,RING,SOCKET' "$dir/said" | wc -l)
	[ "$equal" -eq 3 ] || fail "$equal connections instead of 3"
	grep -q ' size=1G .* pool=zcram0 pool-at-exit=keep control=.* name=zcram0$' "$dir/said"
	grep -q '^attach them to /dev/nbd9 by 3 connections as zcram:zcram0' "$dir/said"
	gives 0 '/zcram/zcram-server --pidfile=' --check zcram0
	grep -q '^# served by zcram-server: the kernel gives it an io_uring$' "$dir/said"
	said=$("$ZCRAM_WITHOUT" io_uring "$ZCRAMD" --root="$dir" --check zcram0)
	if [ "$(id -u)" -eq 0 ]; then
		expected='# served by nbdkit: no io_uring: Operation not permitted: see kernel.io_uring_disabled: '
		grep -q '^nbdkit --foreground' <<<"$said" || fail "$said"
	else
		expected='# served by zcram-server, or by nbdkit, if root is given no io_uring either: no io_uring: '
	fi
	[[ $said == "$expected"* ]] || fail "$said"
else
	gives 0 'nbdkit --foreground' --check zcram0
fi
conf '[zcram0]' 'fs-type = ext4' 'mount-point = /srv/x y'
gives 0 'mkfs.ext4' --check zcram0
grep -q '^mount -t ext4 -o discard /dev/nbdN /srv/x y$' "$dir/said"
conf '[zcram0]' 'host-memory-limit = 1'
gives 0 'nothing: ' --check zcram0
gives 0 'zcramd: zcram0: not needed here: ' zcram0

conf '[zcram0]'
if [ "$(id -u)" -ne 0 ]; then
	gives 1 'not root: attaching a device takes root' zcram0
	exit 0
fi
chmod 755 "$dir" "$dir/etc"
unprivileged=(setpriv --reuid=65534 --regid=65534 --clear-groups)
# Where the build is no directory for others, there is nothing to be seen.
if "${unprivileged[@]}" "$ZCRAMD" --version >/dev/null 2>&1; then
	said=$("${unprivileged[@]}" "$ZCRAMD" --root="$dir" zcram0 2>&1) && fail "it runs without root"
	[ "$said" = 'zcramd: zcram0: not root: attaching a device takes root' ] || fail "$said"
fi
if [ ! -e /sys/module/nbd ]; then
	# shellcheck disable=SC2016
	gives 1 'survey: the kernel has no nbd client loaded: run `modprobe nbd`' zcram0
fi
