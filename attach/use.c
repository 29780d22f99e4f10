/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libmount/libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/internal.h"

/* Does NAME, such as nbd1p2, name device INDEX or a partition of it? */
static bool is_ours(const char *name, int index)
{
	char disk[32];
	int len = snprintf(disk, sizeof(disk), "nbd%d", index);

	if (strncmp(name, disk, (size_t)len) != 0)
		return false;
	name += len;
	if (*name == '\0')
		return true;
	return *name == 'p' && name[1] != '\0' &&
	       strspn(name + 1, "0123456789") == strlen(name + 1);
}

static bool is_our_path(const char *path, int index)
{
	return path != NULL && strncmp(path, "/dev/", 5) == 0 && is_ours(path + 5, index);
}

/* Append a copy of TEXT. */
static int append(char ***list, size_t *count, const char *text)
{
	char **more, *copy;

	copy = strdup(text);
	more = copy ? reallocarray(*list, *count + 1, sizeof(**list)) : NULL;
	if (more == NULL) {
		free(copy);
		return -ENOMEM;
	}
	more[(*count)++] = copy;
	*list = more;
	return 0;
}

/* Call EACH for every line of one of libmount's tables. */
static int each_line(struct libmnt_table *table, int index, struct attach_use *use,
		     int (*each)(struct libmnt_fs *, int, struct attach_use *))
{
	struct libmnt_iter *at = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int r = 0;

	if (at == NULL)
		return -ENOMEM;
	while (r == 0 && mnt_table_next_fs(table, at, &fs) == 0)
		r = each(fs, index, use);
	mnt_free_iter(at);
	return r;
}

/*
 * A swap device may be shown without /dev, as "/nbd0": its path was looked up in a mount namespace, that of
 * a zcramd which has been followed by another one since, and that has ended (daemon/mounts.h). A swap file
 * of such a name is another thing.
 */
static bool is_our_swap(struct libmnt_fs *fs, int index)
{
	const char *path = mnt_fs_get_source(fs), *type = mnt_fs_get_swaptype(fs);
	char full[ATTACH_PATH_SIZE];

	if (is_our_path(path, index))
		return true;
	if (path == NULL || type == NULL || strcmp(type, "partition") != 0)
		return false;
	return snprintf(full, sizeof(full), "/dev%s", path) < (int)sizeof(full) &&
	       is_our_path(full, index);
}

static int add_swap(struct libmnt_fs *fs, int index, struct attach_use *use)
{
	if (!is_our_swap(fs, index))
		return 0;
	use->swap = true;
	/* libmount has KiB, as /proc/swaps has. */
	use->swap_size += (uint64_t)mnt_fs_get_size(fs) << 10;
	use->swap_used += (uint64_t)mnt_fs_get_usedsize(fs) << 10;
	use->swap_priority = mnt_fs_get_priority(fs);
	return 0;
}

static int read_swaps(const char *root, int index, struct attach_use *use)
{
	struct libmnt_table *table;
	char path[ATTACH_PATH_SIZE];
	int r;

	r = attach_path(root, path, "/proc/swaps");
	if (r < 0)
		return r;
	/* A kernel without swap has no such file. */
	if (access(path, F_OK) < 0)
		return 0;
	table = mnt_new_table();
	if (table == NULL)
		return -ENOMEM;
	r = mnt_table_parse_swaps(table, path);
	if (r == 0)
		r = each_line(table, index, use, add_swap);
	mnt_unref_table(table);
	return r < 0 ? r : 0;
}

/* btrfs has a device number of its own: there, only the name says what it is on. */
static int add_mount(struct libmnt_fs *fs, int index, struct attach_use *use)
{
	if (!is_our_path(mnt_fs_get_source(fs), index))
		return 0;
	return append(&use->mounts, &use->mount_count, mnt_fs_get_target(fs));
}

