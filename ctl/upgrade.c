/* SPDX-License-Identifier: BSD-3-Clause */
/* upgrade: have zcramd replace the server of a device in use by the one that is installed. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/devices.h"

static void print_server(const char *before, const struct json_object *server)
{
	const char *version = ctl_stat_text(server, "version");

	printf("%spid %" PRIu64 "%s%s%s", before, ctl_stat_number(server, "pid"),
	       *version ? " (version " : "", version, *version ? ")" : "");
}

static int report(const struct ctl_device *device, const struct json_object *result)
{
	uint64_t pause = ctl_stat_number(result, "pause-us");

	printf("%s: ", device->name);
	print_server("", json_object_object_get(result, "old"));
	print_server(" was replaced by ", json_object_object_get(result, "new"));
	printf(": requests waited at most %" PRIu64 ".%" PRIu64 " ms\n", pause / 1000,
	       pause / 100 % 10);
	return ctl_flush();
}

/* There is no zcramd to ask. Is there a server? */
static int fail_without_zcramd(struct ctl_device *device, int error)
{
	if (error != -ENOENT && error != -ECONNREFUSED) {
		ctl_complain("%s: zcramd: %s", device->name,
			     error == -ETIMEDOUT ? "no answer within 2 seconds: it hangs"
						 : ctl_control_why(error));
		return CTL_FAILURE;
	}
	ctl_device_query(device, NULL);
	if (device->error == -ENOENT)
		return ctl_device_failed(device, -ENOENT, NULL);
	ctl_complain("%s: cannot be upgraded in use: no zcramd answers for it, and a server's "
		     "connections can only be handed on by the one that made them",
		     device->name);
	return CTL_FAILURE;
}

/* One that hangs is not to be waited for as long as an upgrade takes. */
static int greet(struct control_client *client)
{
	struct json_object *result = NULL;
	char *message = NULL;
	int ret = control_call(client, "status", NULL, &result, &message);

	json_object_put(result);
	free(message);
	return ret;
}

static int upgrade(struct ctl_device *device, struct control_client *client)
{
	struct json_object *result = NULL;
	char *message = NULL;
	int status, ret;

	control_set_timeout(client, -1);
	ret = control_call(client, "upgrade", NULL, &result, &message);
	if (ret == 0) {
		status = report(device, result);
	} else if (message) {
		status = ctl_device_failed(device, ret, message);
	} else {
		ctl_complain("%s: zcramd went away before it had answered", device->name);
		status = CTL_FAILURE;
	}
	json_object_put(result);
	free(message);
	return status;
}

static int run(struct ctl_args *args)
{
	struct control_client *client = NULL;
	struct ctl_device device;
	int status, ret;
	char *path;

	if (ctl_next_option(args) < 0 || !ctl_operands_fit(args, 1, 1))
		return args->status;
	status = ctl_device_resolve(args->operands[0], &device);
	if (status != CTL_OK)
		return status;
	path = ctl_device_zcramd_socket(&device);
	ret = path ? control_connect(path, CTL_TIMEOUT_MS, &client) : -ENOENT;
	if (ret == 0)
		ret = greet(client);
	status = ret < 0 ? fail_without_zcramd(&device, ret) : upgrade(&device, client);
	control_close(client);
	free(path);
	ctl_device_clear(&device);
	return status;
}

const struct ctl_command ctl_upgrade = {
	.name = "upgrade",
	.operands = "DEVICE",
	.summary = "replace the server in use by the one that is installed",
	.run = run,
};
