#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the units are as systemd wants them, as hardened as they were, and a section with a
# mount point is mounted where all see it.
. "$(dirname "$0")/lib.sh"

command -v systemd-analyze >/dev/null || exit 77
system <<-EOF
	[zcram0]
	[zcram1]
	mount-point = /srv/x
	[zcram2]
	writeback = nbd://host
	[zcram3]
	writeback = /var/lib/zcram/file
EOF
generate
mkdir "${tmp:?}/sbin"
printf '#!/bin/sh\n' >"${tmp:?}/sbin/zcramd"
chmod +x "${tmp:?}/sbin/zcramd"
unit=$out/normal/zcram@.service
sed "s,^ExecStart=[^ ]*,ExecStart=$tmp/sbin/zcramd," "$ZCRAM_UNIT" >"$unit"
ln -sf "$unit" "$out/normal/swap.target.wants/zcram@zcram0.service"
ln -sf "$unit" "$out/normal/swap.target.wants/zcram@zcram3.service"
ln -sf "$unit" "$out/normal/remote-fs.target.wants/zcram@zcram2.service"
ln -sf "$unit" "$out/normal/local-fs.target.wants/zcram@zcram1.service"
# The units that it has to do with are the host's.
export SYSTEMD_UNIT_PATH=$out/normal:

for name in zcram0 zcram1 zcram2 zcram3; do
	systemd-analyze verify --man=no "zcram@$name.service" >"$tmp/verify" 2>&1 ||
		fail "zcram@$name.service: $(cat "$tmp/verify")"
	equal "what systemd says of $name" "$(cat "$tmp/verify")" ""
done

# The lower the better; it may not get worse unnoticed. 0.2 of it is pidfd_getfd(2), a debugger's to systemd.
systemd-analyze security --offline=true --threshold=25 "$unit" >"$tmp/security" ||
	fail "$(tail -n 1 "$tmp/security")"
grep Overall "$tmp/security"

# Each of these gives a service a view of its own of the file systems, or keeps it from mounting.
own='Private(Devices|Mounts|Tmp|Users|Network|IPC)|ProtectControlGroups|ProtectHome'
own+='|ProtectKernel[A-Z][a-z]*|ProtectProc|ProtectSystem|ProcSubset|MountAPIVFS|MountFlags'
own+='|(Bind|BindReadOnly|Exec|NoExec|Inaccessible|ReadOnly|ReadWrite)Paths|TemporaryFileSystem'
own+='|Root[A-Z][A-Za-z]*|LogNamespace|DynamicUser|(State|Cache|Logs)Directory'
dropin=$out/normal/zcram@zcram1.service.d/50-mount.conf
grep -oE "^($own)=" "$ZCRAM_UNIT" | sort -u >"$tmp/settings"
[ "$(wc -l <"$tmp/settings")" -ge 8 ] || fail "not hardened: $(cat "$tmp/settings")"
while read -r setting; do
	grep -qE "^$setting(no|default|)$" "$dropin" || fail "the drop-in does not undo $setting"
done <"$tmp/settings"

# what swap needs
for line in Type=notify DefaultDependencies=no KillMode=process SendSIGKILL=no \
	TimeoutStopSec=infinity Restart=on-abnormal RestartKillSignal=SIGUSR2 RuntimeDirectoryPreserve=yes \
	OOMScoreAdjust=-1000 OOMPolicy=continue \
	ManagedOOMPreference=omit MemorySwapMax=0 LimitMEMLOCK=infinity LimitCORE=0 \
	Conflicts=umount.target Before=umount.target; do
	grep -qxF "$line" "$ZCRAM_UNIT" || fail "the template has no $line"
done
# Nothing but the generator may put it before swap: one that needs the network must not be.
! grep -E '^Memory(High|Max)=|^PrivateTmp=|^Before=swap' "$ZCRAM_UNIT" || fail "the template must not have that"
