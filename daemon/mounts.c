/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/report.h"

void mounts_keep(void)
{
	int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	if (r == 0)
		r = sd_pid_notify_with_fds(0, false, "FDSTORE=1\nFDNAME=mounts", &fd, 1);
	if (r < 0)
		report(LOG_WARNING,
		       "the mount namespace cannot be kept: %s: swap may be shown by another name "
		       "when zcramd and its server have been followed by others",
		       strerror(-r));
	if (fd >= 0)
		close(fd);
}

void mounts_kept(void)
{
	/* Sets close-on-exec, and takes them out of the environment. */
	sd_listen_fds(true);
}
