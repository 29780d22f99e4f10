#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: sections become links and drop-ins, where and when they should.
. "$(dirname "$0")/lib.sh"

swap=normal/swap.target.wants fs=normal/local-fs.target.wants remote=normal/remote-fs.target.wants

# The unit of a device has LINE in a drop-in: has NAME FILE LINE
has() {
	grep -qxF "$3" "$out/normal/zcram@$1.service.d/$2.conf" || fail "$2 of $1 has no $3"
}

# nothing to do
system </dev/null
rm "${root:?}/etc/zcram.conf"
generate
makes

system <<<'[defaults]'
generate
makes

# swap, by either spelling; settings of zram-generator
system <<-EOF
	[zcram0]
	[zram12]
	zram-size = ram / 4
EOF
generate
makes $swap/zcram@zcram0.service $swap/zcram@zcram12.service
for name in zcram0 zcram12; do
	has "$name" 40-order Before=swap.target
	link=$(readlink "$out/$swap/zcram@$name.service")
	equal "the link of $name" "$link" "$ZCRAM_UNIT_DIR/zcram@.service"
done
# once more into the same directory
env -i "ZCRAM_ROOT=$root" "$ZCRAM_GENERATOR" "$out/normal" 2>"$tmp/stderr" || fail "not twice"
makes $swap/zcram@zcram0.service $swap/zcram@zcram12.service

# file systems: mounted, and only made
system <<-EOF
	[zcram1]
	mount-point = /var/cache/fast
	[zcram2]
	fs-type = ext4
	[zcram3]
	mount-point = /fast
	[zcram4]
	mount-point = /srv/50% "a b"\c/x
EOF
generate
makes $fs/zcram@zcram{1,2,3,4}.service normal/zcram@zcram{1,3,4}.service.d/50-mount.conf
dropin=$out/normal/zcram@zcram1.service.d/50-mount.conf
for line in "[Unit]" "SourcePath=/etc/zcram.conf" 'RequiresMountsFor="/var/cache"' "[Service]" \
	"ProtectSystem=no" "SystemCallFilter=@mount"; do
	has zcram1 50-mount "$line"
done
for name in zcram1 zcram2; do
	has "$name" 40-order Before=local-fs.target
done
head -n 1 "$dropin" | grep -q zcram-generator || fail "the drop-in does not say whose it is"
! grep -q RequiresMountsFor "$out/normal/zcram@zcram3.service.d/50-mount.conf" ||
	fail "it waits for /"
line=$(grep RequiresMountsFor "$out/normal/zcram@zcram4.service.d/50-mount.conf")
equal "a path in quotes" "$line" 'RequiresMountsFor="/srv/50%% \"a b\"\\c"'

# what is written back to; one that is elsewhere comes behind the network, which comes behind swap
system <<-'EOF'
	[zcram0]
	writeback-device = /dev/disk/by-id/a-b
	[zcram1]
	writeback = /var/lib/my zcram/file
	[zcram2]
	writeback = nbds://host/export
	[zcram3]
	writeback = /file
	[zcram4]
	writeback = nbd://host
	mount-point = /srv/x
	[zcram5]
	writeback = nbd+unix:///export?socket=/run/socket
EOF
sed -i 's/my zcram/my%zcram/' "$root/etc/zcram.conf"
generate
makes $remote/zcram@zcram{2,4}.service $swap/zcram@zcram{0,1,3,5}.service \
	normal/zcram@zcram{0,1,2,3}.service.d/60-writeback.conf \
	normal/zcram@zcram4.service.d/{50-mount,60-writeback}.conf normal/zcram@zcram5.service.d/60-writeback.conf
while read -r number file line; do
	has "zcram$number" "$file" "$line"
done <<-'EOF'
	0 40-order Before=swap.target
	0 60-writeback Requires=dev-disk-by\x2did-a\x2db.device
	0 60-writeback After=dev-disk-by\x2did-a\x2db.device
	0 60-writeback DeviceAllow=/dev/disk/by-id/a-b rw
	0 60-writeback SourcePath=/etc/zcram.conf
	1 60-writeback After=systemd-remount-fs.service
	1 60-writeback RequiresMountsFor="/var/lib/my%%zcram"
	1 60-writeback ReadWritePaths="/var/lib/my%%zcram"
	2 40-order Before=remote-fs.target
	2 40-order Wants=network-online.target
	2 40-order After=network-online.target
	2 60-writeback IPAddressDeny=
	2 60-writeback RestrictAddressFamilies=AF_INET AF_INET6
	3 60-writeback ReadWritePaths="/"
	4 40-order Before=remote-fs.target
	4 40-order After=network-online.target
	5 40-order Before=swap.target
EOF
for name in zcram2 zcram4; do
	! grep -rE 'Before=(swap|local-fs).target' "$out/normal/zcram@$name.service.d" ||
		fail "$name is before the network, and behind it"
done
! grep -q network "$out/normal/zcram@zcram5.service.d/40-order.conf" || fail "zcram5 waits for the network"

# not for this machine
system <<-EOF
	[zcram0]
	host-memory-limit = 1024
	[zcram1]
	host-memory-limit = 4096
EOF
generate
equal "the exit status" "$status" 0
equal "what was made" "$(made)" "$swap/zcram@zcram1.service"
grep -q '^<6>zcram-generator\[[0-9]*\]: zcram0 is not started: ' "$tmp/stderr" ||
	fail "it does not say why: $(cat "$tmp/stderr")"

# where it is not to be
system <<<'[zcram0]'
generate_in SYSTEMD_VIRTUALIZATION=container:lxc
makes
generate_in SYSTEMD_IN_INITRD=1
makes
generate_in SYSTEMD_VIRTUALIZATION=vm:qemu SYSTEMD_IN_INITRD=0
makes $swap/zcram@zcram0.service
mkdir -p "${root:?}/run/systemd"
echo lxc >"${root:?}/run/systemd/container"
generate
makes
rm "${root:?}/run/systemd/container"

# the kernel's command line
for words in systemd.zcram=0 "quiet systemd.zcram=no ro" "systemd.zcram=1 systemd.zcram=off"; do
	echo "$words" >"${root:?}/proc/cmdline"
	generate
	makes
done
for words in systemd.zcram=1 "systemd.zcram=0 systemd.zcram=1" xsystemd.zcram=0 systemd.zcram \
	systemd.zcram=00; do
	echo "$words" >"${root:?}/proc/cmdline"
	generate
	makes $swap/zcram@zcram0.service
done
