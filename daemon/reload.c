/* SPDX-License-Identifier: BSD-3-Clause */
/* reload: putting a changed configuration in force, as far as that goes without stopping. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "common/util.h"
#include "control/client.h"
#include "daemon/report.h"
#include "daemon/zcramd.h"

/* The server sets it while requests go on; what takes time is waiting for a CPU. */
#define SET_TIMEOUT_MS 10000

#define BIT(key)       (UINT32_C(1) << (key))
#define IN_USE                                                                                   \
	(BIT(CONF_KEY_ALGORITHM) | BIT(CONF_KEY_FILTER) | BIT(CONF_KEY_COMPACT) |                \
	 BIT(CONF_KEY_MEM_LIMIT) | BIT(CONF_KEY_RECOMPRESS_AGE) | BIT(CONF_KEY_RECOMPRESS_CPU) | \
	 BIT(CONF_KEY_WRITEBACK_AT) | BIT(CONF_KEY_WRITEBACK_AGE) | BIT(CONF_KEY_WRITEBACK_LIMIT))

/* Say of each of KEYS from what to what it changed, and REMARK. */
static void say_changes(const struct conf_device *from, const struct conf_device *to, uint32_t keys,
			const char *remark)
{
	for (enum conf_key key = 0; key < CONF_KEY_COUNT; key++) {
		char *before = NULL, *after = NULL;

		if ((keys & BIT(key)) == 0)
			continue;
		if (conf_print(from, key, &before) == 0 && conf_print(to, key, &after) == 0)
			report(LOG_NOTICE, "%s: changed from %s to %s%s", conf_key_names[key].name,
			       before, after, remark);
		free(before);
		free(after);
	}
}

static int add_text(struct json_object *object, const char *key, const char *value)
{
	struct json_object *text = value ? json_object_new_string(value) : NULL;

	return text != NULL && json_object_object_add(object, key, text) == 0 ? 0 : -ENOMEM;
}

static int add_printed(struct json_object *object, const char *name,
		       const struct conf_device *device, enum conf_key key)
{
	char *text;
	int r;

	r = conf_print(device, key, &text);
	if (r < 0)
		return r;
	r = add_text(object, name, text);
	free(text);
	return r;
}

static int fill(struct json_object *arguments, const struct conf_device *device)
{
	/* They have the names of the server's settings. */
	static const enum conf_key keys[] = {
		CONF_KEY_FILTER,	  CONF_KEY_COMPACT,	 CONF_KEY_RECOMPRESS_AGE,
		CONF_KEY_RECOMPRESS_CPU,  CONF_KEY_WRITEBACK_AT, CONF_KEY_WRITEBACK_AGE,
		CONF_KEY_WRITEBACK_LIMIT,
	};
	char limit[24];
	int r;

	conf_format_size(device->mem_limit, limit, sizeof(limit));
	r = add_text(arguments, "algorithm", device->algorithm);
	r = r < 0 ? r : add_text(arguments, "mem-limit", limit);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keys); i++)
		r = add_printed(arguments, conf_key_names[keys[i]].name, device, keys[i]);
	return r;
}

/*
 * All of them, changed or not: so that after a reload the server has what the files say, also
 * where somebody has set something else by hand.
 */
static int set(const struct zcramd *z, const struct conf_device *device)
{
	struct json_object *arguments = json_object_new_object(), *result;
	struct control_client *client;
	char *message = NULL;
	int r;

	r = arguments ? fill(arguments, device) : -ENOMEM;
	if (r == 0)
		r = control_connect(z->rundir.files[RUNDIR_CONTROL], SET_TIMEOUT_MS, &client);
	if (r == 0) {
		r = control_call(client, "set", arguments, &result, &message);
		if (r == 0)
			json_object_put(result);
		control_close(client);
	}
	if (r < 0)
		report(LOG_ERR, "the server does not take the new settings, the old ones stay: %s",
		       message ? message : strerror(-r));
	free(message);
	json_object_put(arguments);
	return r;
}

/* What differs, over two comparisons: from what was read last, and from what it started with. */
static int apply(struct zcramd *z, const struct conf_device *device)
{
	const struct conf_device *last = z->device;
	uint32_t changed, later;
	int r;

	if (z->reloaded != NULL)
		last = conf_find(z->reloaded, z->device->name);
	r = conf_compare(last, device, &changed);
	if (r == 0)
		r = conf_compare(z->device, device, &later);
	if (r < 0) {
		report(LOG_ERR, "the configuration cannot be compared: %s", strerror(-r));
		return r;
	}
	say_changes(z->device, device, later & ~IN_USE, ": takes effect at the next start");
	r = set(z, device);
	if (r == 0)
		say_changes(last, device, changed & IN_USE, "");
	return r;
}

static int reload(struct zcramd *z)
{
	const struct conf_device *device;
	struct conf *conf;
	char *why;
	int r;

	r = conf_load(z->root, &z->host, &conf, &why);
	if (r < 0) {
		report_lines(LOG_ERR, why);
		free(why);
		report(LOG_ERR, "the configuration has errors: what was in force before stays so");
		return r;
	}
	device = conf_find(conf, z->device->name);
	if (device == NULL || !device->applies) {
		report(LOG_NOTICE, "%s: takes effect at the next start",
		       device ? device->why_not : "its section is gone from the configuration");
		conf_free(conf);
		return 0;
	}
	r = apply(z, device);
	if (r < 0) {
		conf_free(conf);
		return r;
	}
	conf_free(z->reloaded);
	z->reloaded = conf;
	return 0;
}

void zcramd_reload(struct zcramd *z)
{
	int r;

	report_step("reload");
	report_notify("RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reloading", loop_now());
	r = reload(z);
	report_notify("READY=1\nSTATUS=%s is served as %s%s", z->device->name, z->path,
		      r < 0 ? "; the last reload failed" : "");
	if (r == 0)
		report(LOG_INFO, "the configuration is in force as read");
	report_step(NULL);
}
