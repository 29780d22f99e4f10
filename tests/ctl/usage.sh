#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: a command line that is wrong is refused in one line that says what is allowed, with
# status 2; what cannot be done, with status 1; help is there for every command.
. "$(dirname "$0")/lib.sh"

commands="list stat top metrics set compact idle recompress writeback upgrade attach detach save restore purge config estimate help"

for command in $commands; do
	ctl help "$command" >"$dir/help"
	ctl "$command" --help | cmp - "$dir/help"
	grep -q "^usage: zcramctl $command" "$dir/help" || fail "help $command"
	refused 2 "$command: --frob: unknown, or takes no argument: give " "$command" --frob
	refused 2 "$command: -Z: unknown, or takes no argument: give " "$command" -Z
	ctl | grep . && fail "$command"
	ctl help | grep -q "^  $command " || fail "$command is not in the help"
done
ctl --help | cmp - <(ctl help)
equal "version" "$(ctl --version)" "$(ctl list -V)"

refused 2 "frob: neither a command nor a device: commands are list, stat, top," frob
refused 2 "frob: neither a command nor a device" help frob
refused 2 "help: too many arguments: give [COMMAND]" help list stat
refused 2 "list: -o: its argument is missing: give --bytes," -o
refused 2 "list: --output: SIZE: no such column: give NAME, DEVICE," list -o NAME,SIZE
refused 2 "list: --output: : no such column" list -o NAME,
refused 2 "list: --raw and --json: give one of them" --raw --json
refused 2 "stat: too few arguments: give DEVICE" stat
refused 2 "stat: too many arguments: give DEVICE" stat zcram0 zcram1
refused 2 "stat: --zram meminfo: no such file: give mm_stat, io_stat, bd_stat or block_state" stat --zram meminfo zcram0
refused 2 "stat: --json and --zram: give one of them" stat --json --zram mm_stat zcram0
refused 2 "stat: --zram: its argument is missing" stat --zram
refused 2 "set: too few arguments: give DEVICE KEY=VALUE..." set zcram0
refused 2 "set: frob=1: unknown key: give algorithm, filter, compact, recompress-age," set zcram0 frob=1
refused 2 "set: filter: the value is missing: give filter=VALUE" set zcram0 filter
refused 2 "set: filter=none: given twice: give it once" set zcram0 filter=auto filter=none
refused 2 "idle: too few arguments: give DEVICE all|AGE" idle zcram0
refused 2 "idle: yesterday: not a time: give seconds, or a number with s, m, h or d; or all" idle zcram0 yesterday
refused 2 "idle: 5w: not a time" idle zcram0 5w
refused 2 "idle: 99999999999999999999: too large" idle zcram0 99999999999999999999
refused 2 "idle: 9999999999999999999: too large" idle zcram0 9999999999999999999
refused 2 "recompress: too few arguments: give DEVICE [KEY=VALUE...]" recompress
refused 2 "recompress: frob=1: unknown key: give type=, threshold=, max_pages= or algo=" recompress zcram0 frob=1
refused 2 "recompress: type: the value is missing: give type=VALUE" recompress zcram0 type
refused 2 "recompress: max_pages=x: not a number" recompress zcram0 max_pages=x
refused 2 "recompress: type=huge: given twice" recompress zcram0 type=idle type=huge
refused 2 "writeback: too few arguments: give DEVICE [KEY=VALUE...]" writeback
refused 2 "writeback: frob=1: unknown key: give type=, page_index=, page_indexes=, threshold= or max_pages=" \
	writeback zcram0 frob=1
refused 2 "writeback: page_index: the value is missing: give page_index=VALUE" writeback zcram0 page_index
for range in 1 -2 1- 2-1 1-2-3 1-x 99999999999999999999-2 ''; do
	refused 2 "writeback: page_indexes=$range: not a range of pages: give FIRST-LAST, such as 1-100" \
		writeback zcram0 "page_indexes=$range"
