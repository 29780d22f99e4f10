/* SPDX-License-Identifier: BSD-3-Clause */
/* config: which settings are in force, and where each was made. */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/algorithm.h"
#include "config/conf.h"
#include "ctl/ctl.h"

enum {
	OPT_ROOT = 256,
};

static const struct ctl_option options[] = {
	{OPT_ROOT, "root", "DIR", "read the configuration below DIR"},
	{'J', "json", NULL, "print JSON"},
	{0},
};

static int no_memory(void)
{
	ctl_complain("config: %s", strerror(ENOMEM));
	return CTL_FAILURE;
}

/* "/etc/zcram.conf:7", and where it stands in [defaults], that; malloc'd. */
static char *origin_text(const struct conf_origin *origin)
{
	char *text;

	if (!origin->file)
		return strdup("default");
	if (asprintf(&text, "%s:%u%s", origin->file, origin->line,
		     origin->from_defaults ? " [defaults]" : "") < 0)
		return NULL;
	return text;
}

static int add_line(struct libscols_table *table, const struct conf_device *device,
		    enum conf_key key)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char *value = NULL, *origin;

	if (!line || conf_print(device, key, &value) < 0)
		return -ENOMEM;
	if (scols_line_set_data(line, 0, conf_key_names[key].name) < 0 ||
	    scols_line_refer_data(line, 1, value) < 0) {
		free(value);
		return -ENOMEM;
	}
	origin = origin_text(&device->origin[key]);
	if (!origin || scols_line_refer_data(line, 2, origin) < 0) {
		free(origin);
		return -ENOMEM;
	}
	return 0;
}

static int print_device(const struct conf_device *device)
{
	struct libscols_table *table = scols_new_table();
	int ret = table ? 0 : -ENOMEM;

	if (!table || !scols_table_new_column(table, "KEY", 0.2, 0) ||
	    !scols_table_new_column(table, "VALUE", 0.3, 0) ||
	    !scols_table_new_column(table, "FROM", 0.4, 0))
		ret = -ENOMEM;
	for (int key = 0; key < CONF_KEY_COUNT && ret == 0; key++)
		ret = add_line(table, device, (enum conf_key)key);
	if (ret == 0) {
		printf("[%s]%s%s\n", device->name, device->applies ? "" : ": not on this machine: ",
		       device->applies ? "" : device->why_not);
		scols_table_enable_noheadings(table, 1);
		ret = scols_print_table(table);
	}
	scols_unref_table(table);
	return ret;
}

