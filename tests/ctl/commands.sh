#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: statistics, settings, compaction, metrics and the live view of a server at work.
. "$(dirname "$0")/lib.sh"
require nbdcopy qemu-io

checker=$(dirname "$0")/openmetrics.py

# The same from stat, as text and as JSON, and from the server on a signal.
check_stat() {
	local name

	get_stats
	ctl stat zcram0 >"$dir/stat"
	ctl stat --json zcram0 >"$dir/json"
	for name in bytes_written pages_pool pages_same payload writes; do
		grep -qx "stats.$name: ${S[$name]}" "$dir/stat" || fail "$name: $(cat "$dir/stat")"
		equal "$name in JSON" "$(json "j['stats']['$name']" <"$dir/json")" "${S[$name]}"
	done
	equal "names of statistics" "$(grep -c '^stats\.' "$dir/stat")" ${#S[@]}
}

# setting KEY VALUE
setting() {
	ctl stat zcram0 | grep -qxF "$1: $2" || fail "$1 is $(ctl stat zcram0 | grep "^$1:"), not $2"
}

serve_named zcram0 size=256M
write_data $((40 << 20))
check_stat
setting name zcram0
setting size $((256 << 20))
setting pid "$server"
setting device -

equal "what set prints" "$(ctl set zcram0 'algorithm=lz4(level=3)' mem-limit=200M)" ""
setting algorithm 'lz4(level=3)'
setting mem-limit $((200 << 20))
setting filter auto
setting allocator zspage
ctl set "$run/zcram0/control" filter=none compact=off mem-limit=0
setting filter none
setting compact off
setting mem-limit 0
# The server says what is wrong, and nothing is changed.
status=0
ctl set zcram0 compact=auto algorithm=lzo 2>"$dir/err" || status=$?
equal "status of a bad value" $status 1
equal "lines" "$(wc -l <"$dir/err")" 1
grep -q '^zcramctl: zcram0: .*algorithm.*lz4.*zstd' "$dir/err" || fail "$(cat "$dir/err")"
setting compact off
setting algorithm 'lz4(level=3)'

# The kernel's files of zram, by the same numbers.
zram() {
	equal "$1" "$(ctl stat --zram "$1" zcram0)" "$2"
}

get_stats
zram mm_stat "$(printf '%8u %8u %8u %8u %8u %8u %8u %8u %8u' \
	$(((S[pages_same] + S[pages_pool]) * 4096)) "${S[payload]}" "${S[pool]}" 0 "${S[pool_max]}" \
	"${S[pages_same]}" "${S[pages_compacted]}" "${S[pages_raw]}" "${S[pages_raw_since]}")"
zram io_stat '       0        0        0        0'
zram bd_stat '       0        0        0'

# block_state LETTERS: pages whose flags match; all lines are as the kernel prints them
block_state() {
	ctl stat --zram block_state zcram0 >"$dir/blocks"
	grep -qvE '^ {4} *[0-9]+ +[0-9]+\.[0-9]{6} [s.][w.][h.][i.][r.][n.]$' "$dir/blocks" &&
		fail "$(grep -vE ' [s.][w.][h.][i.][r.][n.]$' "$dir/blocks" | head -n 3)"
	grep -c " $1\$" "$dir/blocks"
}

equal "pages with content" "$(block_state '......')" $((S[pages_same] + S[pages_pool]))
equal "pages of one word" "$(block_state 's\.\.\.\.\.')" "${S[pages_same]}"
equal "raw pages" "$(block_state '\.\.h...')" "${S[pages_raw]}"
equal "the pages' numbers" "$(awk '{ print $1 }' "$dir/blocks" | sort -cnu && echo sorted)" sorted

# Overwritten by what is smaller, half-empty zspages are left behind, and compaction frees some.
head -c $((40 << 20)) "$dir/data" | tr 'a-zA-Z0-9' '\0\0\0' >"$dir/smaller"
nbdcopy "$dir/smaller" "$uri"
get_stats
before=${S[pool]}
ctl compact zcram0 >"$dir/compact"
grep -qE '^zcram0: pool [0-9.]+[KMG] before, [0-9.]+[KMG] after: [0-9.]+[BKMG] freed$' \
	"$dir/compact" || fail "$(cat "$dir/compact")"
get_stats
[ "${S[pool]}" -le "$before" ] || fail "compaction took memory: $before, ${S[pool]}"

# All that is in the pool, and nothing that has been touched since.
get_stats
equal "idle" "$(ctl idle zcram0 all)" "zcram0: ${S[pages_pool]} pages are idle"
ctl stat zcram0 >"$dir/stat"
grep -qx "ages.262128: ${S[pages_pool]}" "$dir/stat" || fail "$(cat "$dir/stat")"
equal "idle, of JSON" "$(ctl stat --json zcram0 | json "j['ages'][15]['pages']")" "${S[pages_pool]}"
equal "idle, of block_state" "$(block_state '\.\..i..')" "${S[pages_pool]}"
ctl metrics zcram0 >"$dir/metrics"
grep -qx \
	"zcram_age_pages{device=\"zcram0\",class=\"15\",seconds=\"262128\"} ${S[pages_pool]}" "$dir/metrics" ||
	fail "$(cat "$dir/metrics")"
qemu-io -f raw -c "read 0 4k" "$uri" >"$dir/out" || fail "$(cat "$dir/out")"
ctl idle zcram0 3d >"$dir/out"
grep -qx "zcram0: $((S[pages_pool] - 1)) pages are idle" "$dir/out" || fail "$(cat "$dir/out")"
status=0
ctl idle zcram0 5d 2>"$dir/err" || status=$?
equal "status of a long time" $status 1
grep -q '^zcramctl: zcram0: idle: 432000 seconds: too long: give at most 262128' "$dir/err" ||
	fail "$(cat "$dir/err")"

ctl metrics >"$dir/metrics"
python3 "$checker" <"$dir/metrics"
get_stats
grep -qx "zcram_written_bytes_total{device=\"zcram0\"} ${S[bytes_written]}" "$dir/metrics" ||
	fail "$(cat "$dir/metrics")"
grep -qx "zcram_pool_bytes{device=\"zcram0\"} ${S[pool]}" "$dir/metrics"
grep -q "^zcram_device_info{.*algorithm=\"lz4(level=3)\".*} 1$" "$dir/metrics"

ctl top --once >"$dir/top"
grep -q '^zcram   zcram0  not attached  lz4(level=3)  filter none  compact off$' "$dir/top" ||
	fail "$(cat "$dir/top")"
grep -q "process $server " "$dir/top" || fail "$(cat "$dir/top")"
grep -q '^memory  ' "$dir/top" && grep -q '^objects ' "$dir/top"
grep -q 'zs-keeper  *keeps memory ready' "$dir/top" || fail "$(cat "$dir/top")"
[ "$(wc -L <"$dir/top")" -le 80 ] || fail "wider than 80: $(cat "$dir/top")"
ctl top --batch --count 3 --interval 0.1 zcram0 >"$dir/top"
equal "views" "$(grep -c '^zcram   zcram0' "$dir/top")" 3
refused 2 "top: standard input and output are no terminal: give --batch" top

# By hand, with zram's words; then by itself.
ctl recompress zcram0 'algo=zstd(level=6)' max_pages=100 >"$dir/out"
grep -qE '^zcram0: 100 pages tried, [0-9]+ smaller, [0-9.]+[BKM] saved$' "$dir/out" ||
	fail "$(cat "$dir/out")"
ctl recompress zcram0 type=huge_idle threshold=5000 algo=zstd >"$dir/out"
grep -qx 'zcram0: 0 pages tried, 0 smaller, 0B saved' "$dir/out" || fail "$(cat "$dir/out")"
status=0
ctl recompress zcram0 2>"$dir/err" || status=$?
equal "status without an algorithm" $status 1
grep -q '^zcramctl: zcram0: recompress: there is no method to do it by' "$dir/err" ||
	fail "$(cat "$dir/err")"
status=0
ctl recompress zcram0 type=cold 2>"$dir/err" || status=$?
equal "status of a bad type" $status 1
grep -q 'argument type: not one: give all, idle, huge or huge_idle' "$dir/err" ||
	fail "$(cat "$dir/err")"
ctl set zcram0 'algorithm=lz4(level=3) zstd(level=6) (type=huge_idle,threshold=2K)' \
	recompress-age=1h recompress-cpu=7
setting algorithm 'lz4(level=3) zstd(level=6) (type=huge_idle,threshold=2048)'
setting recompress-age 3600
setting recompress-cpu 7
ctl recompress zcram0 >"$dir/out"
grep -qE '^zcram0: [0-9]+ pages tried, ' "$dir/out" || fail "$(cat "$dir/out")"
ctl set zcram0 'algorithm=lz4(level=3)'
setting algorithm 'lz4(level=3)'

# A limit that is lowered in use is reached without any other request, by moving what is left together.
ctl set zcram0 compact=off
nbdcopy "$dir/data" "$uri"
for ((at = 0; at < 40 << 20; at += 16384)); do
	echo "discard $at 12k"
done >"$dir/discards"
qemu-io -f raw "$uri" <"$dir/discards" >"$dir/out"
get_stats
limit=$((S[pool] / 2))
ctl set zcram0 mem-limit=$limit
until get_stats && [ "${S[pool]}" -le $limit ]; do
	sleep 0.05
done
nbdcopy "$uri" "$dir/out"
for ((at = 12288; at < 40 << 20; at += 4 << 20)); do
	cmp -n 4096 -i $at "$dir/out" "$dir/data"
done
ctl set zcram0 mem-limit=0

# One that hangs beside it: what is there to say is said of the other.
mkdir "$run/zcram1"
hang "$run/zcram1/control"
status=0
ctl metrics >"$dir/metrics" 2>"$dir/err" || status=$?
equal "status of metrics with one that hangs" $status 1
python3 "$checker" <"$dir/metrics"
grep -qx 'zcram_up{device="zcram0"} 1' "$dir/metrics"
grep -qx 'zcram_up{device="zcram1"} 0' "$dir/metrics"
ctl metrics zcram0 | python3 "$checker"
stop
