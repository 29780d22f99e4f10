#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the live view in a terminal: it shows itself, follows the terminal's size, shows a
# server that is gone, and gives the terminal back when it is left by a key or by any signal.
. "$(dirname "$0")/lib.sh"
require tmux

export LC_ALL=C.UTF-8
unset TMUX
terminals=0

# Each has a socket of its own: one that has just been ended may still be about to go.
terminal() {
	tmux -S "$dir/tmux-$terminals" "$@"
}

leave_terminal() {
	local status=$?

	set +e
	terminal kill-server 2>/dev/null
	(exit $status) # which is what clean_up ends with
	clean_up
}
trap leave_terminal EXIT

# Run top in a terminal of its own, and have what it writes to it from now on in fd 6.
start_top() {
	terminals=$((terminals + 1))
	cat >"$dir/pane" <<-END
		echo what was there before
		stty -g >'$dir/before'
		sh -c 'echo \$\$ >"$dir/pid-of-top"; exec "$ZCRAM_CTL" top --interval 0.1 zcram0'
		echo "status \$?"
		stty -g >'$dir/after'
		tmux -S '$dir/tmux-$terminals' wait-for -S ended
		read -r _
	END
	mkfifo "$dir/screen"
	exec 6<>"$dir/screen"
	terminal -f /dev/null new-session -d -x 100 -y 30 "bash '$dir/pane' 6<&-" \; \
		pipe-pane "cat >'$dir/screen'"
	seen '*accepts connections'
}

# Wait until a text that PATTERN matches is written to the terminal, between one escape sequence and
# the next.
seen() {
	local text

	while IFS= read -r -d $'\033' text; do
		# shellcheck disable=SC2053 # a pattern
		if [[ $text == $1 ]]; then
			return
		fi
	done <&6
}

shown() {
	terminal capture-pane -p
}

# end_top STATUS: it has ended so, and the terminal is as it was.
end_top() {
	terminal wait-for ended
	shown >"$dir/shown"
	equal "the first line" "$(head -n 1 "$dir/shown")" "what was there before"
	grep -qx "status $1" "$dir/shown" || fail "not status $1: $(cat "$dir/shown")"
	grep -q 'accepts connections' "$dir/shown" && fail "the view is still there: $(cat "$dir/shown")"
	equal "the terminal's settings" "$(cat "$dir/after")" "$(cat "$dir/before")"
	equal "the cursor" "$(terminal display-message -p '#{cursor_flag} #{alternate_on}')" "1 0"
	terminal kill-server
	exec 6<&-
	rm "$dir/screen"
}

serve_named zcram0 size=64M
write_data $((8 << 20))

start_top
shown >"$dir/shown"
grep -q '^zcram   zcram0  not attached' "$dir/shown" || fail "$(cat "$dir/shown")"
grep -q '^memory  [█▇▆▅▄▃▂▁·]*$' "$dir/shown" || fail "$(cat "$dir/shown")"
equal "the cursor" "$(terminal display-message -p '#{cursor_flag} #{alternate_on}')" "0 1"
terminal resize-window -x 50 -y 12
seen '*filte' # where the first line is cut: the view that begins
seen '*zcram0*' # and the next
shown >"$dir/shown"
equal "lines at 12" "$(wc -l <"$dir/shown")" 12
grep -q '^zcram   zcram0' "$dir/shown" || fail "$(cat "$dir/shown")"
terminal send-keys q
end_top 0

for signal in INT TERM HUP QUIT SEGV ABRT; do
	start_top
	kill -$signal "$(cat "$dir/pid-of-top")"
	end_top $((128 + $(kill -l $signal)))
done

# Its server is killed, and another comes.
start_top
kill -KILL "$server"
wait "$waiter" || true
server=
seen '*nobody serves it*'
shown >"$dir/shown"
grep -q '^zcram0: control socket: nobody serves it: the server is dead$' "$dir/shown" ||
	fail "$(cat "$dir/shown")"
serve_named zcram0 size=64M
seen '*accepts connections'
terminal send-keys q
end_top 0
stop
