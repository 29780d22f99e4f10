#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: sections become links and drop-ins, where and when they should.
. "$(dirname "$0")/lib.sh"

swap=normal/swap.target.wants fs=normal/local-fs.target.wants

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
for line in "[Unit]" "SourcePath=/etc/zcram.conf" "Before=local-fs.target" \
	'RequiresMountsFor="/var/cache"' "[Service]" "ProtectSystem=no" "SystemCallFilter=@mount"; do
	grep -qxF "$line" "$dropin" || fail "the drop-in has no $line"
done
head -n 1 "$dropin" | grep -q zcram-generator || fail "the drop-in does not say whose it is"
! grep -q RequiresMountsFor "$out/normal/zcram@zcram3.service.d/50-mount.conf" ||
	fail "it waits for /"
line=$(grep RequiresMountsFor "$out/normal/zcram@zcram4.service.d/50-mount.conf")
equal "a path in quotes" "$line" 'RequiresMountsFor="/srv/50%% \"a b\"\\c"'

# what is written back to
system <<-'EOF'
	[zcram0]
	writeback-device = /dev/disk/by-id/a-b
	[zcram1]
	writeback = /var/lib/my zcram/file
	[zcram2]
	writeback = nbds://host/export
	[zcram3]
	writeback = /file
EOF
sed -i 's/my zcram/my%zcram/' "$root/etc/zcram.conf"
generate
makes $swap/zcram@zcram{0,1,2,3}.service normal/zcram@zcram{0,1,2,3}.service.d/60-writeback.conf
while read -r number line; do
	grep -qxF "$line" "$out/normal/zcram@zcram$number.service.d/60-writeback.conf" ||
		fail "the drop-in of zcram$number has no $line"
done <<-'EOF'
	0 BindsTo=dev-disk-by\x2did-a\x2db.device
	0 After=dev-disk-by\x2did-a\x2db.device
	0 DeviceAllow=/dev/disk/by-id/a-b rw
	0 SourcePath=/etc/zcram.conf
	1 RequiresMountsFor="/var/lib/my%%zcram"
	1 ReadWritePaths="/var/lib/my%%zcram"
	2 IPAddressDeny=
	2 RestrictAddressFamilies=AF_INET AF_INET6
	3 ReadWritePaths="/"
EOF

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
