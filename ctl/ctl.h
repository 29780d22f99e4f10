/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ctl: what the commands of zcramctl share: how they are described, how their command line is read,
 * and how they complain. One thread, unless a command says otherwise.
 */
#ifndef ZCRAM_CTL_H
#define ZCRAM_CTL_H

#include <stddef.h>
#include <stdio.h>

enum ctl_status {
	CTL_OK = 0,
	CTL_FAILURE = 1,
	CTL_USAGE = 2,
};

struct ctl_option {
	int id;		   /* its letter, or a number from 256 on when it has none; 0: the last */
	const char *name;  /* without "--" */
	const char *value; /* what its argument is called; NULL: it takes none */
	const char *help;
};

struct ctl_args;

struct ctl_command {
	const char *name;
	const char *operands; /* as they are shown in the help */
	const char *summary;
	const struct ctl_option *options;  /* besides --help and --version */
	int (*run)(struct ctl_args *args); /* the exit status */
	void (*help)(FILE *out);	   /* what follows the options; may be NULL */
};

extern const struct ctl_command ctl_list, ctl_stat, ctl_compact, ctl_set, ctl_attach, ctl_detach,
	ctl_metrics, ctl_top, ctl_estimate, ctl_config, ctl_purge, ctl_save, ctl_restore,
	ctl_upgrade, ctl_idle, ctl_recompress, ctl_writeback;

struct ctl_args {
	const struct ctl_command *command;
	int argc; /* from the command's name on */
	char **argv;
	/* once the options are read: */
	char **operands;
	size_t count;
	enum ctl_status status;
};

/*
 * The id of the next option, its argument in optarg; 0 after the last; -1: args->status is to be
 * returned at once, for help was given, or a complaint was made.
 */
int ctl_next_option(struct ctl_args *args);

/*
 * Are there MIN to MAX operands? If not, that is complained of, and args->status set.
 */
_Bool ctl_operands_fit(struct ctl_args *args, size_t min, size_t max);

/* "-b, -n, -o LIST, --json": the command's options as a list, in BUF. */
void ctl_option_list(const struct ctl_command *command, char *buf, size_t size);

void ctl_command_help(const struct ctl_command *command, FILE *out);

/* One line on standard error, "zcramctl: " before it. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same about the command line; CTL_USAGE. */
int ctl_misused(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A whole number from MIN to MAX; false after a complaint that names WHAT. */
_Bool ctl_parse_number(const char *what, const char *text, unsigned int min, unsigned int max,
		       unsigned int *ret_number);

/* CTL_OK, or CTL_FAILURE after a complaint, when not all of it could be written. */
int ctl_flush(void);

#endif
