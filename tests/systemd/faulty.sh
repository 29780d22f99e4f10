#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: with a wrong configuration all that it names is wanted, so that it fails where it is seen.
. "$(dirname "$0")/lib.sh"

wants=normal/swap.target.wants

# says LEVEL LINE: that line, and none more
says() {
	equal "standard error" "$(sed 's/\[[0-9]*\]/[]/' "$tmp/stderr")" "<$1>zcram-generator[]: $2"
}

system <<-EOF
	[zram10]
	[zcram2]
	filter = perhaps
	[zcram2]
	[zcram]
	[zcram01]
	[zcram99999]
	[other]
	[]
EOF
mkdir "${root:?}/etc/zcram.conf.d"
echo '[zcram1]' >"${root:?}/etc/zcram.conf.d/more.conf"
generate
equal "the exit status" "$status" 0
equal "what was made" "$(made)" "$(echo $wants/zcram@zcram{1,10,2}.service)"
grep -q '^<3>zcram-generator\[[0-9]*\]: /etc/zcram.conf:3: \[zcram2\] filter = perhaps: ' \
	"$tmp/stderr" || fail "it does not say what is wrong: $(cat "$tmp/stderr")"

# One thing that is wrong, one line.
system <<-EOF
	[zcram0]
	mount-point = relative
EOF
generate
equal "the exit status" "$status" 0
equal "what was made" "$(made)" "$wants/zcram@zcram0.service"
equal "the lines that it says" "$(wc -l <"$tmp/stderr")" 1

# A file that cannot be read names nothing.
system <<<'[zcram0]'
mkdir "${root:?}/etc/zcram.conf.d"
mkfifo "${root:?}/etc/zcram.conf.d/fifo.conf"
generate
equal "the exit status" "$status" 0
equal "what was made" "$(made)" "$wants/zcram@zcram0.service"
grep -q fifo.conf "$tmp/stderr" || fail "it does not say what cannot be read"

# nowhere to write to
system <<<'[zcram0]'
status=0
env -i "ZCRAM_ROOT=$root" "$ZCRAM_GENERATOR" "$tmp/none" 2>"$tmp/stderr" || status=$?
equal "the exit status" "$status" 1
says 3 "$tmp/none/zcram@zcram0.service.d: No such file or directory"

# a machine whose memory is not known
rm "${root:?}/proc/meminfo"
generate
equal "the exit status" "$status" 1
says 3 "$root/proc/meminfo: No such file or directory"

# arguments
for arguments in "" "a b" "a b c d"; do
	status=0
	# shellcheck disable=SC2086 # none, or several
	"$ZCRAM_GENERATOR" $arguments 2>"$tmp/stderr" || status=$?
	equal "the exit status" "$status" 2
	grep -q ^usage: "$tmp/stderr" || fail "no usage"
done
