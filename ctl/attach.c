/* SPDX-License-Identifier: BSD-3-Clause */
/* attach: the kernel's client on an NBD server's Unix socket, by hand; zcramd does without. */
#include "attach/attach.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/os.h"
#include "common/util.h"
#include "ctl/ctl.h"
#include "ctl/devices.h"

enum {
	OPT_DEVICE = 256,
	OPT_CONNECTIONS,
	OPT_NAME,
};

static const struct ctl_option options[] = {
	{OPT_DEVICE, "device", "nbdN", "attach it there, not to the first that is free"},
	{OPT_CONNECTIONS, "connections", "N", "connections to make; else one a CPU, 4 at most"},
	{OPT_NAME, "name", "NAME", "what to call it; else as SOCKET's directory, or its path"},
	{0},
};

#define CONNECTIONS_AUTO_MAX 4

static int fail(const char *what, int error, char *why)
{
	ctl_complain("%s: %s", what, why ? why : strerror(-error));
	free(why);
	return CTL_FAILURE;
}

/* The name of a socket NAME/nbd.sock, to the front of PATH; or the whole path. */
static const char *name_of_socket(char *path)
{
	char *file = strrchr(path, '/'), *directory;

	if (strcmp(file, "/nbd.sock") != 0)
		return path;
	*file = '\0';
	directory = strrchr(path, '/');
	return directory && directory[1] ? directory + 1 : path;
}

static int make_identifier(const char *socket, const char *name,
			   char identifier[ATTACH_IDENTIFIER_SIZE])
{
	char *path = realpath(socket, NULL);
	int len;

	if (!path)
		return fail(socket, -errno, NULL);
	len = snprintf(identifier, ATTACH_IDENTIFIER_SIZE, ATTACH_PREFIX "%s",
		       name ? name : name_of_socket(path));
	free(path);
	if (len < ATTACH_IDENTIFIER_SIZE)
		return CTL_OK;
	return ctl_misused("attach: %s: too long: give a name of %zu characters at most",
			   name ? name : socket, ATTACH_IDENTIFIER_SIZE - sizeof(ATTACH_PREFIX));
}

static int set_option(struct attach_options *attach, int opt, const char **ret_name)
{
	switch (opt) {
	case OPT_CONNECTIONS:
		return ctl_parse_number("attach: --connections", optarg, 1, ATTACH_CONNECTIONS_MAX,
					&attach->connections)
			       ? CTL_OK
			       : CTL_USAGE;
	case OPT_NAME:
		if (*optarg == '\0' || *optarg == '.' || strchr(optarg, '/'))
			return ctl_misused("attach: --name %s: not a name: give one such as zcram0",
					   optarg);
		*ret_name = optarg;
		return CTL_OK;
	default:
		attach->index = ctl_node_index(optarg);
		if (attach->index >= 0)
			return CTL_OK;
		return ctl_misused("attach: --device %s: not an nbd device: give nbdN or /dev/nbdN",
				   optarg);
	}
}

static int attach_socket(struct attach_options *attach, const char *name)
{
	char identifier[ATTACH_IDENTIFIER_SIZE], *why = NULL;
	int index, ret, status = make_identifier(attach->socket, name, identifier);

	if (status != CTL_OK)
		return status;
	if (attach_find(NULL, identifier, &index) == 0) {
		ctl_complain("attach: %s is attached already, to /dev/nbd%d",
			     identifier + strlen(ATTACH_PREFIX), index);
		return CTL_FAILURE;
	}
	attach->identifier = identifier;
	ret = attach_connect(attach, &index, &why);
	if (ret < 0)
		return fail(attach->socket, ret, why);
	printf("/dev/nbd%d\n", index);
	return ctl_flush();
}

static int run(struct ctl_args *args)
{
	struct attach_options attach = {
		.connections = (unsigned int)min_u64(os_cpus(), CONNECTIONS_AUTO_MAX),
		.index = -1,
	};
	const char *name = NULL;
	int opt;

	while ((opt = ctl_next_option(args)) > 0) {
		int status = set_option(&attach, opt, &name);

		if (status != CTL_OK)
			return status;
	}
	if (opt < 0 || !ctl_operands_fit(args, 1, 1))
		return args->status;
	attach.socket = args->operands[0];
	return attach_socket(&attach, name);
}

const struct ctl_command ctl_attach = {
	.name = "attach",
	.operands = "SOCKET",
	.summary = "make an NBD server's Unix socket a /dev/nbdN",
	.options = options,
	.run = run,
};
