#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: at the limit, with a backing store that hangs, as many writes of a connection are held as nbdkit has
# threads for it, but one: reads of what is in memory are answered all the while, before any of these writes
# has ended; and all end well when the store goes on.
. "$(dirname "$0")/lib.sh"
require nbdinfo
: "${ZCRAM_HELD:?the path of the client that has writes held}"

threads=4

# Continued first, for a process that is stopped does not end.
end_store() {
	kill -CONT "$store" 2>/dev/null
	kill "$store" 2>/dev/null
	wait "$store"
}

mkfifo "$dir/store.pid"
exec 5<>"$dir/store.pid"
nbdkit -f -P "$dir/store.pid" -U "$dir/store" memory 64M 5<&- &
store=$!
also_clean_up+=(end_store)
read -r pid <&5
equal "process of the store" "$pid" "$store"

serve -t "$threads" -- size=128M mem-limit=8M lock=off writeback="nbd+unix:///?socket=$dir/store"
# It listens before it has connected to the store, and answers afterwards.
nbdinfo --size "$uri" >/dev/null
kill -STOP "$store"
coproc writer { exec "$ZCRAM_HELD" "$uri" $((threads - 1)); }
writer_pid=$!
read -r word <&"${writer[0]}" || fail "a read has waited for a write"
equal "word" "$word" held
get_stats
stat_is writes_refused 0 failed_writes 0
[ "${S[pool]}" -gt $((7 << 20)) ] || fail "the limit is not met: ${S[pool]}"
kill -CONT "$store"
echo go >&"${writer[1]}"
wait "$writer_pid" || fail "a write that was held has failed"
get_stats
stat_is failed_writes 0
stop
