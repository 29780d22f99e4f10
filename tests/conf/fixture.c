/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/conf/fixture.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[PATH_MAX];
static struct conf *conf;
static char *why;

struct conf_host fixture_host;

int fixture_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	fixture_host = (struct conf_host){.ram = FIXTURE_RAM, .cpus = 2};
	snprintf(root, sizeof(root), "%s/zcram-conf-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	return mkdtemp(root) == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int fixture_teardown(void **state)
{
	conf_free(conf);
	conf = NULL;
	free(why);
	why = NULL;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_root(void)
{
	return root;
}

const char *fixture_path(const char *path)
{
	static char full[2 * PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return full;
}

/* The full path of a file that there is to be, whose directories there are now. */
static const char *make_path(const char *path)
{
	char *full = (char *)fixture_path(path);

	for (char *at = strchr(full + strlen(root) + 1, '/'); at != NULL;
	     at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(full, 0755) < 0 && errno != EEXIST)
			fail_msg("%s: %s", full, strerror(errno));
		*at = '/';
	}
	/* What there was is replaced, not written through a link. */
	unlink(full);
	return full;
}

void put_bytes(const char *path, const void *data, size_t len)
{
	FILE *file = fopen(make_path(path), "we");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

void put_link(const char *path, const char *target)
{
	assert_int_equal(symlink(target, make_path(path)), 0);
}

const struct conf *loaded(void)
{
	char *wrong = NULL;

	conf_free(conf);
	conf = NULL;
	if (conf_load(root, &fixture_host, &conf, &wrong) != 0)
		fail_msg("refused: %s", wrong);
	assert_null(wrong);
	return conf;
}

const struct conf_device *loaded_device(const char *name)
{
	const struct conf_device *device = conf_find(loaded(), name);

	assert_non_null(device);
	return device;
}

const char *refusal(int error)
{
	struct conf *none = NULL;

	free(why);
	why = NULL;
	assert_int_equal(conf_load(root, &fixture_host, &none, &why), error);
	assert_null(none);
	assert_non_null(why);
	return why;
}

void assert_refused(const char *text, const char *part)
{
	const char *line;

	put("/etc/zcram.conf", text);
	line = refusal(-EINVAL);
	if (strstr(line, part) == NULL || strchr(line, '\n') != NULL ||
	    strncmp(line, "/etc/zcram.conf:", 16) != 0)
		fail_msg("%s\nis refused with: %s\nnot with one line that has: %s", text, line,
			 part);
}
