/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/report.h"
#include "daemon/why.h"

static const char *const names[RUNDIR_FILES] = {
	[RUNDIR_LOCK] = "lock",	  [RUNDIR_NBD] = "nbd.sock",  [RUNDIR_CONTROL] = "control",
	[RUNDIR_LOG] = "log",	  [RUNDIR_PID] = "pid",	      [RUNDIR_SERVER] = "server",
	[RUNDIR_READY] = "ready", [RUNDIR_ZCRAMD] = "zcramd",
};

static const char *base(void)
{
	const char *directory = getenv("ZCRAM_RUN_DIR");

	return directory != NULL && *directory != '\0' ? directory : "/run/zcram";
}

int rundir_init(struct rundir *dir, const char *name, char **why)
{
	int len;

	*dir = (struct rundir){.lock = -1};
	len = snprintf(dir->path, sizeof(dir->path), "%s/%s", base(), name);
	for (int i = 0; i < RUNDIR_FILES && len < (int)sizeof(dir->path); i++)
		len = snprintf(dir->files[i], sizeof(dir->files[i]), "%s/%s/%s", base(), name,
			       names[i]);
	if (len >= RUNDIR_PATH_SIZE)
		return say_why(why, -ENAMETOOLONG,
			       "%s: too long: a socket's path has at most %d "
			       "bytes",
			       base(), RUNDIR_PATH_SIZE - 1);
	return 0;
}

/* One directory, for its owner alone. One that is there must be so, too: secrets go through it. */
static int make_directory(const char *path, char **why)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return say_why(why, -errno, "%s: cannot be made: %m", path);
	if (lstat(path, &st) < 0)
		return say_why(why, -errno, "%s: %m", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return say_why(why, -ENOTDIR,
			       "%s: not a directory that only its owner, uid %d, can write to",
			       path, (int)geteuid());
	return 0;
}

/* Is FD still the file at PATH? Its last holder may have removed it as we waited for the lock. */
static bool is_current(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
	       ours.st_dev == there.st_dev;
}

static int say_locked(int fd, char **why)
{
	char pid[16] = "";
	ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[len > 0 ? len : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	return say_why(why, -EEXIST, "already running, pid %s", *pid ? pid : "unknown");
}

static int write_pid(int fd, const char *path, char **why)
{
	char pid[16];
	int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	ssize_t r;

	if (ftruncate(fd, 0) < 0)
		return say_why(why, -errno, "%s: %m", path);
	r = pwrite(fd, pid, (size_t)len, 0);
	if (r != len)
		return say_why(why, r < 0 ? -errno : -ENOSPC, "%s: cannot be written: %s", path,
			       strerror(r < 0 ? errno : ENOSPC));
	return 0;
}

/* Once: 0: locked; -EAGAIN: the file went away meanwhile. */
static int try_lock(struct rundir *dir, char **why)
{
	const char *path = dir->files[RUNDIR_LOCK];
	int fd, r = 0;

	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == ENOENT)
		return -EAGAIN;
	if (fd < 0)
		return say_why(why, -errno, "%s: cannot be made: %m", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? say_locked(fd, why)
					 : say_why(why, -errno, "%s: %m", path);
	else if (!is_current(fd, path))
		r = -EAGAIN;
	else if ((r = write_pid(fd, path, why)) < 0)
		unlink(path);
	if (r < 0) {
		close(fd);
		return r;
	}
	dir->lock = fd;
	return 0;
}

int rundir_lock(struct rundir *dir, char **why)
{
	int r;

	do {
		r = make_directory(base(), why);
		if (r == 0)
			r = make_directory(dir->path, why);
		if (r == 0)
			r = try_lock(dir, why);
	} while (r == -EAGAIN);
	/* Ours if it is empty: another zcramd's has a lock in it. */
	if (r < 0)
		rmdir(dir->path);
	return r;
}

int rundir_make(const struct rundir *dir, enum rundir_file file)
{
	int fd = open(dir->files[file], O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int rundir_remove(const struct rundir *dir, enum rundir_file file)
{
	return unlink(dir->files[file]) < 0 && errno != ENOENT ? -errno : 0;
}

int rundir_unlock(struct rundir *dir)
{
	int r;

	/* Whoever finds the lock gone makes a new one. */
	r = rundir_remove(dir, RUNDIR_LOCK);
	/* A directory with something in it belongs to a server that is not ours. */
	if (r == 0 && rmdir(dir->path) < 0 && errno != ENOTEMPTY)
		r = -errno;
	if (r < 0)
		report(LOG_WARNING, "%s: cannot be removed: %s", dir->path, strerror(-r));
	close(dir->lock);
	dir->lock = -1;
	return r;
}
