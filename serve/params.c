/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve/params.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/segment.h"
#include "common/util.h"
#include "device/settings.h"
#include "serve/say.h"

static const char *const keys[PARAM_COUNT] = {
	[PARAM_SIZE] = "size",
	[PARAM_ALGORITHM] = "algorithm",
	[PARAM_MEM_LIMIT] = "mem-limit",
	[PARAM_RESERVE] = "reserve",
	[PARAM_FILTER] = "filter",
	[PARAM_COMPACT] = "compact",
	[PARAM_ALLOCATOR] = "allocator",
	[PARAM_RECOMPRESS_AGE] = "recompress-age",
	[PARAM_RECOMPRESS_CPU] = "recompress-cpu",
	[PARAM_WRITEBACK] = "writeback",
	[PARAM_WRITEBACK_SIZE] = "writeback-size",
	[PARAM_WRITEBACK_AT] = "writeback-at",
	[PARAM_WRITEBACK_AGE] = "writeback-age",
	[PARAM_WRITEBACK_LIMIT] = "writeback-limit",
	[PARAM_LOCK] = "lock",
	[PARAM_CONTROL] = "control",
	[PARAM_NAME] = "name",
	[PARAM_POOL] = "pool",
	[PARAM_POOL_AT_EXIT] = "pool-at-exit",
};

static int refuse(const struct params *params, enum param param, const char *why)
{
	say_error("%s=%s: %s", keys[param], params->given[param], why);
	return -1;
}

static int set_setting(struct params *params, enum param param, const char *value)
{
	char why[SETTINGS_WHY_SIZE];

	return settings_set(&params->settings, keys[param], value, why) < 0
		       ? refuse(params, param, why)
		       : 0;
}

/* From the root: the front end may go to another directory. NULL: there is no memory. */
static char *absolute_path(const char *path)
{
	char *here, *absolute;

	if (*path == '/')
		return strdup(path);
	here = getcwd(NULL, 0);
	if (here == NULL || asprintf(&absolute, "%s/%s", here, path) < 0)
		absolute = NULL;
	free(here);
	return absolute;
}

static int set_control(struct params *params, const char *value)
{
	if (*value == '\0')
		return refuse(params, PARAM_CONTROL, "empty: give the path of a socket");
	params->control = absolute_path(value);
	if (params->control != NULL)
		return 0;
	say_error("control=%s: %s", value, strerror(errno));
	return -1;
}

static int set_writeback(struct params *params, const char *value)
{
	const char *why;
	bool remote;

	if (conf_parse_writeback(value, &remote, &why) < 0)
		return refuse(params, PARAM_WRITEBACK, why);
	params->writeback = remote ? strdup(value) : absolute_path(value);
	if (params->writeback != NULL)
		return 0;
	say_error("writeback=%s: %s", value, strerror(errno));
	return -1;
}

static int set_name(struct params *params, const char *value)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(value);

	if (len == 0 || len > PARAMS_NAME_MAX || strspn(value, allowed) != len) {
		say_error("name=%s: not a name: give 1 to %d letters, digits, "
			  "dots, underscores and dashes",
			  value, PARAMS_NAME_MAX);
		return -1;
	}
	params->name = value;
	return 0;
}

static int set_pool(struct params *params, const char *value)
{
	if (!segment_name_valid(value)) {
		say_error("pool=%s: not a name: give 1 to %d letters, digits, "
			  "dots, underscores and dashes",
			  value, SEGMENT_NAME_SIZE - 1);
		return -1;
	}
	params->pool = value;
	return 0;
}

static int set(struct params *params, enum param param, const char *value)
{
	const char *why;
	int r;

	switch (param) {
	case PARAM_SIZE:
		r = conf_parse_size(value, &params->size, &why);
		break;
	case PARAM_RESERVE:
		r = conf_parse_size(value, &params->reserve, &why);
		break;
	case PARAM_ALLOCATOR:
		r = conf_parse_choice(&conf_allocator_choice, value, &params->allocator, &why);
		break;
	case PARAM_WRITEBACK:
		return set_writeback(params, value);
	case PARAM_WRITEBACK_SIZE:
		r = conf_parse_size(value, &params->writeback_size, &why);
		break;
	case PARAM_LOCK:
		r = conf_parse_choice(&conf_lock_choice, value, &params->lock, &why);
		break;
	case PARAM_CONTROL:
		return set_control(params, value);
	case PARAM_NAME:
		return set_name(params, value);
	case PARAM_POOL:
		return set_pool(params, value);
	case PARAM_POOL_AT_EXIT:
		r = conf_parse_choice(&conf_pool_at_exit_choice, value, &params->pool_at_exit,
				      &why);
		break;
	default:
		return set_setting(params, param, value);
	}
	return r < 0 ? refuse(params, param, why) : 0;
}

int params_set(struct params *params, const char *key, const char *value)
{
	for (enum param param = 0; param < PARAM_COUNT; param++) {
		if (strcmp(key, keys[param]) != 0)
			continue;
		if (params->given[param] != NULL) {
			say_error("%s=%s: given twice (%s before): give it once", key, value,
				  params->given[param]);
			return -1;
		}
		params->given[param] = value;
		return set(params, param, value);
	}
	say_error("%s=%s: unknown parameter: give size, algorithm, mem-limit, reserve, "
		  "filter, compact, allocator, recompress-age, recompress-cpu, writeback, "
		  "writeback-size, writeback-at, writeback-age, writeback-limit, lock, control, "
		  "name, pool or pool-at-exit",
		  key, value);
	return -1;
}

