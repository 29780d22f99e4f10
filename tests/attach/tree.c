/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/attach/tree.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/check.h"

int tree_setup(void **state)
{
	char *path = strdup("/tmp/zcram-tree.XXXXXX");

	CHECK(path != NULL && mkdtemp(path) != NULL, "no directory");
	*state = path;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int tree_teardown(void **state)
{
	nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

void tree_directory(const char *root, const char *path)
{
	char full[1024];

	CHECK(snprintf(full, sizeof(full), "%s%s", root, path) < (int)sizeof(full), "%s", path);
	for (char *at = strchr(full + strlen(root) + 1, '/'); at != NULL;
	     at = strchr(at + 1, '/')) {
		*at = '\0';
		CHECK(mkdir(full, 0700) == 0 || errno == EEXIST, "%s", full);
		*at = '/';
	}
	CHECK(mkdir(full, 0700) == 0 || errno == EEXIST, "%s", full);
}

void tree_file(const char *root, const char *path, const char *content)
{
	char above[1024], full[1024];
	FILE *file;

	snprintf(above, sizeof(above), "%s", path);
	*strrchr(above, '/') = '\0';
	tree_directory(root, above);
	CHECK(snprintf(full, sizeof(full), "%s%s", root, path) < (int)sizeof(full), "%s", path);
	file = fopen(full, "w");
	CHECK(file != NULL && fputs(content, file) >= 0 && fclose(file) == 0, "%s", full);
}
