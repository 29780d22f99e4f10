/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/dropin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/unit.h"

#define FILE_NAME "50-zcram.conf"

/* "ROOT/run/systemd/system/UNIT.d", malloc'd; NULL: no memory. */
static char *directory_of(const char *root, const char *path, const char *suffix)
{
	char *unit = unit_of_path(path, suffix);
	char *directory = NULL;

	if (unit != NULL &&
	    asprintf(&directory, "%s/run/systemd/system/%s.d", root == NULL ? "" : root, unit) < 0)
		directory = NULL;
	free(unit);
	return directory;
}

/* systemd reads it when it makes the unit, so it must be whole then: the caller comes later. */
static int write_file(const char *directory, const char *text)
{
	char *file;
	ssize_t written;
	int fd, r = 0;

	if (asprintf(&file, "%s/" FILE_NAME, directory) < 0)
		return -ENOMEM;
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	free(file);
	if (fd < 0)
		return -errno;
	/* Whatever our umask is: there is no secret in it, and systemctl shows it to all. */
	written = fchmod(fd, 0644) < 0 ? -1 : write(fd, text, strlen(text));
	if (written != (ssize_t)strlen(text))
		r = written < 0 ? -errno : -ENOSPC;
	close(fd);
	return r;
}

static int add(const char *directory, const char *text)
{
	if (mkdir(directory, 0755) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	if (chmod(directory, 0755) < 0)
		return -errno;
	return write_file(directory, text);
}

static int add_text(const char *root, const char *path, const char *suffix, const char *more,
		    const char *name)
{
	char *directory = directory_of(root, path, suffix);
	char text[512];
	int r;

	if (directory == NULL)
		return -ENOMEM;
	snprintf(text, sizeof(text), "# Made by zcramd.\n[Unit]\n%sAfter=zcram@%s.service\n", more,
		 name);
	r = add(directory, text);
	free(directory);
	return r;
}

int dropin_add_swap(const char *root, const char *name, const char *path)
{
	return add_text(root, path, "swap", "DefaultDependencies=no\n", name);
}

int dropin_add_mount(const char *root, const char *name, const char *path)
{
	return add_text(root, path, "mount", "", name);
}

static void remove_files(const char *root, const char *path, const char *suffix)
{
	char *directory = directory_of(root, path, suffix);
	char *file;

	if (directory != NULL && asprintf(&file, "%s/" FILE_NAME, directory) >= 0) {
		unlink(file);
		free(file);
		/* Not if somebody else has put a file there. */
		rmdir(directory);
	}
	free(directory);
}

void dropin_remove_swap(const char *root, const char *path)
{
	remove_files(root, path, "swap");
}

void dropin_remove_mount(const char *root, const char *path)
{
	remove_files(root, path, "mount");
}
