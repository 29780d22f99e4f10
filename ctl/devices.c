/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/devices.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "attach/attach.h"
#include "common/util.h"
#include "ctl/ctl.h"
#include "ctl/pools.h"

const char *ctl_run_directory(void)
{
	const char *directory = getenv("ZCRAM_RUN_DIR");

	return directory && *directory ? directory : "/run/zcram";
}

int ctl_node_index(const char *word)
{
	unsigned int index;
	char end;

	if (strncmp(word, "/dev/", 5) == 0)
		word += 5;
	return sscanf(word, "nbd%u%c", &index, &end) == 1 && index <= INT_MAX ? (int)index : -1;
}

/* May it be the name of a directory in the run directory? */
static bool is_name(const char *word)
{
	return *word != '\0' && *word != '.' && strchr(word, '/') == NULL;
}

static char *run_path(const char *name, const char *file)
{
	char *path;

	if (asprintf(&path, "%s/%s%s%s", ctl_run_directory(), name, *file ? "/" : "", file) < 0)
		return NULL;
	return path;
}

static bool run_exists(const char *name, const char *file)
{
	char *path = run_path(name, file);
	struct stat st;
	bool exists = path && lstat(path, &st) == 0;

	free(path);
	return exists;
}

bool ctl_device_looks_like_one(const char *word)
{
	return strchr(word, '/') || strncmp(word, "zcram", 5) == 0 || ctl_node_index(word) >= 0 ||
	       (is_name(word) && run_exists(word, ""));
}

static int no_memory(void)
{
	ctl_complain("%s", strerror(ENOMEM));
	return CTL_FAILURE;
}

static int find_index(const char *name)
{
	char identifier[ATTACH_IDENTIFIER_SIZE];
	int index;

	if ((size_t)snprintf(identifier, sizeof(identifier), ATTACH_PREFIX "%s", name) >=
	    sizeof(identifier))
		return -1;
	return attach_find(NULL, identifier, &index) < 0 ? -1 : index;
}

/* NAME's device, its socket at PATH or, where that is NULL, in the run directory. */
static int make_device(const char *name, const char *path, struct ctl_device *ret_device)
{
	struct ctl_device device = {
		.name = strdup(name),
		.socket = path ? strdup(path) : run_path(name, "control"),
		.index = find_index(name),
	};

	if (!device.name || !device.socket) {
		ctl_device_clear(&device);
		return no_memory();
	}
	*ret_device = device;
	return CTL_OK;
}

static int resolve_node(const char *operand, int index, struct ctl_device *ret_device)
{
	char identifier[ATTACH_IDENTIFIER_SIZE];
	int ret = attach_identifier(NULL, index, identifier, sizeof(identifier));
	const char *name = identifier + strlen(ATTACH_PREFIX);

	if (ret < 0 || strncmp(identifier, ATTACH_PREFIX, strlen(ATTACH_PREFIX)) != 0) {
		ctl_complain("%s: no zcram device is attached there", operand);
		return CTL_FAILURE;
	}
	return make_device(name, strchr(name, '/') ? name : NULL, ret_device);
}

int ctl_device_resolve(const char *operand, struct ctl_device *ret_device)
{
	int index = ctl_node_index(operand);

	if (index >= 0)
		return resolve_node(operand, index, ret_device);
	if (strchr(operand, '/'))
		return make_device(operand, operand, ret_device);
	if (!is_name(operand))
		return ctl_misused("%s: not a device: give a name (zcram0), a node (/dev/nbd0) "
				   "or the path of a control socket",
				   operand);
	return make_device(operand, NULL, ret_device);
}

void ctl_device_clear(struct ctl_device *device)
{
	free(device->name);
	free(device->socket);
	free(device->why);
	json_object_put(device->stat);
	json_object_put(device->zcramd);
}

void ctl_devices_free(struct ctl_device *devices, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ctl_device_clear(&devices[i]);
	free(devices);
}

void ctl_device_query(struct ctl_device *device, struct control_client *client)
{
	struct control_client *own = NULL;

	device->error = 0;
	if (!client) {
		device->error = control_connect(device->socket, CTL_TIMEOUT_MS, &own);
		client = own;
	}
	if (device->error == 0) {
		json_object_put(device->stat);
		device->stat = NULL;
		free(device->why);
		device->why = NULL;
		device->pid = control_peer(client);
		device->error = control_call(client, "stat", NULL, &device->stat, &device->why);
	}
	control_close(own);
}