static int check_size(const struct params *params)
{
	if (params->given[PARAM_SIZE] == NULL && params->pool != NULL)
		return 0; /* the pool says it */
	if (params->given[PARAM_SIZE] == NULL) {
		say_error("size: missing: give the size of the device, such as size=4G");
		return -1;
	}
	if (params->size == 0)
		return refuse(params, PARAM_SIZE, "too small: give at least 1 byte");
	if (params->size > device_max_size()) {
		say_error("size=%s: too large: give at most %" PRIu64 " bytes",
			  params->given[PARAM_SIZE], device_max_size());
		return -1;
	}
	return 0;
}

static int check_mem_limit(const struct params *params)
{
	if (params->given[PARAM_MEM_LIMIT] == NULL ||
	    params->settings.mem_limit >= device_min_limit())
		return 0;
	say_error("mem-limit=%s: too small: give at least %" PRIu64
		  " bytes, or leave it out for no limit",
		  params->given[PARAM_MEM_LIMIT], device_min_limit());
	return -1;
}

/* More than the pool may grow to would be held for nothing. */
static int complete_reserve(struct params *params)
{
	bool limited = params->given[PARAM_MEM_LIMIT] != NULL;
	uint64_t most = limited ? params->settings.mem_limit : params->size;

	if (params->given[PARAM_RESERVE] == NULL) {
		params->reserve = min_u64(PARAMS_DEFAULT_RESERVE, most);
		return 0;
	}
	if (params->reserve <= most)
		return 0;
	say_error("reserve=%s: too large: give at most %" PRIu64 " bytes, the %s",
		  params->given[PARAM_RESERVE], most, limited ? "mem-limit" : "size");
	return -1;
}

static int check_writeback(const struct params *params)
{
	const char *why;
	bool remote;

	for (enum param param = PARAM_WRITEBACK_AT; param <= PARAM_WRITEBACK_LIMIT; param++)
		if (params->given[param] != NULL && params->writeback == NULL)
			return refuse(params, param,
				      "there is nowhere to write to: give writeback= too");
	if (params->given[PARAM_WRITEBACK_SIZE] == NULL)
		return 0;
	if (params->writeback == NULL)
		return refuse(params, PARAM_WRITEBACK_SIZE,
			      "there is nothing to be made so large: give writeback=PATH too");
	if (conf_parse_writeback(params->writeback, &remote, &why) < 0 || remote)
		return refuse(params, PARAM_WRITEBACK_SIZE,
			      "an export has its own size: leave it out");
	if (params->writeback_size >= CONF_WRITEBACK_MIN)
		return 0;
	return refuse(params, PARAM_WRITEBACK_SIZE, "too small: give at least 5M");
}

/* What is not given takes its default, in the order of the keys. */
static int complete_settings(struct params *params)
{
	static const char *const defaults[PARAM_COUNT] = {
		[PARAM_ALGORITHM] = PARAMS_DEFAULT_ALGORITHM,
		[PARAM_FILTER] = PARAMS_DEFAULT_FILTER,
		[PARAM_COMPACT] = PARAMS_DEFAULT_COMPACT,
		[PARAM_RECOMPRESS_AGE] = PARAMS_DEFAULT_RECOMPRESS_AGE,
		[PARAM_RECOMPRESS_CPU] = PARAMS_DEFAULT_RECOMPRESS_CPU,
		[PARAM_WRITEBACK_AT] = PARAMS_DEFAULT_WRITEBACK_AT,
		[PARAM_WRITEBACK_AGE] = PARAMS_DEFAULT_WRITEBACK_AGE,
	};

	for (enum param param = 0; param < PARAM_COUNT; param++) {
		if (defaults[param] != NULL && params->given[param] == NULL &&
		    set(params, param, defaults[param]) < 0)
			return -1;
	}
	return 0;
}

int params_complete(struct params *params)
{
	if (complete_settings(params) < 0)
		return -1;
	if (params->given[PARAM_POOL_AT_EXIT] != NULL && params->pool == NULL)
		return refuse(params, PARAM_POOL_AT_EXIT, "there is no pool: give pool=NAME too");
	if (check_size(params) < 0 || check_mem_limit(params) < 0 || check_writeback(params) < 0)
		return -1;
	return params->size == 0 ? 0 : complete_reserve(params);
}

int params_set_size(struct params *params, uint64_t size)
{
	params->size = size;
	return complete_reserve(params);
}

void params_free(struct params *params)
{
	free(params->control);
	params->control = NULL;
	free(params->writeback);
	params->writeback = NULL;
}

_Static_assert((int)ZS_ZSPAGE == (int)CONF_ALLOCATOR_ZSPAGE &&
		       (int)ZS_ZBUD == (int)CONF_ALLOCATOR_ZBUD,
	       "the words for the allocators are in their order");

struct device_options params_device_options(const struct params *params)
{
	return (struct device_options){
		.size = params->size,
		.mem_limit = params->settings.mem_limit,
		.reserve = params->reserve,
		.auto_compact = params->settings.auto_compact,
		.allocator = (enum zs_kind)params->allocator,
		.method = params->settings.method,
		.cold = params->settings.cold,
		.writeback = params->settings.writeback,
	};
}
