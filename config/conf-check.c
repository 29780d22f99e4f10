/* SPDX-License-Identifier: BSD-3-Clause */
/* From what was said to what is in force: defaults, and what must be right across keys. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-internal.h"

/* mkswap needs ten pages. */
#define SWAP_MIN UINT64_C(40960)

/* What holds where nothing is set, but for what depends on the host or on other keys. */
static const struct conf_device defaults = {
	.applies = true,
	.filter = CONF_FILTER_AUTO,
	.compact = CONF_COMPACT_AUTO,
	.recompress_age = CONF_DEFAULT_RECOMPRESS_AGE,
	.recompress_cpu = CONF_DEFAULT_RECOMPRESS_CPU,
	.writeback_at = CONF_DEFAULT_WRITEBACK_AT,
	.writeback_age = CONF_DEFAULT_WRITEBACK_AGE,
	.reserve = CONF_RESERVE_AUTO,
	.nbd_index = -1,
	.host_memory_limit = CONF_NO_HOST_LIMIT,
	.swap_priority = 100,
	.options = "discard",
};

/* A device while it is being made, and where its values come from. */
struct made {
	struct conf_device *device;
	struct conf_setting *set[CONF_KEY_COUNT];
};

static bool is_set(const struct made *made, enum conf_key key)
{
	return made->set[key] != NULL;
}

static void adopt(struct made *made, const struct conf_section *section, bool from_defaults)
{
	for (enum conf_key key = 0; section != NULL && key < CONF_KEY_COUNT; key++) {
		struct conf_setting *setting = section->set[key];

		if (setting == NULL)
			continue;
		made->set[key] = setting;
		made->device->origin[key] = (struct conf_origin){
			.file = setting->file,
			.line = setting->line,
			.from_defaults = from_defaults,
			.text = setting->text,
		};
	}
}

/* Each was accepted when it was read; only what it comes to may be wrong now. */
static int set_values(struct made *made, struct conf *conf, const struct conf_host *host,
		      struct conf_errors *errors)
{
	char why[CONF_WHY_SIZE];

	for (enum conf_key key = 0; key < CONF_KEY_COUNT; key++) {
		const struct conf_setting *setting = made->set[key];
		int r;

		if (setting == NULL)
			continue;
		r = conf_value_set(conf, host, made->device, key, setting->text, why);
		if (r == -ENOMEM)
			return r;
		/* As with zram-generator, it is no matter where there is to be no device. */
		if (r < 0 && made->device->applies)
			conf_setting_error(errors, setting, "%s", why);
	}
	return 0;
}

static int set_defaults(struct conf_device *device, struct conf *conf, const struct conf_host *host)
{
	const struct conf_host unchecked = {.ram = host->ram, .cpus = host->cpus};
	char why[CONF_WHY_SIZE];
	int r;

	*device = defaults;
	r = conf_value_set(conf, &unchecked, device, CONF_KEY_SIZE, CONF_SIZE_DEFAULT, why);
	if (r == 0)
		r = conf_value_set(conf, &unchecked, device, CONF_KEY_ALGORITHM, "", why);
	return r;
}

static void check_host_memory(struct conf_device *device, const struct conf_host *host)
{
	if (host->ram >> 20 <= device->host_memory_limit)
		return;
	device->applies = false;
	device->why_not = "the host has more memory than host-memory-limit";
}

static void check_type(struct made *made, struct conf_errors *errors)
{
	struct conf_device *device = made->device;

	if (device->fs_type == NULL)
		device->fs_type = device->mount_point == NULL ? "swap" : "ext2";
	device->swap = strcmp(device->fs_type, "swap") == 0;
	if (!is_set(made, CONF_KEY_LOCK))
		device->lock = device->swap ? CONF_LOCK_ON : CONF_LOCK_AUTO;
	if (device->swap && device->mount_point != NULL)
		conf_setting_error(errors, made->set[CONF_KEY_FS_TYPE],
				   "swap is not mounted: give the type of a file system, or leave "
				   "mount-point out (it is set in %s:%u)",
				   made->set[CONF_KEY_MOUNT_POINT]->file,
				   made->set[CONF_KEY_MOUNT_POINT]->line);
	if (device->swap && conf_value_discard(device->options, &device->discard) < 0)
		conf_setting_error(errors, made->set[CONF_KEY_OPTIONS],
				   "not options of swap: give discard, discard=once, discard=pages "
				   "or nothing; the priority is swap-priority's");
}