char *ctl_device_zcramd_socket(const struct ctl_device *device)
{
	return strchr(device->name, '/') ? NULL : run_path(device->name, "zcramd");
}

void ctl_device_query_zcramd(struct ctl_device *device)
{
	char *path = ctl_device_zcramd_socket(device);
	struct control_client *client = NULL;

	json_object_put(device->zcramd);
	device->zcramd = NULL;
	/* What fails here is zcramd's, and no failure of the device's. */
	if (path && control_connect(path, CTL_TIMEOUT_MS, &client) == 0 &&
	    control_call(client, "status", NULL, &device->zcramd, NULL) < 0)
		device->zcramd = NULL;
	control_close(client);
	free(path);
}

/* A server, or zcramd that looks after one that is not there just now. */
static int has_control(const struct dirent *entry)
{
	const char *name = entry->d_name;

	return is_name(name) && (run_exists(name, "control") || run_exists(name, "zcramd"));
}

/* The names of all devices in the run directory. */
static int list_names(struct dirent ***ret_entries, size_t *ret_count)
{
	int n = scandir(ctl_run_directory(), ret_entries, has_control, versionsort);

	if (n >= 0) {
		*ret_count = (size_t)n;
		return CTL_OK;
	}
	*ret_entries = NULL;
	*ret_count = 0;
	if (errno == ENOENT)
		return CTL_OK;
	ctl_complain("%s: %s", ctl_run_directory(), ctl_control_why(-errno));
	return CTL_FAILURE;
}

/* All devices that NAMES or, where that is NULL, ENTRIES have. */
static int resolve_all(char *const *names, struct dirent *const *entries, size_t count,
		       struct ctl_device **ret_devices)
{
	struct ctl_device *devices = calloc(count ? count : 1, sizeof(*devices));
	int status = devices ? CTL_OK : no_memory();

	for (size_t i = 0; i < count && status == CTL_OK; i++)
		status = names ? ctl_device_resolve(names[i], &devices[i])
			       : make_device(entries[i]->d_name, NULL, &devices[i]);
	if (status != CTL_OK) {
		if (devices)
			ctl_devices_free(devices, count);
		return status;
	}
	*ret_devices = devices;
	return CTL_OK;
}

static struct ctl_device *find_name(struct ctl_device *devices, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(devices[i].name, name) == 0)
			return &devices[i];
	return NULL;
}

int ctl_devices_add_pools(struct ctl_device **devices, size_t *count)
{
	struct ctl_pool *pools = NULL;
	size_t nr_pools = 0, had = *count;
	struct ctl_device *all;
	int status = ctl_pools_find(&pools, &nr_pools);

	all = reallocarray(*devices, had + nr_pools + 1, sizeof(*all));
	if (!all && status == CTL_OK)
		status = no_memory();
	if (all)
		*devices = all;
	for (size_t i = 0; i < nr_pools && status == CTL_OK; i++) {
		struct ctl_device *device = find_name(all, had, pools[i].name);

		if (!device) {
			device = &all[*count];
			*device = (struct ctl_device){0};
			status = make_device(pools[i].name, NULL, device);
			device->error = -ENOENT;
			*count += status == CTL_OK;
		}
		if (status == CTL_OK && !device->stat)
			device->left = pools[i].memory;
	}
	free(pools);
	return status;
}

int ctl_devices_find(char *const *operands, size_t count, struct ctl_device **ret_devices,
		     size_t *ret_count)
{
	struct dirent **entries = NULL;
	size_t found = count;
	int status = count ? CTL_OK : list_names(&entries, &found);

	if (status == CTL_OK)
		status = resolve_all(count ? operands : NULL, entries, found, ret_devices);
	for (size_t i = 0; entries && i < found; i++)
		free(entries[i]);
	free(entries);
	if (status != CTL_OK)
		return status;
	for (size_t i = 0; i < found; i++) {
		ctl_device_query(&(*ret_devices)[i], NULL);
		ctl_device_query_zcramd(&(*ret_devices)[i]);
	}
	*ret_count = found;
	return CTL_OK;
}

