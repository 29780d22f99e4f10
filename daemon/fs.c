/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/child.h"
#include "daemon/report.h"
#include "daemon/why.h"
#include "daemon/zcramd.h"

int fs_format(struct zcramd *z, char **why)
{
	char program[64];
	const char *argv[] = {program, z->path, NULL};

	snprintf(program, sizeof(program), "mkfs.%s", z->device->fs_type);
	return child_run(&z->loop, argv, true, why);
}

/* Make PATH, which is absolute, and what is above it. */
static int make_directories(const char *path)
{
	char part[4096];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int make_and_mount(struct zcramd *z, char **why)
{
	const struct conf_device *device = z->device;
	const char *argv[8] = {"mount", "-t", device->fs_type};
	size_t n = 3;
	int r;

	r = make_directories(device->mount_point);
	if (r < 0)
		return say_why(why, r, "%s: cannot be made: %s", device->mount_point, strerror(-r));
	if (*device->options != '\0') {
		argv[n++] = "-o";
		argv[n++] = device->options;
	}
	argv[n++] = z->path;
	argv[n] = device->mount_point;
	return child_run(&z->loop, argv, true, why);
}

int fs_mount(struct zcramd *z, char **why)
{
	int r;

	if (z->device->mount_point == NULL)
		return 0;
	r = make_and_mount(z, why);
	/* The unit of a device that is swap has a file system that is read only, and no mounting. */
	if (r < 0 && getenv("NOTIFY_SOCKET") != NULL)
		report(LOG_NOTICE,
		       "if the configuration has changed since systemd has read it, run "
		       "systemctl daemon-reload");
	return r;
}

int fs_unmount(struct zcramd *z, const char *mount_point, bool lazy, char **why)
{
	const char *argv[4] = {"umount"};
	size_t n = 1;

	if (lazy)
		argv[n++] = "--lazy";
	argv[n] = mount_point;
	return child_run(&z->loop, argv, false, why);
}
