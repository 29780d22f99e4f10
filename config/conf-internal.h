/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of conf_load() share. Included by nothing else. */
#ifndef ZCRAM_CONF_INTERNAL_H
#define ZCRAM_CONF_INTERNAL_H

#include <stddef.h>

#include "config/conf.h"

#define CONF_DEFAULTS	  (-1)	    /* the number of [defaults] */
#define CONF_FILE_MAX	  (1 << 20) /* bytes */
#define CONF_WHY_SIZE	  512
#define CONF_SIZE_DEFAULT "min(ram / 2, 4096)"

/* One line of a file. All strings are the conf's. */
struct conf_setting {
	const char *file;
	unsigned int line;
	const char *section; /* both as they were written */
	const char *key;
	const char *text;
};

/* All that was said of one device, or in [defaults]: what counts of it, key by key. */
struct conf_section {
	int number;
	struct conf_setting *set[CONF_KEY_COUNT]; /* NULL: not set */
};

struct conf {
	void **kept; /* all that the rest points to */
	size_t kept_count;
	char **files; /* NULL behind the last */
	size_t file_count;
	struct conf_section *sections;
	size_t section_count;
	struct conf_device *devices;
	size_t device_count;
};

/* What is wrong, line by line. */
struct conf_errors {
	char *text;
	unsigned int count;
	int error; /* of the first; 0: all is well */
};

/* Allocations that live as long as the conf; NULL: no memory. conf_keep() frees what it cannot keep. */
void *conf_keep(struct conf *conf, void *memory);
char *conf_keep_text(struct conf *conf, const char *text);

/* Note one line. ERROR is a negative errno; -ENOMEM takes no line, and goes before all others. */
void conf_error(struct conf_errors *errors, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The line of an error in a setting: "FILE:LINE: [section] key = value: why". */
void conf_setting_error(struct conf_errors *errors, const struct conf_setting *setting,
			const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Collect what a file says, of which TEXT, LEN bytes and a 0 behind them, is the content and PATH the
 * name; PATH is borrowed as long as the conf lives. What is wrong is in ERRORS.
 */
void conf_read_text(struct conf *conf, const struct conf_host *host, const char *path,
		    const char *text, size_t len, struct conf_errors *errors);

/* conf-files.c */

struct conf_file {
	char *name; /* "50-mine.conf"; "" for zcram.conf, to be sorted before all */
	char *path; /* without the root */
};

struct conf_files {
	struct conf_file *files;
	size_t count;
};

/* The files that count, in order. 0, -ENOMEM, or another negative errno that ERRORS has lines of. */
int conf_files_find(const char *root, struct conf_files *files, struct conf_errors *errors);
void conf_files_free(struct conf_files *files);

/*
 * The content of ROOT/PATH, with a 0 behind it; empty for a link to /dev/null. -ENOMEM, or another
 * negative errno that ERRORS has a line of.
 */
int conf_file_read(const char *root, const char *path, char **ret_text, size_t *ret_len,
		   struct conf_errors *errors);

/* conf-ini.c */

/* What stands in a file, line by line. TEXT has a 0 behind its LEN bytes. NAME, KEY and VALUE live until the call returns. */
struct conf_ini {
	/* NAME is NULL when the line begins with [ and is no section. */
	void (*section)(void *user, unsigned int line, const char *name);
	void (*setting)(void *user, unsigned int line, const char *key, const char *value);
	void (*error)(void *user, unsigned int line, const char *why);
	void *user;
};

void conf_ini_parse(const char *text, size_t len, const struct conf_ini *ini);

/* conf-expr.c */

/*
 * The value in bytes of an expression over ram, in MiB. -EINVAL: it is none; -ERANGE: it is no
 * number, below 0 or beyond all memory. WHY then says what is wrong and what is allowed.
 */
int conf_expression(const char *text, uint64_t ram_bytes, uint64_t *ret_bytes, char *why,
		    size_t why_size);

/* conf-value.c */

/*
 * Set KEY of DEVICE to what TEXT says. The device's strings then point to TEXT or to memory that is
 * kept in CONF. -EINVAL: it is no value of that key; -ERANGE: it could be one on another host;
 * -ENOMEM. But for -ENOMEM, WHY (CONF_WHY_SIZE bytes) then says what is wrong and what is allowed.
 */
int conf_value_set(struct conf *conf, const struct conf_host *host, struct conf_device *device,
		   enum conf_key key, const char *text, char *why);

/* What is said of a key of zram-generator's that is none here; NULL: nothing in particular. */
const char *conf_value_refused(const char *key);

/* What swapon's discard is to do by these options. -EINVAL: there is a word that swap has not. */
int conf_value_discard(const char *options, enum conf_discard *ret_discard);

/* conf-check.c */

/* Make the devices of the sections, values in force and all, and check what needs several keys. */
int conf_resolve(struct conf *conf, const struct conf_host *host, struct conf_errors *errors);

#endif
