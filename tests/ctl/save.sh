#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: what is saved outlives the server, whatever server comes next; a save that fails leaves
# the old file, a file that is not sound leaves the device as it is, and both say why in one line.
. "$(dirname "$0")/lib.sh"
require nbdcopy qemu-io

size=$((64 << 20))
image=$dir/image

# Nothing but these files is in the directory of the images.
images() {
	equal "files beside the image" \
		"$(find "$dir/images" -mindepth 1 -printf '%f\n' | sort | xargs)" "$1"
}

check_content() {
	nbdcopy "$uri" "$dir/found"
	cmp "$dir/data" "$dir/found"
}

# damaged_at OFFSET: the image with one byte changed, in $dir/bad
damaged_at() {
	cp "$image" "$dir/bad"
	python3 - "$dir/bad" "$1" <<-'END'
		import sys
		with open(sys.argv[1], "r+b") as f:
		    f.seek(int(sys.argv[2]))
		    byte = f.read(1)
		    f.seek(int(sys.argv[2]))
		    f.write(bytes([byte[0] ^ 0x40]))
	END
}

mkdir "$dir/images"
image=$dir/images/image
# Programs and text, what does not shrink, one word, zeros that were written, and nothing.
real_data "$dir/data" $((40 << 20))
random_data "$dir/random" $((2 << 20))
{
	cat "$dir/random"
	head -c 1M /dev/zero | tr '\0' '\377'
	head -c 1M /dev/zero
} >>"$dir/data"
truncate -s $size "$dir/data"

serve_named zcram0 size=$size
nbdcopy "$dir/data" "$uri"
ctl save zcram0 "$image" >"$dir/out"
grep -qE '^zcram0: [0-9.]+M saved, in [0-9.]+M$' "$dir/out" || fail "$(cat "$dir/out")"
images image
equal "mode of the image" "$(stat -c %a "$image")" 600
get_stats
stored=${S[pages_pool]} payload=${S[payload]}
[ "$(stat -c %s "$image")" -lt $((payload + payload / 20)) ] ||
	fail "$payload bytes are saved in $(stat -c %s "$image")"
refused 1 "zcram0: there is something on it: give --force" restore zcram0 "$image"
check_content
stop

# Another server, and another algorithm for what is written there: what was stored stays as it was.
serve_named zcram0 size=$size algorithm=lz4
equal "what restore prints" "$(ctl restore zcram0 "$image" | sed 's/[0-9.]*M/N/')" "zcram0: N restored"
check_content
get_stats
stat_is pages_pool "$stored" payload "$payload"
# Where files without a name cannot be had, it is written under another one.
"$ZCRAM_WITHOUT" O_TMPFILE "$ZCRAM_CTL" save zcram0 "$dir/images/again" >"$dir/out"
images 'again image'
equal "sizes" "$(stat -c %s "$dir/images/again")" "$(stat -c %s "$image")"
rm "$dir/images/again"

# By the socket, to standard output, and into what has something already, which goes.
ctl save "$run/zcram0/control" - >"$dir/stdout"
qemu-io -f raw -c 'write -P 7 60M 1M' "$uri" >"$dir/io"
ctl restore --force "$run/zcram0/control" "$dir/stdout" >"$dir/out"
check_content

# A save that fails: the file is what it was, and nothing is left beside it.
before=$(sum "$image")
status=0
(ulimit -f 1000 && ctl save zcram0 "$image" >"$dir/out" 2>"$dir/err") || status=$?
equal "status with a limit of files" $status 1
equal "lines" "$(wc -l <"$dir/err")" 1
grep -qF "zcramctl: $image: File too large" "$dir/err" || fail "$(cat "$dir/err")"
status=0
ctl save zcram0 - >/dev/full 2>"$dir/err" || status=$?
equal "status with a full disk" $status 1
grep -qx 'zcramctl: standard output: No space left on device' "$dir/err" || fail "$(cat "$dir/err")"
equal "content" "$(sum "$image")" "$before"
images image
ln -s image "$dir/images/link"
ctl save zcram0 "$dir/images/link" >"$dir/out"
[ -L "$dir/images/link" ] || fail "the link is none any more"
images 'image link'
refused 1 "/dev/full: not a file: give another name, or -" save zcram0 /dev/full
refused 1 "$dir/images: not a file: give another name, or -" save zcram0 "$dir/images"
refused 1 "$dir/none/image: No such file or directory" save zcram0 "$dir/none/image"

