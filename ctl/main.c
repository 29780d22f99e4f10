/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcramctl: look at zcram devices, and change what can be changed in use.
 */
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/devices.h"

static int help(struct ctl_args *args);

static const struct ctl_command ctl_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.summary = "what there is, or what a command takes",
	.run = help,
};

static const struct ctl_command *const commands[] = {
	&ctl_list,    &ctl_stat,     &ctl_top,	      &ctl_metrics,   &ctl_set,
	&ctl_compact, &ctl_idle,     &ctl_recompress, &ctl_writeback, &ctl_upgrade,
	&ctl_attach,  &ctl_detach,   &ctl_save,	      &ctl_restore,   &ctl_purge,
	&ctl_config,  &ctl_estimate, &ctl_help,	      NULL,
};

static const struct ctl_command *find_command(const char *name)
{
	for (size_t i = 0; commands[i]; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	char list[256];
	size_t len = 0;

	for (size_t i = 0; commands[i] && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "",
					commands[i]->name);
	return ctl_misused("%s: neither a command nor a device: commands are %s", name, list);
}

static void overview(FILE *out)
{
	fputs("usage: zcramctl [COMMAND] [OPTION...] [ARGUMENT...]\n"
	      "Look at zcram devices, and change what can be changed in use.\n\n",
	      out);
	for (size_t i = 0; commands[i]; i++)
		fprintf(out, "  %-10s %-22s %s\n", commands[i]->name, commands[i]->operands,
			commands[i]->summary);
	fputs("\nWithout a command: list. A DEVICE is a name (zcram0), a device node (/dev/nbd0), "
	      "or\n"
	      "the path of a control socket. \"zcramctl COMMAND --help\" says more; so does "
	      "zcramctl(8).\n\n",
	      out);
	ctl_command_help(&ctl_list, out);
}

static int help(struct ctl_args *args)
{
	const struct ctl_command *command;
	int opt = ctl_next_option(args);

	if (opt < 0 || !ctl_operands_fit(args, 0, 1))
		return args->status;
	if (args->count == 0) {
		overview(stdout);
		return ctl_flush();
	}
	command = find_command(args->operands[0]);
	if (!command)
		return unknown_command(args->operands[0]);
	ctl_command_help(command, stdout);
	return ctl_flush();
}

/* "zcramctl zcram0" and "zcramctl -b" are lists. */
static bool is_list(const char *first)
{
	return first[0] == '-' || ctl_device_looks_like_one(first);
}

int main(int argc, char **argv)
{
	struct ctl_args args = {.command = &ctl_list, .argc = argc, .argv = argv};

	setlocale(LC_CTYPE, "");
	if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		overview(stdout);
		return ctl_flush();
	}
	if (argc > 1 && !is_list(argv[1])) {
		args.command = find_command(argv[1]);
		if (!args.command)
			return unknown_command(argv[1]);
		args.argc--;
		args.argv++;
	}
	return args.command->run(&args);
}
