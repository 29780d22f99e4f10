/* SPDX-License-Identifier: BSD-3-Clause */
/* Which devices the files name, whatever else stands in them. */
#include "config/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-internal.h"

#define NAME_SIZE sizeof(((struct conf_device *)NULL)->name)

struct names {
	char **names;
	size_t count;
	int error;
};

/* The number of a device's name decides the order. */
static int compare(const void *a, const void *b)
{
	const char *left = *(char *const *)a, *right = *(char *const *)b;
	size_t left_len = strlen(left), right_len = strlen(right);

	if (left_len != right_len)
		return left_len < right_len ? -1 : 1;
	return strcmp(left, right);
}

static void add(struct names *names, const char *name)
{
	char **grown;

	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->names[i], name) == 0)
			return;
	grown = reallocarray(names->names, names->count + 2, sizeof(*grown));
	if (grown == NULL) {
		names->error = -ENOMEM;
		return;
	}
	names->names = grown;
	grown[names->count] = strdup(name);
	if (grown[names->count] == NULL)
		names->error = -ENOMEM;
	else
		grown[++names->count] = NULL;
}

static void on_section(void *user, unsigned int line, const char *name)
{
	char device[NAME_SIZE];
	bool other_spelling = name != NULL && strncmp(name, "zram", 4) == 0; /* [zramN] */
	int len;

	(void)line;
	if (name == NULL)
		return;
	len = snprintf(device, sizeof(device), "%s%s", other_spelling ? "zcram" : "",
		       other_spelling ? name + 4 : name);
	if (len < (int)sizeof(device) && conf_is_name(device))
		add(user, device);
}

static void on_setting(void *user, unsigned int line, const char *key, const char *value)
{
	(void)user, (void)line, (void)key, (void)value;
}

static void on_error(void *user, unsigned int line, const char *why)
{
	(void)user, (void)line, (void)why;
}

static int scan_file(struct names *names, const char *root, const char *path,
		     struct conf_errors *errors)
{
	const struct conf_ini ini = {
		.section = on_section, .setting = on_setting, .error = on_error, .user = names};
	size_t len;
	char *text;
	int r = conf_file_read(root, path, &text, &len, errors);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	conf_ini_parse(text, len, &ini);
	free(text);
	return names->error;
}

int conf_names(const char *root, char ***ret_names)
{
	struct names names = {.names = calloc(1, sizeof(*names.names))};
	struct conf_errors errors = {0};
	struct conf_files files = {0};
	int r = -ENOMEM;

	if (root == NULL)
		root = "";
	if (names.names != NULL)
		r = conf_files_find(root, &files, &errors);
	if (r != -ENOMEM)
		r = 0;
	for (size_t i = 0; r == 0 && i < files.count; i++)
		r = scan_file(&names, root, files.files[i].path, &errors);
	conf_files_free(&files);
	free(errors.text);
	if (r < 0) {
		conf_free_names(names.names);
		return r;
	}
	qsort(names.names, names.count, sizeof(*names.names), compare);
	*ret_names = names.names;
	return 0;
}

void conf_free_names(char **names)
{
	for (char **name = names; name != NULL && *name != NULL; name++)
		free(*name);
	free(names);
}