# Whose reader does nothing: others are told so; a signal ends it, and the server goes on.
mkfifo "$dir/fifo"
for signal in KILL TERM; do
	exec 5<>"$dir/fifo"
	"$ZCRAM_CTL" save zcram0 - >"$dir/fifo" 2>"$dir/err" &
	saver=$!
	dd bs=1 count=1 status=none <&5 >"$dir/byte"
	busy=$(ctl compact zcram0 2>&1) && fail "compacted while it is saved"
	equal "what compact says" "$busy" \
		"zcramctl: zcram0: compact: one is under way, or something else that takes long"
	kill -$signal $saver
	status=0
	wait $saver || status=$?
	exec 5>&-
	# The server finds out by itself.
	for ((tries = 0; ; tries++)); do
		ctl compact zcram0 >"$dir/out" 2>"$dir/busy" && break
		[ $tries -lt 1000 ] || fail "the server goes on saving: $(cat "$dir/busy")"
	done
done
equal "status" $status 1
equal "what it says" "$(cat "$dir/err")" "zcramctl: zcram0: interrupted: nothing is saved"
check_content

# Files that are not sound.
head -c $((4 << 20)) "$dir/data" >"$dir/none"
refused 1 "$dir/none: not an image of zcram's" restore --force zcram0 "$dir/none"
: >"$dir/none"
refused 1 "$dir/none: not an image of zcram's" restore --force zcram0 "$dir/none"
refused 1 "$dir/missing: No such file or directory" restore zcram0 "$dir/missing"
refused 1 "/dev/zero: not a file: it is read twice" restore zcram0 /dev/zero
head -c $((8 << 20)) "$image" >"$dir/bad"
refused 1 "$dir/bad: truncated: it ends too early" restore --force zcram0 "$dir/bad"
head -c -1 "$image" >"$dir/bad"
refused 1 "$dir/bad: truncated: it ends too early" restore --force zcram0 "$dir/bad"
cat "$image" "$image" >"$dir/bad"
refused 1 "$dir/bad: damaged: something follows its end" restore --force zcram0 "$dir/bad"
damaged_at 20
refused 1 "$dir/bad: damaged: the checksum of its header" restore --force zcram0 "$dir/bad"
damaged_at $((5 << 20))
refused 1 "$dir/bad: damaged: the checksum of a block is wrong" restore --force zcram0 "$dir/bad"
check_content

# More than there may be is refused before anything is changed; or as soon as it is found.
ctl set zcram0 mem-limit=$(((payload + 4095) / 4096 * 4096 - (1 << 20)))
refused 1 "$image: " restore --force zcram0 "$image"
grep -q 'compressed do not fit into a mem-limit of' "$dir/err" || fail "$(cat "$dir/err")"
check_content
ctl set zcram0 mem-limit=$((payload + 65536))
refused 1 "zcram0: restore: mem-limit is reached: the device is left empty" \
	restore --force zcram0 "$image"
get_stats
stat_is pages_pool 0 pages_same 0 payload 0
ctl set zcram0 mem-limit=0
ctl restore zcram0 "$image" >"$dir/out"
check_content
stop

# Another size; a last page that is part of one.
serve_named zcram0 size=$((size - 4096))
refused 1 "$image: of a device of $size bytes, and zcram0 has $((size - 4096))" \
	restore zcram0 "$image"
stop
head -c 20001237 "$dir/data" >"$dir/odd"
mv "$dir/odd" "$dir/data"
serve_named zcram0 size=20001237
nbdcopy "$dir/data" "$uri"
ctl save zcram0 "$image" >"$dir/out"
# The server is killed, as machines are.
kill -KILL "$server"
wait "$waiter" || true
server=
serve_named zcram0 size=20001237
ctl restore zcram0 "$image" >"$dir/out"
check_content
stop
