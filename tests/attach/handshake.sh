#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: what the kernel is to be told of the plugin's server is what the server says, and the
# connection is handed over where requests and simple replies begin.
set -eEuo pipefail
trap 'echo "FAIL: $0: line $LINENO: $BASH_COMMAND" >&2' ERR
: "${ZCRAM_PLUGIN:?}" "${ZCRAM_HANDSHAKE:?}"

command -v nbdkit >/dev/null || {
	echo "SKIP: nbdkit is not installed"
	exit 77
}
# shellcheck disable=SC2016
said=$(nbdkit -U - "$ZCRAM_PLUGIN" size=5M lock=off --run '"$ZCRAM_HANDSHAKE" "$unixsocket"')
# has-flags, flush, FUA, trim, write zeroes, multi-conn
expected="size 5242880 flags $((1 + 4 + 8 + 32 + 64 + 256))
reply 0x67446698 error 0 first byte 0"
[ "$said" = "$expected" ] || {
	echo "FAIL: the program says \"$said\"" >&2
	exit 1
}
