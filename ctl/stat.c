/* SPDX-License-Identifier: BSD-3-Clause */
/* stat: all that a device's server says of itself, and zcramd of the server. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/devices.h"
#include "ctl/zram.h"

enum {
	OPT_ZRAM = 256,
};

static const struct ctl_option options[] = {
	{'J', "json", NULL, "print JSON"},
	{OPT_ZRAM, "zram", "FILE", "print what the kernel's zram has in this file"},
	{0},
};

/* "name: value" lines; those of an object inside have its name before theirs, and a point. */
static void print_lines(struct json_object *object, const char *prefix, const char *point)
{
	json_object_object_foreach(object, key, value)
	{
		if (json_object_is_type(value, json_type_object))
			print_lines(value, key, ".");
		else if (strcmp(key, "ages") != 0)
			printf("%s%s%s: %s\n", prefix, point, key,
			       value ? json_object_get_string(value) : "-");
	}
}

/* "ages.SECONDS: pages", of each class. */
static void print_ages(const struct json_object *stat)
{
	for (size_t i = 0; i < ctl_stat_ages(stat); i++)
		printf("ages.%" PRIu64 ": %" PRIu64 "\n", ctl_stat_age(stat, i, "seconds"),
		       ctl_stat_age(stat, i, "pages"));
}

static int add_node(struct ctl_device *device)
{
	char node[32];
	struct json_object *value = NULL;

	if (device->index >= 0) {
		snprintf(node, sizeof(node), "/dev/nbd%d", device->index);
		value = json_object_new_string(node);
	}
	return json_object_object_add(device->stat, "device", value);
}

/* As its member, where zcramd looks after the device. */
static int add_zcramd(struct ctl_device *device)
{
	if (!json_object_is_type(device->zcramd, json_type_object))
		return 0;
	return json_object_object_add(device->stat, "zcramd", json_object_get(device->zcramd));
}

static int print_stat(struct ctl_device *device, bool json)
{
	if (!json_object_is_type(device->stat, json_type_object))
		return ctl_device_failed(device, -EPROTO, NULL);
	if (add_node(device) < 0 || add_zcramd(device) < 0)
		return ctl_device_failed(device, -ENOMEM, NULL);
	if (json) {
		puts(json_object_to_json_string_ext(device->stat, JSON_C_TO_STRING_PRETTY |
									  JSON_C_TO_STRING_SPACED));
	} else {
		print_lines(device->stat, "", "");
		print_ages(device->stat);
	}
	return ctl_flush();
}

/* What zcramd has to say of it, and why that is all. */
static int print_without_server(struct ctl_device *device, bool json)
{
	int status = ctl_device_failed(device, device->error, device->why);

	if (!device->zcramd)
		return status;
	device->stat = json_object_new_object();
	print_stat(device, json);
	return status;
}

static int stat(char *const *operands, bool json)
{
	struct ctl_device *devices;
	size_t count;
	int status = ctl_devices_find(operands, 1, &devices, &count);

	if (status != CTL_OK)
		return status;
	if (devices->error < 0)
		status = print_without_server(devices, json);
	else
		status = print_stat(devices, json);
	ctl_devices_free(devices, count);
	return status;
}

static int stat_zram(const char *operand, const char *file)
{
	struct control_client *client;
	struct ctl_device device;
	int status;

	if (!ctl_zram_is_file(file))
		return ctl_misused("stat: --zram %s: no such file: give " CTL_ZRAM_FILES, file);
	status = ctl_device_connect(operand, &device, &client);
	if (status != CTL_OK)
		return status;
	status = ctl_zram_print(&device, client, file);
	control_close(client);
	ctl_device_clear(&device);
	return status;
}

static int run(struct ctl_args *args)
{
	const char *file = NULL;
	bool json = false;
	int opt;

	while ((opt = ctl_next_option(args)) > 0) {
		if (opt == OPT_ZRAM)
			file = optarg;
		else
			json = true;
	}
	if (opt < 0 || !ctl_operands_fit(args, 1, 1))
		return args->status;
	if (json && file)
		return ctl_misused("stat: --json and --zram: give one of them");
	return file ? stat_zram(args->operands[0], file) : stat(args->operands, json);
}

static void file_help(FILE *out)
{
	fputs("\nFILE is mm_stat, io_stat or bd_stat, of /sys/block/zram0, or block_state, of\n"
	      "/sys/kernel/debug/zram/zram0: columns, widths and units are the kernel's.\n",
	      out);
}

const struct ctl_command ctl_stat = {
	.name = "stat",
	.operands = "DEVICE",
	.summary = "all settings and statistics of a device",
	.options = options,
	.run = run,
	.help = file_help,
};
