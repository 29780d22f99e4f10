# SPDX-License-Identifier: BSD-3-Clause
# What the host's side of the guest tests shares: where things are kept, and Debian's packages.

set -eEuo pipefail
trap 'echo "${0##*/}: line $LINENO: $BASH_COMMAND" >&2' ERR

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ZCRAM_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zcram-guest}
mkdir -p "$cache"

fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# Fail unless every program named is there.
require() {
	local program

	for program; do
		command -v "$program" >/dev/null ||
			fail "$program is missing: .ci/install guest installs what the guest tests need"
	done
}

# Have the cache for this process alone until it ends, and whatever it starts.
only_one() {
	exec 9>"$cache/lock"
	flock 9
}

# A scratch directory of this process, gone with it.
scratch() {
	tmp=$(mktemp -d "$cache/tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
}

# apt-get and apt-cache on state of their own: of the host's only the configuration (proxies) is
# read and what is installed.
apt_private() {
	local program=$1 state=$cache/apt

	shift
	"$program" -qq -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=- \
		-o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 -o Acquire::Languages=none \
		"$@"
}

# The archives that the host itself uses for Debian 12, and backports from the same mirror.
write_sources() {
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg uri suite

	[ -e "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring"
	apt-get update --print-uris 2>/dev/null |
		sed -nE "s,^'(.*)/dists/(bookworm(-security|-updates)?)/InRelease'.*,\1 \2,p" |
		sort -u >"$cache/apt/hosts"
	grep -q ' bookworm$' "$cache/apt/hosts" ||
		fail "the apt sources of this host name no mirror of Debian 12 (bookworm)"
	sed -n 's/ bookworm$/&-backports/p' "$cache/apt/hosts" | head -n 1 >>"$cache/apt/hosts"
	while read -r uri suite; do
		echo "deb [signed-by=$keyring] $uri $suite main"
	done <"$cache/apt/hosts" >"$cache/apt/sources.list"
}

# Make the package lists new: to be called under only_one.
refresh_packages() {
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
	write_sources
	apt_private apt-get update >"$cache/apt/log" 2>&1 || {
		cat "$cache/apt/log" >&2
		fail "the package lists cannot be had: is this machine offline?"
	}
}

# Download a package and unpack it: unpack_package NAME VERSION DIRECTORY
unpack_package() {
	local from

	from=$(mktemp -d "$tmp/deb.XXXXXX")
	(cd "$from" && apt_private apt-get download "$1=$2") >"$cache/apt/log" 2>&1 || {
		cat "$cache/apt/log" >&2
		fail "$1 $2 cannot be downloaded: is this machine offline?"
	}
	dpkg-deb -x "$from"/*.deb "$3"
	rm -r "$from"
}

# The newest version of a package that begins so: newest_version NAME [BEGINNING]
newest_version() {
	apt_private apt-cache show "$1" | sed -n 's/^Version: //p' |
		awk -v start="${2-}" 'index($0, start) == 1' | sort -V | tail -n 1
}

# Hash of what is on standard input, short.
digest() {
	sha256sum | cut -c 1-16
}
