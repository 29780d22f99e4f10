/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/internal.h"

int attach_why(char **why, int r, const char *format, ...)
{
	va_list args;

	if (*why != NULL)
		return r;
	va_start(args, format);
	if (vasprintf(why, format, args) < 0)
		*why = NULL;
	va_end(args);
	return r;
}

int attach_path(const char *root, char buf[ATTACH_PATH_SIZE], const char *path)
{
	int len = snprintf(buf, ATTACH_PATH_SIZE, "%s%s", root ? root : "", path);

	return len < ATTACH_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

int attach_read_line(const char *root, const char *path, char *buf, size_t size)
{
	char full[ATTACH_PATH_SIZE];
	ssize_t len;
	char *end;
	int fd, r;

	r = attach_path(root, full, path);
	if (r < 0)
		return r;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, buf, size);
	r = len < 0 ? -errno : 0;
	close(fd);
	if (r < 0)
		return r;
	end = memchr(buf, '\n', (size_t)len);
	if (end == NULL && (size_t)len == size)
		return -ENOSPC;
	*(end ? end : buf + len) = '\0';
	return 0;
}

/* One attribute of device INDEX, to BUF. */
static int read_attribute(const char *root, int index, const char *name, char *buf, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/block/nbd%d/%s", index, name);
	return attach_read_line(root, path, buf, size);
}

int attach_identifier(const char *root, int index, char *buf, size_t size)
{
	char line[ATTACH_IDENTIFIER_SIZE + 1];
	int r;

	r = read_attribute(root, index, "backend", line, sizeof(line));
	if (r < 0)
		return r;
	if (*line == '\0')
		return -ENOENT;
	if (strlen(line) >= size)
		return -ENOSPC;
	strcpy(buf, line);
	return 0;
}

int attach_size(const char *root, int index, uint64_t *ret_size)
{
	char line[32], *end;
	uint64_t sectors;
	int r;

	r = read_attribute(root, index, "size", line, sizeof(line));
	if (r < 0)
		return r == -ENOENT ? -ENODEV : r;
	errno = 0;
	sectors = strtoull(line, &end, 10);
	if (errno != 0 || end == line || *end != '\0' || sectors > UINT64_MAX / 512)
		return -EPROTO;
	*ret_size = sectors * 512;
	return 0;
}

/* The number of a directory entry "nbdN"; -1 when it is something else. */
static int index_of(const char *name)
{
	long index;
	char *end;

	if (strncmp(name, "nbd", 3) != 0 || name[3] < '0' || name[3] > '9')
		return -1;
	index = strtol(name + 3, &end, 10);
	return *end == '\0' && index <= INT_MAX ? (int)index : -1;
}

static int compare_indexes(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool has_prefix(const char *root, int index, const char *prefix)
{
	char identifier[ATTACH_IDENTIFIER_SIZE];

	/* What cannot be read, or is longer, is none of ours. */
	return attach_identifier(root, index, identifier, sizeof(identifier)) == 0 &&
	       strncmp(identifier, prefix, strlen(prefix)) == 0;
}

/* Add the devices of DIR; a missing entry in the midst of it has just gone. */
static int collect(const char *root, const char *prefix, DIR *dir, int **indexes, size_t *count)
{
	const struct dirent *entry;

	while (errno = 0, (entry = readdir(dir)) != NULL) {
		int index = index_of(entry->d_name);
		int *more;

		if (index < 0 || !has_prefix(root, index, prefix))
			continue;
		more = reallocarray(*indexes, *count + 1, sizeof(**indexes));
		if (more == NULL)
			return -ENOMEM;
		more[(*count)++] = index;
		*indexes = more;
	}
	return -errno;
}

int attach_list(const char *root, const char *prefix, int **ret_indexes, size_t *ret_count)
{
	char path[ATTACH_PATH_SIZE];
	int *indexes = NULL;
	size_t count = 0;
	DIR *dir;
	int r;

	r = attach_path(root, path, "/sys/block");
	if (r < 0)
		return r;
	dir = opendir(path);
	if (dir == NULL)
		return -errno;
	r = collect(root, prefix, dir, &indexes, &count);
	closedir(dir);
	if (r < 0) {
		free(indexes);
		return r;
	}
	if (count > 0)
		qsort(indexes, count, sizeof(*indexes), compare_indexes);
	*ret_indexes = indexes;
	*ret_count = count;
	return 0;
}

int attach_find(const char *root, const char *identifier, int *ret_index)
{
	char other[ATTACH_IDENTIFIER_SIZE];
	int *indexes;
	size_t count;
	int r;

	r = attach_list(root, identifier, &indexes, &count);
	if (r < 0)
		return r;
	r = -ENOENT;
	for (size_t i = 0; i < count && r < 0; i++) {
		if (attach_identifier(root, indexes[i], other, sizeof(other)) == 0 &&
		    strcmp(other, identifier) == 0) {
			*ret_index = indexes[i];
			r = 0;
		}
	}
	free(indexes);
	return r;
}
