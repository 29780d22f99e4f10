/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files count, in which order, and what is in them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/util.h"
#include "config/conf-internal.h"

#define MAIN_FILE "zcram.conf"
#define SUFFIX	  ".conf"

/* What is in an earlier one hides what is in a later one. */
static const char *const directories[] = {"/etc", "/run", "/usr/local/lib", "/usr/lib"};

static int refuse_file(struct conf_errors *errors, const char *path, int error)
{
	conf_error(errors, error, "%s: cannot be read: %s", path, strerror(-error));
	return error;
}

/* Takes PATH, in any case. */
static int add_file(struct conf_files *files, const char *name, char *path)
{
	struct conf_file *grown;
	char *copy = strdup(name);

	grown = reallocarray(files->files, files->count + 1, sizeof(*grown));
	if (grown != NULL)
		files->files = grown;
	if (grown == NULL || copy == NULL || path == NULL) {
		free(copy);
		free(path);
		return -ENOMEM;
	}
	files->files[files->count++] = (struct conf_file){.name = copy, .path = path};
	return 0;
}

static bool has_file(const struct conf_files *files, const char *name)
{
	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->files[i].name, name) == 0)
			return true;
	return false;
}

static char *join(const char *a, const char *b, const char *c)
{
	char *path;

	return asprintf(&path, "%s%s%s", a, b, c) < 0 ? NULL : path;
}

static int find_main(const char *root, struct conf_files *files, struct conf_errors *errors)
{
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		char *path = join(directories[i], "/", MAIN_FILE);
		char *full = path == NULL ? NULL : join(root, path, "");
		struct stat st;
		int r = -ENOMEM;

		/* A link that leads nowhere is a file that cannot be read, not one less. */
		if (full != NULL)
			r = lstat(full, &st) < 0 ? -errno : 0;
		free(full);
		if (r == 0)
			return add_file(files, "", path);
		if (r != -ENOMEM && r != -ENOENT && r != -ENOTDIR)
			refuse_file(errors, path, r);
		free(path);
		if (r != -ENOENT && r != -ENOTDIR)
			return r;
	}
	return 0;
}

static bool is_conf_name(const char *name)
{
	size_t len = strlen(name);
	size_t suffix = sizeof(SUFFIX) - 1;

	return name[0] != '.' && len > suffix && strcmp(name + len - suffix, SUFFIX) == 0;
}

static int scan(DIR *dir, const char *path, struct conf_files *files)
{
	struct dirent *entry;
	int r = 0;

	errno = 0;
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		if (is_conf_name(entry->d_name) && !has_file(files, entry->d_name))
			r = add_file(files, entry->d_name, join(path, "/", entry->d_name));
		errno = 0;
	}
	return r < 0 ? r : -errno;
}

static int scan_directory(const char *root, const char *path, struct conf_files *files,
			  struct conf_errors *errors)
{
	char *full = join(root, path, "");
	DIR *dir;
	int r;

	if (full == NULL)
		return -ENOMEM;
	dir = opendir(full);
	r = dir == NULL ? -errno : scan(dir, path, files);
	if (dir != NULL)
		closedir(dir);
	free(full);
	if (r == -ENOENT)
		return 0;
	if (r < 0 && r != -ENOMEM)
		refuse_file(errors, path, r);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	const struct conf_file *first = a, *second = b;

	return strcmp(first->name, second->name);
}

int conf_files_find(const char *root, struct conf_files *files, struct conf_errors *errors)
{
	int r = find_main(root, files, errors);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(directories); i++) {
		char *path = join(directories[i], "/", MAIN_FILE ".d");

		r = path == NULL ? -ENOMEM : scan_directory(root, path, files, errors);
		free(path);
	}
	if (r == 0 && files->count > 0)
		qsort(files->files, files->count, sizeof(*files->files), compare_names);
	return r;
}

void conf_files_free(struct conf_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->files[i].name);
		free(files->files[i].path);
	}
	free(files->files);
}

static int read_all(int fd, char *text, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, text + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

/* 1: there is something to read; 0: the file is hidden by a link to /dev/null; or an errno. */
static int check_file(int fd, const char *path, struct conf_errors *errors)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse_file(errors, path, -errno);
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
		return 0;
	if (S_ISREG(st.st_mode))
		return 1;
	conf_error(errors, -EINVAL, "%s: not a file: give a regular file, or a link to /dev/null",
		   path);
	return -EINVAL;
}

/* One byte more is asked for than a file may have, to see that it has not. */
static int read_file(int fd, const char *path, char *text, size_t *ret_len,
		     struct conf_errors *errors)
{
	size_t len = 0;
	int r;

	r = check_file(fd, path, errors);
	if (r < 0)
		return r;
	if (r > 0) {
		r = read_all(fd, text, CONF_FILE_MAX + 1, &len);
		if (r < 0)
			return refuse_file(errors, path, r);
	}
	if (len > CONF_FILE_MAX) {
		conf_error(errors, -EFBIG, "%s: too large: give at most %d bytes", path,
			   CONF_FILE_MAX);
		return -EFBIG;
	}
	text[len] = '\0';
	*ret_len = len;
	return 0;
}

int conf_file_read(const char *root, const char *path, char **ret_text, size_t *ret_len,
		   struct conf_errors *errors)
{
	char *full = join(root, path, "");
	char *text = malloc(CONF_FILE_MAX + 1);
	int fd, r;

	if (full == NULL || text == NULL) {
		r = -ENOMEM;
		goto out;
	}
	/* Without O_NONBLOCK, a named pipe would wait for someone to write into it. */
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		r = refuse_file(errors, path, -errno);
		goto out;
	}
	r = read_file(fd, path, text, ret_len, errors);
	close(fd);
out:
	free(full);
	if (r == 0)
		*ret_text = text;
	else
		free(text);
	return r;
}
