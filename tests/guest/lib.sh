# SPDX-License-Identifier: BSD-3-Clause
# What the scenarios share, in the guest; each sources it first. It has what the NBD tests have
# (nbd/lib.sh: serve, stop, get_stats, fail, equal, ...) on the plugin that is installed.

export PATH=$PATH:/usr/lib/zcram-tests
export ZCRAM_HOLD=/usr/lib/zcram-tests/hold ZCRAM_WIRE=/usr/lib/zcram-tests/wire
export ZCRAM_PLUGIN=${ZCRAM_PLUGIN:-zcram}
# shellcheck source=SCRIPTDIR/../nbd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/nbd/lib.sh"

nbd=/dev/nbd0

# Say a number that whoever measures collects: figure NAME VALUE
figure() {
	echo "figure $1 $2"
}

# Connect the kernel to the server that serve started, as $nbd: attach CONNECTIONS
attach() {
	modprobe nbd
	nbd-client -unix "$dir/socket" "$nbd" -swap -t 600 -C "$1" >/dev/null
}

detach() {
	nbd-client -d "$nbd"
}

# Swap on $nbd as the manual page has it.
swap_on() {
	mkswap "$nbd" >/dev/null
	swapon --discard --priority 100 "$nbd"
}

# What the threads of the server that serve I/O must carry: the bits of PR_SET_IO_FLUSHER.
check_io_flusher() {
	local stat fields flags threads=0

	for stat in "/proc/$server/task"/*/stat; do
		fields=$(sed 's/.*) //' "$stat") # the name may hold anything
		flags=$(cut -d' ' -f7 <<<"$fields")
		equal "marks of $stat" $((flags & 0x180000)) $((0x180000))
		threads=$((threads + 1))
	done
	[ "$threads" -ge 16 ] || fail "only $threads threads: does it serve?"
}

# Major faults of the server so far: none may come while it serves swap.
major_faults() {
	sed 's/.*) //' "/proc/$server/stat" | cut -d' ' -f10
}

# Pages of this machine that were swapped out and in so far.
swapped() {
	awk '$1 == "pswpout" || $1 == "pswpin" { print $1, $2 }' /proc/vmstat | xargs
}

# On the file system at /mnt: write and verify; what is deleted and trimmed must leave the pool.
verify_and_trim() {
	local full

	fio --eta=never --name=verify --directory=/mnt --size=48M --bs=4k-64k --rw=randrw --ioengine=psync \
		--fsync=64 --verify=crc32c --verify_fatal=1 --end_fsync=1 --refill_buffers \
		--buffer_compress_percentage=60 --output-format=terse --output=/dev/null
	sync
	get_stats
	full=${S[pages_pool]}
	[ "$full" -gt 8192 ] || fail "only $full pages are stored"
	rm /mnt/verify*
	sync
	fstrim /mnt
	get_stats
	figure pages_full "$full"
	figure pages_trimmed "${S[pages_pool]}"
	[ "${S[pages_pool]}" -lt $((full / 4)) ] || fail "${S[pages_pool]} pages of $full are left"
	equal "failed writes" "${S[failed_writes]}" 0
}

# The kernel may be swapping on the server, and the guest is about to end: leave it running.
leave() {
	local status=$?

	trap - ERR EXIT
	if [ "$status" -ne 0 ] && [ -n "$server" ] && [ -e "$dir/stderr" ]; then
		dd iflag=nonblock status=none <&4 >&2 2>/dev/null || true
	fi
	exit "$status"
}
trap leave EXIT
