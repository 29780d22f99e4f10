/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/os.h"
#include "daemon/report.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define OOM_SCORE_ADJ "/proc/self/oom_score_adj"

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

void protect_self(bool urgent)
{
	int r;

	/* Without MCL_ONFAULT all that libraries reserve would be filled with memory. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		report(LOG_WARNING, "memory is not locked: %m: it takes CAP_IPC_LOCK");
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		report(LOG_WARNING, "not marked PR_SET_IO_FLUSHER: %m: it takes CAP_SYS_RESOURCE");
	r = write_text(OOM_SCORE_ADJ, "-1000");
	if (r < 0)
		report(LOG_WARNING,
		       "the OOM killer may take zcramd and its server: %s: %s: it takes "
		       "CAP_SYS_RESOURCE",
		       OOM_SCORE_ADJ, strerror(-r));
	r = urgent ? os_thread_urgent(true) : 0;
	if (r < 0)
		report(LOG_WARNING,
		       "zcramd has no real-time policy: %s: it takes CAP_SYS_NICE or ulimit -r 1",
		       strerror(-r));
}

/* The first character of a small file below ROOT; '\0': it cannot be read. */
static char read_first(const char *root, const char *path)
{
	char full[PATH_MAX], first = '\0';
	int fd;

	if (snprintf(full, sizeof(full), "%s%s", root ? root : "", path) >= (int)sizeof(full))
		return '\0';
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return '\0';
	if (read(fd, &first, 1) != 1)
		first = '\0';
	close(fd);
	return first;
}

void protect_advise(const char *root)
{
	char boost = read_first(root, "/proc/sys/vm/watermark_boost_factor");

	if (read_first(root, "/sys/module/zswap/parameters/enabled") == 'Y')
		report(LOG_WARNING, "zswap is on: pages are compressed twice; turn it off: "
				    "echo N >/sys/module/zswap/parameters/enabled");
	if (boost >= '1' && boost <= '9')
		report(LOG_INFO,
		       "vm.watermark_boost_factor is not 0: the kernel keeps more memory from the "
		       "server just when it is short: sysctl vm.watermark_boost_factor=0");
}