int ctl_device_connect(const char *operand, struct ctl_device *ret_device,
		       struct control_client **ret_client)
{
	struct ctl_device device;
	int status = ctl_device_resolve(operand, &device);
	int ret;

	if (status != CTL_OK)
		return status;
	ret = control_connect(device.socket, CTL_TIMEOUT_MS, ret_client);
	if (ret < 0) {
		status = ctl_device_failed(&device, ret, NULL);
		ctl_device_clear(&device);
		return status;
	}
	device.pid = control_peer(*ret_client);
	*ret_device = device;
	return CTL_OK;
}

const char *ctl_control_why(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return "permission denied: run as root";
	case -ENOENT:
		return "there is none: no such device is running";
	case -ECONNREFUSED:
		return "nobody serves it: the server is dead";
	case -ECONNRESET:
		return "the server closed it";
	case -ETIMEDOUT:
		return "no answer within 2 seconds: the server hangs";
	case -EPROTO:
		return "what answers is not a zcram server";
	default:
		return strerror(-error);
	}
}

/* What zcramd says of a server that does not answer, in words; NULL: nothing of the kind. */
static const struct {
	const char *state, *why;
} without_server[] = {
	{"starting", "the server is being started"},
	{"restarting", "the server has died, and is being brought back"},
	{"given-up", "the server has died too often, and has been given up"},
};

/* The place in that; -1: none. */
static int find_without_server(const struct ctl_device *device)
{
	const char *state = device->zcramd ? ctl_stat_text(device->zcramd, "state") : "";

	for (size_t i = 0; i < ARRAY_SIZE(without_server); i++)
		if (strcmp(without_server[i].state, state) == 0)
			return (int)i;
	return -1;
}

/* How the server died last, behind why there is none. */
static void complain_of_death(const struct ctl_device *device, const char *why)
{
	const char *death = ctl_stat_text(device->zcramd, "last-death");

	if (*death)
		ctl_complain("%s: %s (%s)", device->name, why, death);
	else
		ctl_complain("%s: %s", device->name, why);
}

int ctl_device_failed(const struct ctl_device *device, int error, const char *message)
{
	int known = find_without_server(device);

	if (known >= 0 && !message) {
		complain_of_death(device, without_server[known].why);
		return CTL_FAILURE;
	}
	/* What the server says of its own accord names what was wrong; EPERM is ours to explain. */
	if (message && error != -EPERM)
		ctl_complain("%s: %s", device->name, message);
	else
		ctl_complain("%s: control socket: %s", device->name, ctl_control_why(error));
	return CTL_FAILURE;
}

const char *ctl_device_state(const struct ctl_device *device)
{
	int known = device->error < 0 ? find_without_server(device) : -1;
	const char *state = device->zcramd ? ctl_stat_text(device->zcramd, "state") : "";

	if (strcmp(state, "failing") == 0)
		return "failing";

	if (known >= 0)
		return without_server[known].state;
	if (device->left > 0)
		return "unserved";
	switch (device->error) {
	case 0:
		return "running";
	case -ETIMEDOUT:
		return "hung";
	case -EACCES:
	case -EPERM:
		return "denied";
	case -ENOENT:
	case -ECONNREFUSED:
	case -ECONNRESET:
		return "dead";
	default:
		return "failed";
	}
}

int ctl_device_order(const char *operand, const char *command, struct json_object *arguments,
		     bool patient,
		     int (*show)(const struct ctl_device *device, const struct json_object *result))
{
	struct json_object *result = NULL;
	struct control_client *client;
	struct ctl_device device;
	char *message = NULL;
	int status = ctl_device_connect(operand, &device, &client);
	int ret;

	if (status != CTL_OK)
		return status;
	if (patient)
		control_set_timeout(client, -1);
	ret = control_call(client, command, arguments, &result, &message);
	if (ret < 0)
		status = ctl_device_failed(&device, ret, message);
	else if (show != NULL)
		status = show(&device, result);
	json_object_put(result);
	free(message);
	control_close(client);
	ctl_device_clear(&device);
	return status;
}