static int read_mounts(const char *root, int index, struct attach_use *use)
{
	struct libmnt_table *table;
	char path[ATTACH_PATH_SIZE];
	int r;

	r = attach_path(root, path, "/proc/self/mountinfo");
	if (r < 0)
		return r;
	if (access(path, R_OK) < 0)
		return -errno;
	table = mnt_new_table_from_file(path);
	if (table == NULL)
		return -ENOMEM;
	r = each_line(table, index, use, add_mount);
	mnt_unref_table(table);
	return r;
}

/* What stands in one directory of holders; a partition may go while we look. */
static int read_holders_of(const char *root, const char *device, struct attach_use *use)
{
	char path[ATTACH_PATH_SIZE];
	const struct dirent *entry;
	int r;
	DIR *dir;

	r = attach_path(root, path, device);
	if (r == 0 && strlen(path) + sizeof("/holders") > sizeof(path))
		r = -ENAMETOOLONG;
	if (r < 0)
		return r;
	strcat(path, "/holders");
	dir = opendir(path);
	if (dir == NULL)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			r = append(&use->holders, &use->holder_count, entry->d_name);
	}
	closedir(dir);
	return r;
}

static int read_holders(const char *root, int index, struct attach_use *use)
{
	char disk[64], path[ATTACH_PATH_SIZE];
	const struct dirent *entry;
	DIR *dir;
	int r;

	snprintf(disk, sizeof(disk), "/sys/block/nbd%d", index);
	r = attach_path(root, path, disk);
	if (r < 0)
		return r;
	dir = opendir(path);
	if (dir == NULL)
		return errno == ENOENT ? -ENODEV : -errno;
	r = read_holders_of(root, disk, use);
	/* Partitions are directories in the disk's. */
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		char part[sizeof(disk) + sizeof(entry->d_name) + 1];

		if (!is_ours(entry->d_name, index))
			continue;
		snprintf(part, sizeof(part), "%s/%s", disk, entry->d_name);
		r = read_holders_of(root, part, use);
	}
	closedir(dir);
	return r;
}

static void read_pid(const char *root, int index, struct attach_use *use)
{
	char path[64], line[32];

	snprintf(path, sizeof(path), "/sys/block/nbd%d/pid", index);
	/* There is none while it is not attached. */
	if (attach_read_line(root, path, line, sizeof(line)) == 0)
		use->pid = (pid_t)strtol(line, NULL, 10);
}

/* The kernel lets one user at a time open a block device exclusively; mounts and swap do. */
static bool is_claimed(int index)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}

int attach_use(const char *root, int index, struct attach_use *ret_use)
{
	struct attach_use use = {0};
	int r;

	r = read_holders(root, index, &use);
	if (r == 0)
		r = read_swaps(root, index, &use);
	if (r == 0)
		r = read_mounts(root, index, &use);
	if (r < 0) {
		attach_use_free(&use);
		return r;
	}
	read_pid(root, index, &use);
	/* Opening a device that is not attached would keep others from attaching it meanwhile. */
	if (root == NULL && use.pid != 0)
		use.claimed = is_claimed(index);
	*ret_use = use;
	return 0;
}

bool attach_is_used(const struct attach_use *use)
{
	return use->swap || use->mount_count > 0 || use->holder_count > 0 || use->claimed;
}

static void free_list(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void attach_use_free(struct attach_use *use)
{
	free_list(use->mounts, use->mount_count);
	free_list(use->holders, use->holder_count);
	*use = (struct attach_use){0};
}

char *attach_use_describe(const struct attach_use *use)
{
	char *text = NULL;
	int len;

	if (use->swap)
		len = asprintf(&text, "as swap (%.1fM in it)", (double)use->swap_used / (1 << 20));
	else if (use->mount_count > 0)
		len = asprintf(&text, "mounted on %s", use->mounts[0]);
	else if (use->holder_count > 0)
		len = asprintf(&text, "by %s", use->holders[0]);
	else if (use->claimed)
		len = asprintf(&text, "by somebody else, perhaps in another mount namespace");
	else
		len = asprintf(&text, "by nobody");
	return len < 0 ? NULL : text;
}
