#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: SIGTERM ends the server, at rest, with clients connected and under load, in the
# foreground and in the background, and leaves no process. (nbdkit lets clients finish first.)
. "$(dirname "$0")/lib.sh"
require nbdcopy
: "${ZCRAM_HOLD:?the path of the client that holds connections open}"

gone() {
	! kill -0 "$1" 2>/dev/null || fail "process $1 is still there"
}

serve -- size=4M
pid=$server
stop
gone "$pid"

serve -- size=4M
pid=$server
hold 4
kill -TERM "$pid"
release
server=
wait "$waiter"
gone "$pid"

random_data "$dir/in" $((64 << 20))
serve -- size=64M
pid=$server
(
	exec 3<&- 4<&-
	while nbdcopy "$dir/in" "$uri" 2>/dev/null; do
		:
	done
) &
load=$!
# The first data has arrived.
get_stats
while [ "${S[writes]}" -eq 0 ]; do
	get_stats
done
stop
gone "$pid"
wait $load

serve_in_background size=4M
pid=$server
nbdcopy "$uri" "$dir/out"
stop
gone "$pid"
