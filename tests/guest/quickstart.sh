#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: what ./quickstart --guest shows: a configuration, the daemon, and a program that needs
# more memory than the machine has.
# Memory: 256
# Limit: 300
. "$(dirname "$0")/lib.sh"

show() {
	printf '\n# %s\n' "$*"
	"$@"
}

printf '[zcram0]\nzram-size = 1G\n' >/etc/zcram.conf
show cat /etc/zcram.conf
modprobe nbd
setsid zcramd zcram0 </dev/null &
daemon=$!
until grep -q '^/dev/nbd' /proc/swaps; do
	kill -0 $daemon || fail "zcramd has ended"
	sleep 0.1
done
show free -m
show swapon --show
show swapload 384 2 1
show zcramctl
show zcramctl stat zcram0
kill -TERM $daemon
wait $daemon
