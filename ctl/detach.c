/* SPDX-License-Identifier: BSD-3-Clause */
/* detach: take /dev/nbdN from its server, unless somebody needs it. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "ctl/ctl.h"
#include "ctl/devices.h"

/* The index of what OPERAND means: a node, whoever attached it, or a device's name. */
static int find_index(const char *operand, int *ret_index)
{
	struct ctl_device device;
	int status;

	*ret_index = ctl_node_index(operand);
	if (*ret_index >= 0)
		return CTL_OK;
	status = ctl_device_resolve(operand, &device);
	if (status != CTL_OK)
		return status;
	*ret_index = device.index;
	ctl_device_clear(&device);
	if (*ret_index >= 0)
		return CTL_OK;
	ctl_complain("%s: not attached", operand);
	return CTL_FAILURE;
}

/* Is the process a zcramd? */
static bool is_zcramd(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return strcmp(name, "zcramd\n") == 0;
}

/* The name of the device that is attached at INDEX; "" when it is not one of zcram's. */
static void find_name(int index, char name[ATTACH_IDENTIFIER_SIZE])
{
	size_t prefix = strlen(ATTACH_PREFIX);

	if (attach_identifier(NULL, index, name, ATTACH_IDENTIFIER_SIZE) < 0 ||
	    strncmp(name, ATTACH_PREFIX, prefix) != 0)
		name[0] = '\0';
	else
		memmove(name, name + prefix, strlen(name + prefix) + 1);
}

/* Who has written his process id into the lock of the device's directory; 0: nobody. */
static pid_t lock_holder(const char *name)
{
	char path[PATH_MAX];
	long pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/lock", ctl_run_directory(), name);
	file = *name && !strchr(name, '/') ? fopen(path, "re") : NULL;
	if (!file)
		return 0;
	if (fscanf(file, "%ld", &pid) != 1)
		pid = 0;
	fclose(file);
	return (pid_t)pid;
}

/* CTL_OK when nobody needs it. */
static int check_use(const char *operand, int index, const struct attach_use *use)
{
	char name[ATTACH_IDENTIFIER_SIZE], *what;

	if (use->pid == 0) {
		ctl_complain("%s: not attached", operand);
		return CTL_FAILURE;
	}
	find_name(index, name);
	/* Who attached it may be a zcramd before the one that runs it now. */
	if (is_zcramd(use->pid) || is_zcramd(lock_holder(name))) {
		ctl_complain("%s: zcramd runs it: systemctl stop zcram@%s", operand, name);
		return CTL_FAILURE;
	}
	if (!attach_is_used(use))
		return CTL_OK;
	what = attach_use_describe(use);
	ctl_complain("%s: in use %s", operand, what ? what : "");
	free(what);
	return CTL_FAILURE;
}

static int run(struct ctl_args *args)
{
	struct attach_use use;
	int index, ret, status;
	char *why = NULL;

	if (ctl_next_option(args) < 0 || !ctl_operands_fit(args, 1, 1))
		return args->status;
	status = find_index(args->operands[0], &index);
	if (status != CTL_OK)
		return status;
	ret = attach_use(NULL, index, &use);
	if (ret < 0) {
		ctl_complain("%s: %s", args->operands[0], strerror(-ret));
		return CTL_FAILURE;
	}
	status = check_use(args->operands[0], index, &use);
	attach_use_free(&use);
	if (status != CTL_OK)
		return status;
	ret = attach_disconnect(index, &why);
	if (ret < 0) {
		ctl_complain("%s: %s", args->operands[0], why ? why : strerror(-ret));
		status = CTL_FAILURE;
	}
	free(why);
	return status;
}

const struct ctl_command ctl_detach = {
	.name = "detach",
	.operands = "DEVICE",
	.summary = "take a /dev/nbdN from its server, if nobody uses it",
	.run = run,
};
