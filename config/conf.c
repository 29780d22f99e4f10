/* SPDX-License-Identifier: BSD-3-Clause */
/* Read the files, collect what is said, and have it resolved; or say all that is wrong. */
#include "config/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-internal.h"

#define MAX_ERRORS 20

/* While a file is being read. */
struct loading {
	struct conf *conf;
	const struct conf_host *host;
	struct conf_errors *errors;
	const char *file;
	const char *section_name;     /* as it was written; NULL: no section yet */
	struct conf_section *section; /* NULL: none yet, or one whose settings are passed over */
	struct conf_device scratch;   /* what values are tried on */
};

void *conf_keep(struct conf *conf, void *memory)
{
	void **grown = conf->kept;
	size_t count = conf->kept_count;

	/* Grown to the next power of 2 whenever it is one. */
	if (memory != NULL && (count & (count - 1)) == 0)
		grown = reallocarray(conf->kept, count == 0 ? 1 : 2 * count, sizeof(*grown));
	if (memory == NULL || grown == NULL) {
		free(memory);
		return NULL;
	}
	conf->kept = grown;
	conf->kept[conf->kept_count++] = memory;
	return memory;
}

char *conf_keep_text(struct conf *conf, const char *text)
{
	return conf_keep(conf, strdup(text));
}

static void add_line(struct conf_errors *errors, char *line)
{
	char *text;

	if (errors->text == NULL) {
		errors->text = line;
		return;
	}
	if (line == NULL || asprintf(&text, "%s\n%s", errors->text, line) < 0)
		text = NULL;
	free(line);
	free(errors->text);
	errors->text = text;
}

void conf_error(struct conf_errors *errors, int error, const char *format, ...)
{
	va_list args;
	char *line;
	int r;

	if (errors->error == 0 || error == -ENOMEM)
		errors->error = error;
	if (error == -ENOMEM || errors->count++ >= MAX_ERRORS)
		return;
	va_start(args, format);
	r = vasprintf(&line, format, args);
	va_end(args);
	if (r < 0)
		errors->error = -ENOMEM;
	else
		add_line(errors, line);
}

void conf_setting_error(struct conf_errors *errors, const struct conf_setting *setting,
			const char *format, ...)
{
	char why[2 * CONF_WHY_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	conf_error(errors, -EINVAL, "%s:%u: [%s] %s = %s: %s", setting->file, setting->line,
		   setting->section, setting->key, setting->text, why);
}

/* The N of PREFIXN; -ENOENT: it is not such a name, or N is beyond CONF_MAX_DEVICE. */
static int parse_name(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);
	int number = 0;

	if (strncmp(name, prefix, len) != 0 || name[len] == '\0')
		return -ENOENT;
	for (const char *at = name + len; *at != '\0'; at++) {
		bool leading = number == 0 && at > name + len;

		if (*at < '0' || *at > '9' || leading)
			return -ENOENT;
		number = number * 10 + (*at - '0');
		if (number > CONF_MAX_DEVICE)
			return -ENOENT;
	}
	return number;
}

bool conf_is_name(const char *text)
{
	return parse_name(text, "zcram") >= 0;
}

/* The section of that number, a new one if need be. NULL: no memory. */
static struct conf_section *find_section(struct conf *conf, int number)
{
	struct conf_section *grown;

	for (size_t i = 0; i < conf->section_count; i++)
		if (conf->sections[i].number == number)
			return &conf->sections[i];
	grown = reallocarray(conf->sections, conf->section_count + 1, sizeof(*grown));
	if (grown == NULL)
		return NULL;
	conf->sections = grown;
	grown = &conf->sections[conf->section_count++];
	*grown = (struct conf_section){.number = number};
	return grown;
}