static bool add(struct json_object *object, const char *key, struct json_object *value)
{
	if (value && json_object_object_add(object, key, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

/* {"value":"2G","file":"/etc/zcram.conf","line":7,"defaults":false}; file null: the default */
static struct json_object *key_json(const struct conf_device *device, enum conf_key key)
{
	const struct conf_origin *origin = &device->origin[key];
	struct json_object *object = json_object_new_object();
	char *value = NULL;
	bool ok = object && conf_print(device, key, &value) == 0 &&
		  add(object, "value", json_object_new_string(value));

	free(value);
	if (ok && origin->file)
		ok = add(object, "file", json_object_new_string(origin->file)) &&
		     add(object, "line", json_object_new_int64(origin->line)) &&
		     add(object, "defaults", json_object_new_boolean(origin->from_defaults));
	else if (ok)
		ok = json_object_object_add(object, "file", NULL) == 0;
	if (ok)
		return object;
	json_object_put(object);
	return NULL;
}

static struct json_object *device_json(const struct conf_device *device)
{
	struct json_object *object = json_object_new_object(), *keys = json_object_new_object();
	bool ok = object && keys && add(object, "name", json_object_new_string(device->name)) &&
		  add(object, "applies", json_object_new_boolean(device->applies));

	if (ok && !device->applies)
		ok = add(object, "why-not", json_object_new_string(device->why_not));
	for (int key = 0; key < CONF_KEY_COUNT && ok; key++)
		ok = add(keys, conf_key_names[key].name, key_json(device, (enum conf_key)key));
	if (ok && add(object, "keys", keys))
		return object;
	if (!ok)
		json_object_put(keys);
	json_object_put(object);
	return NULL;
}

/* What is to be shown: one device, or all. */
struct choice {
	const struct conf *conf;
	const char *name; /* NULL: all */
};

static const struct conf_device *next_device(const struct choice *choice, size_t *at)
{
	if (choice->name)
		return (*at)++ == 0 ? conf_find(choice->conf, choice->name) : NULL;
	return *at < conf_count(choice->conf) ? conf_at(choice->conf, (*at)++) : NULL;
}

static int print_json(const struct choice *choice)
{
	struct json_object *object = json_object_new_object(), *files = json_object_new_array(),
			   *devices = json_object_new_array();
	const struct conf_device *device;
	bool ok = object && files && devices;
	size_t at = 0;

	for (const char *const *file = conf_files(choice->conf); ok && *file; file++)
		ok = json_object_array_add(files, json_object_new_string(*file)) == 0;
	while (ok && (device = next_device(choice, &at))) {
		struct json_object *one = device_json(device);

		ok = one && json_object_array_add(devices, one) == 0;
	}
	ok = ok && json_object_object_add(object, "files", json_object_get(files)) == 0 &&
	     json_object_object_add(object, "devices", json_object_get(devices)) == 0;
	if (ok)
		puts(json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
					JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(files);
	json_object_put(devices);
	json_object_put(object);
	return ok ? ctl_flush() : no_memory();
}

static int print_text(const struct choice *choice)
{
	const struct conf_device *device;
	size_t at = 0;

	for (const char *const *file = conf_files(choice->conf); *file; file++)
		printf("# %s\n", *file);
	while ((device = next_device(choice, &at))) {
		if (print_device(device) < 0)
			return no_memory();
	}
	return ctl_flush();
}

static int show(const struct choice *choice, bool json)
{
	if (choice->name && !conf_find(choice->conf, choice->name)) {
		ctl_complain("config: %s: no section [%s] in any file", choice->name, choice->name);
		return CTL_FAILURE;
	}
	return json ? print_json(choice) : print_text(choice);
}

static int load(const char *root, struct conf **ret_conf)
{
	struct conf_host host;
	char *why = NULL;
	int ret = conf_host_get(root, &host);

	/* The tree of another machine, at rest: it is judged by the memory of this one. */
	if (ret == -ENOENT)
		ret = conf_host_get(NULL, &host);
	if (ret < 0) {
		ctl_complain("config: /proc/meminfo: %s", strerror(-ret));
		return CTL_FAILURE;
	}
	host.check_algorithm = codec_algorithm_check;
	ret = conf_load(root, &host, ret_conf, &why);
	if (ret == 0)
		return CTL_OK;
	/* Each of its lines says which file and line it is about. */
	fprintf(stderr, "%s\n", why ? why : strerror(-ret));
	free(why);
	return CTL_FAILURE;
}

static int run(struct ctl_args *args)
{
	const char *root = NULL;
	struct choice choice = {0};
	struct conf *conf;
	bool json = false;
	int opt, status;

	while ((opt = ctl_next_option(args)) > 0) {
		if (opt == 'J')
			json = true;
		else
			root = optarg;
	}
	if (opt < 0 || !ctl_operands_fit(args, 0, 1))
		return args->status;
	if (args->count)
		choice.name = args->operands[0];
	if (choice.name && !conf_is_name(choice.name))
		return ctl_misused("config: %s: not a device's name: give zcram and a number",
				   choice.name);
	status = load(root, &conf);
	if (status != CTL_OK)
		return status;
	choice.conf = conf;
	status = show(&choice, json);
	conf_free(conf);
	return status;
}

const struct ctl_command ctl_config = {
	.name = "config",
	.operands = "[NAME]",
	.summary = "which settings are in force, and from which file",
	.options = options,
	.run = run,
};
