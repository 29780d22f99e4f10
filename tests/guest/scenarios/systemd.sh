#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: a system with systemd comes up with compressed swap and a mounted file system, from
# zcram's package and a configuration; they are used, reloaded, upgraded, stopped and started while in
# use; a mistake in the configuration is a unit that fails with that line; and the system goes down
# while memory is swapped out, which is there again, byte for byte, before the server ends.
# Image: systemd
# Append: SYSTEMD_COLORS=0
# Memory: 256
# Limit: 590
# Kernels: 6.12
. "$(dirname "$0")/lib.sh"

unit=zcram@zcram0.service
run=/run/zcram/zcram0
export SYSTEMD_PAGER=

# property UNIT NAME
property() {
	systemctl show --value -p "$2" "$1"
}

# has UNIT NAME WORD: WORD is one of a property's
has() {
	[[ " $(property "$1" "$2") " == *" $3 "* ]] || fail "$2 of $1 has no $3: $(property "$1" "$2")"
}

# says TEXT COMMAND...: what COMMAND prints, whatever its status, has TEXT in it
says() {
	local text=$1 output

	shift
	output=$("$@") || true
	[[ $output == *"$text"* ]]
}

# The journal of UNIT has a line with TEXT: logged UNIT TEXT
logged() {
	journalctl --sync
	says "$2" journalctl -o cat -u "$1" || {
		journalctl -o short-monotonic -u "$1"
		fail "the journal of $1 does not say \"$2\""
	}
}

# KiB that are swapped out.
swap_used() {
	awk 'NR > 1 { used += $4 } END { print used + 0 }' /proc/swaps
}

# until_swapped KIB
until_swapped() {
	until [ "$(swap_used)" -ge "$1" ]; do
		sleep 0.2
	done
}

# Have a shell that holds 16 MiB, of which nearly all is swapped out, until it reads a word from
# /run/NAME.go; it then writes the sum of what it holds to /run/NAME.sum, as before to NAME.before:
# hold NAME
hold() {
	local name=$1 before

	before=$(swap_used)
	mkfifo "/run/$name.go"
	cat >"/run/$name" <<-EOF
		data=\$(head -c 12M /run/content | base64 -w 0)
		sum() { printf %s "\$data" | sha256sum >/run/$name.\$1; }
		sum before
		exec 3<>/run/$name.go
		echo 4M >/sys/fs/cgroup/system.slice/$name.service/memory.high
		: >/run/$name.squeezed
		read -r word <&3
		sum sum
	EOF
	systemd-run --quiet --unit="$name" bash "/run/$name"
	# It may be swapped out before it gives up its memory; release must come after that.
	until [ -e "/run/$name.squeezed" ]; do
		sleep 0.2
	done
	until_swapped $((before + 12000))
}

# 12 MiB of programs, in the file system, and so not in the image's.
make_content() {
	tar -cf - -C /usr bin lib/x86_64-linux-gnu 2>/dev/null | head -c 12M >/srv/fast/content || true
	ln -sf /srv/fast/content /run/content
}

# The memory of a service is its own again: release NAME
release() {
	echo max >"/sys/fs/cgroup/system.slice/$1.service/memory.high"
}

# --- It is up, as configured.

state=$(systemctl is-system-running --wait) || {
	systemctl --failed
	fail "the system is $state"
}
for name in zcram0 zcram1; do
	equal "the state of $name" "$(property "zcram@$name.service" ActiveState)" active