static void on_section(void *user, unsigned int line, const char *name)
{
	struct loading *loading = user;
	int number = CONF_DEFAULTS;

	loading->section = NULL;
	loading->section_name = conf_keep_text(loading->conf, name == NULL ? "" : name);
	if (loading->section_name == NULL) {
		conf_error(loading->errors, -ENOMEM, "no memory");
		return;
	}
	if (name != NULL && strcmp(name, "defaults") != 0) {
		number = parse_name(name, "zcram");
		if (number < 0)
			number = parse_name(name, "zram");
	}
	if (name == NULL || number == -ENOENT) {
		conf_error(loading->errors, -EINVAL,
			   "%s:%u: [%s]: not a section: give [zcramN] or [zramN], N from 0 to %d, "
			   "or [defaults]",
			   loading->file, line, name == NULL ? "..." : name, CONF_MAX_DEVICE);
		return;
	}
	loading->section = find_section(loading->conf, number);
	if (loading->section == NULL)
		conf_error(loading->errors, -ENOMEM, "no memory");
}

/* The setting, with strings of its own. NULL: no memory. */
static struct conf_setting *make_setting(struct loading *loading, unsigned int line,
					 const char *key, const char *value)
{
	struct conf *conf = loading->conf;
	struct conf_setting *setting = conf_keep(conf, malloc(sizeof(*setting)));
	const char *text = conf_keep_text(conf, value);

	key = conf_keep_text(conf, key);
	if (setting == NULL || key == NULL || text == NULL)
		return NULL;
	*setting = (struct conf_setting){
		.file = loading->file,
		.line = line,
		.section = loading->section_name,
		.key = key,
		.text = text,
	};
	return setting;
}

static void refuse_key(struct loading *loading, const struct conf_setting *setting)
{
	const char *why = conf_value_refused(setting->key);
	char allowed[CONF_WHY_SIZE];
	size_t len = 0;

	if (why != NULL) {
		conf_setting_error(loading->errors, setting, "%s", why);
		return;
	}
	for (enum conf_key key = 0; key < CONF_KEY_COUNT; key++)
		len += (size_t)snprintf(allowed + len, sizeof(allowed) - len, "%s%s",
					key == 0		   ? ""
					: key < CONF_KEY_COUNT - 1 ? ", "
								   : " or ",
					conf_key_names[key].name);
	conf_setting_error(loading->errors, setting, "unknown key: give %s", allowed);
}

/* Take a setting whose key there is. */
static void take_setting(struct loading *loading, struct conf_setting *setting, enum conf_key key)
{
	struct conf_section *section = loading->section;
	const struct conf_setting *before = section->set[key];
	char why[CONF_WHY_SIZE];
	int r;

	if (section->number == CONF_DEFAULTS &&
	    (key == CONF_KEY_MOUNT_POINT || key == CONF_KEY_DEVICE)) {
		conf_setting_error(loading->errors, setting,
				   "no two devices can share it: give it in a section [zcramN]");
		return;
	}
	if (before != NULL && before->file == setting->file) {
		conf_setting_error(loading->errors, setting,
				   "set twice in this file (%s = %s in line %u): give it once",
				   before->key, before->text, before->line);
		return;
	}
	section->set[key] = setting;
	r = conf_value_set(loading->conf, loading->host, &loading->scratch, key, setting->text,
			   why);
	if (r == -ENOMEM)
		conf_error(loading->errors, r, "no memory");
	else if (r == -EINVAL)
		conf_setting_error(loading->errors, setting, "%s", why);
}

static void on_setting(void *user, unsigned int line, const char *name, const char *value)
{
	struct loading *loading = user;
	struct conf_setting *setting;
	enum conf_key key;

	if (loading->section_name == NULL) {
		conf_error(loading->errors, -EINVAL, "%s:%u: %s = %s: %s", loading->file, line,
			   name, value,
			   strncmp(name, "set!", 4) == 0
				   ? "there are no variables: write it out in zram-size"
				   : "stands in no section: give [zcramN] or [defaults] before it");
		return;
	}
	/* A section that was refused: its settings would only be refused again. */
	if (loading->section == NULL)
		return;
	setting = make_setting(loading, line, name, value);
	if (setting == NULL)
		conf_error(loading->errors, -ENOMEM, "no memory");
	else if (conf_key_find(name, &key) < 0)
		refuse_key(loading, setting);
	else
		take_setting(loading, setting, key);
}