static void check_sizes(struct made *made, struct conf_errors *errors)
{
	struct conf_device *device = made->device;
	uint64_t most = device->mem_limit != 0 ? device->mem_limit : device->size;

	if (!device->applies)
		return;
	if (device->size == 0) {
		device->applies = false;
		device->why_not = "its size comes to 0";
		return;
	}
	if (device->swap && device->size < SWAP_MIN && is_set(made, CONF_KEY_SIZE))
		conf_setting_error(errors, made->set[CONF_KEY_SIZE],
				   "too small: swap takes at least 40K");
	if (device->writeback_size > 0 &&
	    (device->writeback == NULL || device->writeback[0] != '/'))
		conf_setting_error(errors, made->set[CONF_KEY_WRITEBACK_SIZE],
				   "there is no file to be made so large: give its path as "
				   "writeback-device, or leave this out");
	if (device->reserve != CONF_RESERVE_AUTO && device->reserve > most) {
		char text[24];

		conf_format_size(most, text, sizeof(text));
		conf_setting_error(errors, made->set[CONF_KEY_RESERVE],
				   "too large: give at most %s, the %s of %s", text,
				   device->mem_limit != 0 ? "zram-resident-limit" : "zram-size",
				   device->name);
	}
}

/* No two devices that there are to be may have one name of the kernel's, or one place. */
static void check_pair(const struct made *made, const struct made *before,
		       struct conf_errors *errors)
{
	const struct conf_device *device = made->device, *other = before->device;
	const struct conf_setting *setting;

	if (!device->applies || !other->applies)
		return;
	if (device->nbd_index >= 0 && device->nbd_index == other->nbd_index) {
		setting = before->set[CONF_KEY_DEVICE];
		conf_setting_error(errors, made->set[CONF_KEY_DEVICE],
				   "%s has it (%s:%u): give auto, or each its own", other->name,
				   setting->file, setting->line);
	}
	if (device->writeback != NULL && other->writeback != NULL &&
	    strcmp(device->writeback, other->writeback) == 0) {
		setting = before->set[CONF_KEY_WRITEBACK];
		conf_setting_error(errors, made->set[CONF_KEY_WRITEBACK],
				   "%s has it (%s:%u): give each its own", other->name,
				   setting->file, setting->line);
	}
	if (device->mount_point != NULL && other->mount_point != NULL &&
	    strcmp(device->mount_point, other->mount_point) == 0) {
		setting = before->set[CONF_KEY_MOUNT_POINT];
		conf_setting_error(errors, made->set[CONF_KEY_MOUNT_POINT],
				   "%s has it (%s:%u): give each its own", other->name,
				   setting->file, setting->line);
	}
}

static int make(struct made *made, struct conf *conf, const struct conf_host *host,
		const struct conf_section *common, const struct conf_section *own,
		struct conf_errors *errors)
{
	struct conf_device *device = made->device;
	int r = set_defaults(device, conf, host);

	if (r < 0)
		return r;
	snprintf(device->name, sizeof(device->name), "zcram%d", own->number);
	adopt(made, common, true);
	adopt(made, own, false);
	/* First, for what sizes come to matters only to a device that there is to be. */
	if (is_set(made, CONF_KEY_HOST_MEMORY_LIMIT))
		r = conf_value_set(conf, host, device, CONF_KEY_HOST_MEMORY_LIMIT,
				   made->set[CONF_KEY_HOST_MEMORY_LIMIT]->text,
				   (char[CONF_WHY_SIZE]){0});
	if (r < 0)
		return r;
	check_host_memory(device, host);
	r = set_values(made, conf, host, errors);
	if (r < 0)
		return r;
	check_type(made, errors);
	check_sizes(made, errors);
	return 0;
}

static int compare_sections(const void *a, const void *b)
{
	const struct conf_section *first = a, *second = b;

	return (first->number > second->number) - (first->number < second->number);
}

static int make_all(struct conf *conf, struct made *made, const struct conf_host *host,
		    struct conf_errors *errors)
{
	const struct conf_section *common = NULL;
	int r = 0;

	for (size_t i = 0; i < conf->section_count && r == 0; i++) {
		const struct conf_section *section = &conf->sections[i];
		struct made *now = &made[conf->device_count];

		if (section->number == CONF_DEFAULTS) {
			common = section;
			continue;
		}
		now->device = &conf->devices[conf->device_count];
		r = make(now, conf, host, common, section, errors);
		for (size_t j = 0; r == 0 && j < conf->device_count; j++)
			check_pair(now, &made[j], errors);
		conf->device_count++;
	}
	return r;
}

int conf_resolve(struct conf *conf, const struct conf_host *host, struct conf_errors *errors)
{
	struct made *made;
	int r;

	if (conf->section_count == 0)
		return 0;
	/* [defaults] comes out first. */
	qsort(conf->sections, conf->section_count, sizeof(*conf->sections), compare_sections);
	made = calloc(conf->section_count, sizeof(*made));
	conf->devices = calloc(conf->section_count, sizeof(*conf->devices));
	r = made == NULL || conf->devices == NULL ? -ENOMEM : make_all(conf, made, host, errors);
	free(made);
	return r;
}