done
equal "the state of zcram2" "$(property zcram@zcram2.service ActiveState)" inactive
says ": zcram2 is not started: " dmesg || fail "the generator does not say it"
has swap.target Wants zcram@zcram0.service
has local-fs.target Wants zcram@zcram1.service
swap=$(swapon --show=NAME --noheadings)
index=${swap#/dev/nbd}
equal "the swap" "$(swapon --show=NAME,PRIO,SIZE --noheadings --raw)" "/dev/nbd$index 100 512M"
equal "what is behind it" "$(cat "/sys/block/nbd$index/backend")" zcram:zcram0
fs=$(findmnt -n -o SOURCE /srv/fast) || fail "/srv/fast is not mounted: $(findmnt)"
equal "what is behind /srv/fast" "$(cat "/sys/block/${fs#/dev/}/backend")" zcram:zcram1
for queue in "/sys/block/nbd$index/queue" "/sys/block/${fs#/dev/}/queue"; do
	equal "the scheduler of $queue" "$(grep -o '\[.*\]' "$queue/scheduler")" '[mq-deadline]'
	equal "the writes of $queue" "$(cat "$queue/iosched/async_depth")" 24
done
equal "the mode of /run/zcram" "$(stat -c %a /run/zcram)" 700
zcramctl
zcramctl --noheadings --raw --output NAME | sort | xargs >/run/list
equal "what zcramctl lists" "$(cat /run/list)" "zcram0 zcram1"
[ "$(property $unit ActiveEnterTimestampMonotonic)" -le \
	"$(property swap.target ActiveEnterTimestampMonotonic)" ] || fail "swap.target did not wait"

# --- systemd leaves the swap to zcramd, and both are ordered.

has "dev-nbd$index.swap" After $unit
equal "the dependencies of the swap" "$(property "dev-nbd$index.swap" DefaultDependencies)" no
has srv-fast.mount After zcram@zcram1.service
has zcram@zcram1.service Before local-fs.target

# --- Each has what it needs, and no more.

# check_process PID: of zcramd, or its server
check_process() {
	local stat flags

	for stat in "/proc/$1/task"/*/stat; do
		flags=$(sed 's/.*) //' "$stat" | cut -d' ' -f7)
		equal "marks of $stat" $((flags & 0x180000)) $((0x180000)) # PR_SET_IO_FLUSHER's
	done
	equal "oom_score_adj of $1" "$(cat "/proc/$1/oom_score_adj")" -1000
	equal "the filter of $1" "$(awk '$1 == "Seccomp:" { print $2 }' "/proc/$1/status")" 2
	equal "NoNewPrivs of $1" "$(awk '$1 == "NoNewPrivs:" { print $2 }' "/proc/$1/status")" 1
	equal "VmSwap of $1" "$(awk '$1 == "VmSwap:" { print $2 }' "/proc/$1/status")" 0
	equal "Max core of $1" "$(awk '/^Max core/ { print $5 }' "/proc/$1/limits")" 0
}

# check_urgent PID: the thread that takes memory for the pool may have what is kept for real-time tasks
check_urgent() {
	local keeper

	keeper=$(grep -lx zs-keeper "/proc/$1/task"/*/comm) || fail "$1 has no keeper"
	equal "the policy of the keeper" "$(sed 's/.*) //' "${keeper%comm}stat" | cut -d' ' -f39)" 2
}

zcramd=$(property $unit MainPID)
server=$(cat $run/pid)
check_process "$zcramd"
check_process "$server"
check_urgent "$server"
equal "memory.swap.max" "$(cat "/sys/fs/cgroup$(property $unit ControlGroup)/memory.swap.max")" 0
[ "$(readlink "/proc/$server/ns/mnt")" != "$(readlink /proc/1/ns/mnt)" ] || fail "it sees all files"
nsenter -t "$server" -m sh -c '! echo x >/etc/x' 2>/dev/null || fail "the server can write to /etc"
second=$(property zcram@zcram1.service MainPID)
equal "the file systems of zcram1" "$(readlink "/proc/$second/ns/mnt")" "$(readlink /proc/1/ns/mnt)"
check_process "$second"
journalctl --sync
! journalctl -o cat -u 'zcram@*' -p warning | grep . || fail "they complain"

# --- Use.

faults=$(major_faults)
swapload 200 2 1
equal "major faults of the server" $(($(major_faults) - faults)) 0
head -c 8M /dev/urandom >/srv/fast/random
random=$(sha256sum </srv/fast/random)

# --- Reload what can change in use; keep what is in force when there is a mistake.

sed -i '/zram-size = 512/a compression-algorithm = lz4' /etc/zcram.conf
systemctl reload $unit
until says "algorithm: lz4" zcramctl stat zcram0; do
	sleep 0.2
done
sed -i 's/= lz4$/= lz5/' /etc/zcram.conf
systemctl reload $unit
until says "compression-algorithm = lz5: " journalctl -o cat -u $unit; do
	sleep 0.2
done
says "algorithm: lz4" zcramctl stat zcram0 || fail "a mistake was put in force"
equal "the state after a mistake" "$(property $unit ActiveState)" active
sed -i 's/= lz5$/= lz4/' /etc/zcram.conf

# --- Another zcramd takes over what it finds, and the swap is never off: after a restart, an upgrade, and
# when it is killed; and the server is brought back.

# taken_over WHAT: by another zcramd, with the same server
taken_over() {
	local old=$zcramd

	until [ "$(property $unit ActiveState)" = active ] && [ "$(property $unit MainPID)" -ne "$old" ]; do
		[ "$(property $unit ActiveState)" != failed ] || fail "after $1, $unit has failed"
		sleep 0.2
	done
	zcramd=$(property $unit MainPID)
	equal "the server after $1" "$(cat $run/pid)" "$server"
	equal "swaps after $1" "$(wc -l </proc/swaps)" 2
	check_process "$zcramd"
	check_process "$server"
}

swapload 60 1 1000 &
load=$!
systemctl restart $unit
taken_over "a restart"
mount -t tmpfs tmpfs /var/lib/dpkg/updates # what dpkg writes there it writes often
# dpkg does not know of it yet: the first time it is new, and nothing is restarted.
dpkg -i /usr/lib/zcram-tests/zcram.deb >/run/dpkg 2>&1 || fail "dpkg: $(cat /run/dpkg)"
equal "zcramd after an installation" "$(property $unit MainPID)" "$zcramd"
dpkg -i /usr/lib/zcram-tests/zcram.deb >/run/dpkg 2>&1 || fail "dpkg: $(cat /run/dpkg)"
umount /var/lib/dpkg/updates
taken_over "an upgrade"
kill -KILL "$zcramd"
taken_over "a kill"
kill -KILL "$server"
until [ "$(cat $run/pid)" -ne "$server" ]; do
	sleep 0.2
done
logged $unit "the server (pid $server) has ended (" # which one that is not its parent cannot see
server=$(cat $run/pid)
check_process "$server"
# Nobody is left who was there when it was turned on.
equal "the swap, shown" "$(swapon --show=NAME --noheadings)" "$swap"
kill -TERM $load
wait $load || fail "the load's memory is not what it was"
equal "the number of restarts" "$(property $unit NRestarts)" 1

# --- Stop while a service's memory is swapped out: all of it is read back.

make_content
hold one
release one
systemctl stop $unit
equal "the state after a stop" "$(property $unit ActiveState) $(property $unit Result)" \
	"inactive success"
equal "swaps after a stop" "$(wc -l </proc/swaps)" 1
[ ! -e "/sys/block/nbd$index/pid" ] || fail "nbd$index is still attached"
[ ! -e "/proc/$server" ] || fail "the server is still there"
[ ! -e $run ] || fail "$run is left: $(ls $run)"
[ ! -e "/run/systemd/system/dev-nbd$index.swap.d" ] || fail "the drop-in is left"
equal "the service whose memory it was" "$(property one.service ActiveState)" active
echo go >/run/one.go
until [ "$(property one.service ActiveState)" != active ]; do
	sleep 0.2
done
[ -e /run/one.sum ] || fail "it was killed: $(journalctl -o cat -u one.service)"
equal "what it holds" "$(cat /run/one.sum)" "$(cat /run/one.before)"

# --- The same for a file system; and start both again.

systemctl stop zcram@zcram1.service
! findmnt /srv/fast || fail "still mounted"
systemctl start zcram@zcram0.service zcram@zcram1.service
equal "swaps after a start" "$(wc -l </proc/swaps)" 2
findmnt /srv/fast >/dev/null || fail "not mounted again"
[ ! -e /srv/fast/random ] || fail "it was never gone: $random"

# --- A mistake in the configuration: the units fail, and say where it is.

mkdir -p /etc/zcram.conf.d
printf '[zcram5]\nfilter = perhaps\n' >/etc/zcram.conf.d/mistake.conf
line='/etc/zcram.conf.d/mistake.conf:2: [zcram5] filter = perhaps: '
systemctl daemon-reload
says "]: $line" dmesg || fail "the generator does not say it"
has swap.target Wants zcram@zcram5.service
! systemctl start zcram@zcram5.service 2>/run/said || fail "it starts"
equal "its state" "$(property zcram@zcram5.service ActiveState)" failed
logged zcram@zcram5.service "$line"
says "$line" systemctl status zcram@zcram5.service || fail "systemctl status does not say it"
equal "the others' state" "$(property $unit ActiveState)" active
systemctl reset-failed zcram@zcram5.service

# --- A file system where nobody would see it: refused, and undone.

printf '[zcram6]\nzram-size = 64\nmount-point = /srv/unseen\n' >/etc/zcram.conf.d/mistake.conf
! systemctl start zcram@zcram6.service 2>/run/said || fail "it starts"
logged zcram@zcram6.service daemon-reload
! grep -l zcram:zcram6 /sys/block/nbd*/backend 2>/dev/null || fail "it is still attached"
systemctl daemon-reload
systemctl start zcram@zcram6.service
findmnt /srv/unseen >/dev/null || fail "it is not mounted"
systemctl stop zcram@zcram6.service
rm /etc/zcram.conf.d/mistake.conf
systemctl daemon-reload

# --- Down, while a file in memory is swapped out, which no service's end gives back.

make_content
before=$(swap_used)
for number in 1 2 3; do
	systemd-run --quiet -p Type=oneshot -p MemoryHigh=4M \
		dd if=/run/content "of=/dev/shm/file$number" bs=1M status=none
done
until_swapped $((before + 24000))
cat /run/content /run/content /run/content | sha256sum >/run/files.before
journalctl --sync

cat >/job/at-shutdown <<'EOF'
# All that is left is systemd-shutdown: look back.
set -eu
wrong() {
	journalctl -o short-monotonic -n 80
	cat /proc/swaps
	echo "FAIL: at shutdown: $*"
	exit 1
}

journalctl -o cat >/run/all
! grep -E 'timed out|stop job is running|SIGKILL|Killing process|it is killed' /run/all ||
	wrong "something did not end by itself"
# But for the zcramd that was killed on purpose.
! grep -E 'zcram@zcram[0-4].*(Failed|failed|code=)' /run/all |
	grep -vE "code=killed, status=9/KILL|Failed with result 'signal'" || wrong "zcram failed"
grep -q "zcram@zcram0.service: Deactivated successfully" /run/all || wrong "zcramd did not end well"
! dmesg | grep -E 'systemd-shutdown.*Deactivating swap /' || wrong "swap was left on"
! dmesg | grep -iE 'nbd.*(error|timed out|failed)|I/O error|Write-error' || wrong "I/O errors"
[ "$(wc -l </proc/swaps)" -eq 1 ] || wrong "swap is on"
! cat /sys/block/nbd*/pid 2>/dev/null || wrong "a device is attached"
[ "$(cat /dev/shm/file[123] | sha256sum)" = "$(cat /run/files.before)" ] || wrong "not the same bytes"
# Services first: what they had in swap is gone by then.
awk '/Stopped target swap.target/ { swap = NR } /Stopping zcram@zcram0.service/ { zcram = NR }
	/Stopped zcram-guest.service/ { job = NR }
	END { exit !(job && swap && zcram && job < swap && swap < zcram) }' /run/all ||
	wrong "not in order"
EOF