done
refused 2 "writeback: page_index=1-2: not a page: give its number" writeback zcram0 page_index=1-2
refused 2 "writeback: max_pages=x: not a number" writeback zcram0 max_pages=x
refused 2 "writeback: type=huge: given twice" writeback zcram0 type=idle type=huge
refused 2 "compact: too few arguments: give DEVICE" compact
refused 2 "upgrade: too few arguments: give DEVICE" upgrade
refused 2 "top: --interval 0: give seconds, 0.1 to 3600" top --interval 0
refused 2 "top: --interval 1s: give seconds" top --interval 1s
refused 2 "top: --interval nan: give seconds" top --interval nan
refused 2 "top: --count: 0: give a whole number from 1 to" top -n 0
refused 2 "attach: too few arguments: give SOCKET" attach
refused 2 "attach: --device sda: not an nbd device: give nbdN or /dev/nbdN" attach --device sda s
refused 2 "attach: --connections: 0: give a whole number from 1 to" attach --connections 0 s
refused 2 "attach: --connections: -1: give a whole number from 1 to" attach --connections -1 s
refused 2 "attach: --name a/b: not a name: give one such as zcram0" attach --name a/b s
refused 2 "detach: too few arguments: give DEVICE" detach
refused 2 "purge: give the names of pools, or --all" purge
refused 2 "purge: give the names of pools, or --all" purge --all zcram0
refused 2 "purge: nobody can be asked: give --yes" purge zcram0
refused 1 "a/b: not a pool's name: give 1 to 47 letters, digits" purge --yes a/b
refused 2 "config: zram: not a device's name: give zcram and a number" config zram
refused 2 "estimate: too few arguments: give a PID, a FILE, or --system" estimate
refused 2 "estimate: --system and 1: give one of them" estimate --system 1
refused 2 "estimate: --sample 1Q: not a size: give bytes, or a number with K, M" estimate --sample 1Q 1
refused 2 "estimate: --sample 4095: out of range: give 4K to 1T" estimate --sample 4095 1
refused 2 ": not a device: give a name (zcram0)" stat ''

# No such device, by any of its names.
no_socket="control socket: there is none: no such device is running"
for command in stat compact idle recompress writeback upgrade 'set' top; do
	arguments=()
	[ $command != set ] || arguments=(filter=auto)
	[ $command != idle ] || arguments=(all)
	[ $command != top ] || arguments=(--once)
	refused 1 "zcram0: $no_socket" $command zcram0 "${arguments[@]}"
	refused 1 "$dir/none: $no_socket" $command "$dir/none" "${arguments[@]}"
	refused 1 "/dev/nbd999: no zcram device is attached there" $command /dev/nbd999 "${arguments[@]}"
done
refused 1 "zcram0: $no_socket" stat --zram mm_stat zcram0
refused 1 "top: no device is running" top --once
refused 1 "zcram0: not attached" detach zcram0
refused 1 "$dir/none: No such file or directory" attach "$dir/none"
refused 1 "estimate: $dir/none: No such file or directory" estimate "$dir/none"
refused 1 "estimate: /dev/null: neither a file nor a block device" estimate /dev/null
refused 1 "estimate: 4194305: no such process" estimate 4194305
head -c 4095 /dev/zero >"$dir/short"
refused 1 "estimate: $dir/short: no page to try" estimate "$dir/short"

mkdir -m 700 "$run"
mkdir "$run/hung" "$run/dead" "$run/file"
hang "$run/hung/control"
leave_socket "$run/dead/control"
touch "$run/file/control"
for command in stat compact idle recompress writeback 'set' top metrics; do
	arguments=()
	[ $command != set ] || arguments=(filter=auto)
	[ $command != idle ] || arguments=(all)
	[ $command != top ] || arguments=(--once)
	[ $command != metrics ] || continue
	refused 1 "dead: control socket: nobody serves it: the server is dead" \
		$command dead "${arguments[@]}"
done
refused 1 "hung: control socket: no answer within 2 seconds: the server hangs" stat hung
refused 1 "hung: control socket: no answer within 2 seconds" stat --zram block_state hung
refused 1 "hung: control socket: no answer within 2 seconds" set hung filter=auto
refused 1 "file: control socket: " stat file
# A server without zcramd, or with one that is dead or hangs.
refused 1 "dead: cannot be upgraded in use: no zcramd answers for it" upgrade dead
refused 1 "$run/dead/control: cannot be upgraded in use: no zcramd answers for it" \
	upgrade "$run/dead/control"
leave_socket "$run/dead/zcramd"
refused 1 "dead: cannot be upgraded in use: no zcramd answers for it" upgrade dead
refused 2 "top: there are 3 devices: give one, as zcramctl list shows them" top --once

# A full disk behind standard output.
status=0
ctl help >/dev/full 2>"$dir/err" || status=$?
equal "status with a full disk" $status 1
equal "what is said" "$(cat "$dir/err")" "zcramctl: standard output: No space left on device"

# Not root.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$dir"
	cp "$ZCRAM_CTL" "$dir/zcramctl"
	ZCRAM_CTL=$dir/zcramctl
	ctl() {
		setpriv --reuid=65534 --regid=65534 --clear-groups "$ZCRAM_CTL" "$@"
	}
	refused 1 "$run: permission denied: run as root" list
	refused 1 "dead: control socket: permission denied: run as root" stat dead
	refused 1 "dead: zcramd: permission denied: run as root" upgrade dead
	refused 1 "estimate: 1: permission denied: run as root" estimate 1
fi
