/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "ctl/ctl.h"

#define OPTIONS_MAX 16

static const struct ctl_option no_options[] = {{0}};

static const struct ctl_option common_options[] = {
	{'h', "help", NULL, "print this help"},
	{'V', "version", NULL, "print the version"},
	{0},
};

__attribute__((format(printf, 1, 0))) static void complain(const char *format, va_list args)
{
	fputs("zcramctl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void ctl_complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
}

int ctl_misused(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	return CTL_USAGE;
}

static const struct ctl_option *options_of(const struct ctl_command *command)
{
	return command->options ? command->options : no_options;
}

void ctl_option_list(const struct ctl_command *command, char *buf, size_t size)
{
	size_t len = 0;

	*buf = '\0';
	for (const struct ctl_option *o = options_of(command); o->id && len < size; o++)
		len += (size_t)snprintf(buf + len, size - len, "--%s%s%s, ", o->name,
					o->value ? " " : "", o->value ? o->value : "");
	if (len < size)
		snprintf(buf + len, size - len, "--help or --version");
}

static void option_help(const struct ctl_option *options, FILE *out)
{
	for (const struct ctl_option *o = options; o->id; o++) {
		char text[64];

		snprintf(text, sizeof(text), "--%s%s%s", o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		if (o->id < 256)
			fprintf(out, "  -%c, %-22s %s\n", o->id, text, o->help);
		else
			fprintf(out, "      %-22s %s\n", text, o->help);
	}
}

void ctl_command_help(const struct ctl_command *command, FILE *out)
{
	fprintf(out, "usage: zcramctl %s [OPTION...]%s%s\n%s\n\n", command->name,
		*command->operands ? " " : "", command->operands, command->summary);
	option_help(options_of(command), out);
	option_help(common_options, out);
	if (command->help)
		command->help(out);
}

/* What getopt_long() is given. */
struct getopt_tables {
	char letters[2 * OPTIONS_MAX + 4];
	struct option names[OPTIONS_MAX + 3];
};

static void add_options(struct getopt_tables *tables, size_t *count, const struct ctl_option *o)
{
	for (; o->id; o++) {
		size_t len = strlen(tables->letters);

		tables->names[(*count)++] = (struct option){
			.name = o->name,
			.has_arg = o->value ? required_argument : no_argument,
			.val = o->id,
		};
		if (o->id < 256)
			snprintf(tables->letters + len, sizeof(tables->letters) - len, "%c%s",
				 o->id, o->value ? ":" : "");
	}
}

static void fill_tables(struct getopt_tables *tables, const struct ctl_command *command)
{
	size_t count = 0;

	/* ":" first: an argument that is missing is told from an option that is unknown. */
	*tables = (struct getopt_tables){.letters = ":"};
	add_options(tables, &count, options_of(command));
	add_options(tables, &count, common_options);
}

static int refuse_option(struct ctl_args *args, int opt)
{
	char list[512], given[] = {'-', (char)optopt, '\0'};
	/* getopt_long() knows only the place of a long option that it does not like. */
	const char *name = args->argv[optind - 1];
	const char *what = opt == ':' ? "its argument is missing" : "unknown, or takes no argument";

	if (strncmp(name, "--", 2) != 0 && optopt > 0 && optopt < 256)
		name = given;
	ctl_option_list(args->command, list, sizeof(list));
	args->status = ctl_misused("%s: %s: %s: give %s", args->command->name, name, what, list);
	return -1;
}

int ctl_next_option(struct ctl_args *args)
{
	struct getopt_tables tables;
	int opt;

	fill_tables(&tables, args->command);
	opterr = 0;
	opt = getopt_long(args->argc, args->argv, tables.letters, tables.names, NULL);
	if (opt == -1) {
		args->operands = args->argv + optind;
		args->count = (size_t)(args->argc - optind);
		return 0;
	}
	if (opt == '?' || opt == ':')
		return refuse_option(args, opt);
	if (opt == 'h')
		ctl_command_help(args->command, stdout);
	else if (opt == 'V')
		puts("zcramctl " ZCRAM_VERSION);
	else
		return opt;
	args->status = ctl_flush();
	return -1;
}

bool ctl_operands_fit(struct ctl_args *args, size_t min, size_t max)
{
	if (args->count >= min && args->count <= max)
		return true;
	if (max == 0)
		args->status = ctl_misused("%s: %s: takes no arguments", args->command->name,
					   args->operands[0]);
	else
		args->status =
			ctl_misused("%s: %s: give %s", args->command->name,
				    args->count < min ? "too few arguments" : "too many arguments",
				    args->command->operands);
	return false;
}

bool ctl_parse_number(const char *what, const char *text, unsigned int min, unsigned int max,
		      unsigned int *ret_number)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	/* strtoul() takes blanks and signs; we do not. */
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number < min ||
	    number > max) {
		ctl_misused("%s: %s: give a whole number from %u to %u", what, text, min, max);
		return false;
	}
	*ret_number = (unsigned int)number;
	return true;
}

int ctl_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CTL_OK;
	ctl_complain("standard output: %s", strerror(errno));
	return CTL_FAILURE;
}
