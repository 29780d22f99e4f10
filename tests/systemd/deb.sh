#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the Debian package builds, has what it should where it should, and pleases lintian.
. "$(dirname "$0")/lib.sh"

command -v dpkg-buildpackage dh >/dev/null || exit 77
deb=$("$(dirname "$0")/make-deb")
dpkg-deb -c "$deb" | awk '{ print $1, $2, $6 }' >"$tmp/content"
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)

# has MODE PATH
has() {
	grep -qxF -- "$1 root/root .$2" "$tmp/content" || {
		cat "$tmp/content" >&2
		fail "the package has no $2, $1"
	}
}

has -rwxr-xr-x /usr/sbin/zcramd
has -rwxr-xr-x /usr/sbin/zcramctl
has -rwxr-xr-x /lib/systemd/system-generators/zcram-generator
has -rw-r--r-- /lib/systemd/system/zcram@.service
has -rw-r--r-- /usr/lib/modules-load.d/zcram.conf
has -rw-r--r-- /usr/lib/tmpfiles.d/zcram.conf
has -rw-r--r-- /lib/udev/rules.d/60-nbd-zcram.rules
has -rw-r--r-- "/usr/lib/$multiarch/nbdkit/plugins/nbdkit-zcram-plugin.so"
for page in man1/nbdkit-zcram-plugin.1 man5/zcram.conf.5 man8/zcramd.8 man8/zcramctl.8 \
	man8/zcram-generator.8; do
	has -rw-r--r-- "/usr/share/man/$page.gz"
done
# Nothing of the tests, the benchmarks or this machine, and no device unless one is configured.
! grep -E '/(tests?|bench|local|home|tmp|root|etc)/' "$tmp/content" || fail "what is that doing there?"

dpkg-deb -x "$deb" "$tmp/tree"
dpkg-deb -e "$deb" "$tmp/scripts"
grep -qx 'ExecStart=/usr/sbin/zcramd %i' "$tmp/tree/lib/systemd/system/zcram@.service" ||
	fail "the unit starts something else"
for package in nbdkit kmod mount libnbd0; do
	grep -E '^Depends:' "$tmp/scripts/control" | grep -qE "[ :]$package( |,|$)" ||
		fail "it does not depend on $package: $(grep ^Depends "$tmp/scripts/control")"
done
# An upgrade leaves swap as it is; a removal ends it first.
! grep -E 'systemctl.* (re)?start|deb-systemd-invoke.* (re)?start' "$tmp/scripts"/p* ||
	fail "a script of the package starts something"
grep -q "systemctl stop 'zcram@\*.service'" "$tmp/scripts/prerm" || fail "prerm stops nothing"
if command -v lintian >/dev/null; then
	lintian --allow-root --fail-on error "$deb" || fail "lintian"
fi