static void on_error(void *user, unsigned int line, const char *why)
{
	struct loading *loading = user;

	conf_error(loading->errors, -EINVAL, "%s:%u: %s", loading->file, line, why);
}

void conf_read_text(struct conf *conf, const struct conf_host *host, const char *path,
		    const char *text, size_t len, struct conf_errors *errors)
{
	struct loading loading = {.conf = conf, .host = host, .errors = errors, .file = path};
	const struct conf_ini ini = {
		.section = on_section, .setting = on_setting, .error = on_error, .user = &loading};

	conf_ini_parse(text, len, &ini);
}

/* PATH is the conf's. */
static int load_file(struct conf *conf, const char *root, const struct conf_host *host,
		     const char *path, struct conf_errors *errors)
{
	size_t len;
	char *text;
	int r;

	r = conf_file_read(root, path, &text, &len, errors);
	if (r < 0)
		return r;
	conf_read_text(conf, host, path, text, len, errors);
	free(text);
	return 0;
}

/* A file that cannot be read does not keep what is wrong in others from being said. */
static int load_files(struct conf *conf, const char *root, const struct conf_host *host,
		      const struct conf_files *files, struct conf_errors *errors)
{
	conf->files = calloc(files->count + 1, sizeof(*conf->files));
	if (conf->files == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < files->count; i++) {
		char *path = conf_keep_text(conf, files->files[i].path);
		int r = -ENOMEM;

		if (path != NULL)
			r = load_file(conf, root, host, path, errors);
		if (r == -ENOMEM)
			return r;
		conf->files[conf->file_count++] = path;
	}
	return 0;
}

static int load(struct conf *conf, const char *root, const struct conf_host *host,
		struct conf_errors *errors)
{
	struct conf_files files = {0};
	int r;

	r = conf_files_find(root, &files, errors);
	if (r == 0)
		r = load_files(conf, root, host, &files, errors);
	conf_files_free(&files);
	/* What is set is not all there while a line is wrong. */
	if (r == 0 && errors->error == 0)
		r = conf_resolve(conf, host, errors);
	return r == -ENOMEM ? r : errors->error;
}

int conf_load(const char *root, const struct conf_host *host, struct conf **ret_conf,
	      char **ret_why)
{
	struct conf_errors errors = {0};
	struct conf *conf = calloc(1, sizeof(*conf));
	char *line;
	int r = -ENOMEM;

	if (conf != NULL)
		r = load(conf, root == NULL ? "" : root, host, &errors);
	if (r == 0) {
		*ret_conf = conf;
		return 0;
	}
	conf_free(conf);
	if (errors.count > MAX_ERRORS &&
	    asprintf(&line, "and %u more", errors.count - MAX_ERRORS) >= 0)
		add_line(&errors, line);
	*ret_why = errors.text;
	return r;
}

void conf_free(struct conf *conf)
{
	if (conf == NULL)
		return;
	for (size_t i = 0; i < conf->kept_count; i++)
		free(conf->kept[i]);
	free(conf->kept);
	free(conf->files);
	free(conf->sections);
	free(conf->devices);
	free(conf);
}

const struct conf_device *conf_find(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->device_count; i++)
		if (strcmp(conf->devices[i].name, name) == 0)
			return &conf->devices[i];
	return NULL;
}

size_t conf_count(const struct conf *conf)
{
	return conf->device_count;
}

const struct conf_device *conf_at(const struct conf *conf, size_t index)
{
	return &conf->devices[index];
}

const char *const *conf_files(const struct conf *conf)
{
	return (const char *const *)conf->files;
}
