/* SPDX-License-Identifier: BSD-3-Clause */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "nbdkit-plugin/params.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/util.h"

static const char *const keys[PARAM_COUNT] = {
	[PARAM_SIZE] = "size",		 [PARAM_ALGORITHM] = "algorithm",
	[PARAM_MEM_LIMIT] = "mem-limit", [PARAM_RESERVE] = "reserve",
	[PARAM_FILTER] = "filter",	 [PARAM_COMPACT] = "compact",
	[PARAM_LOCK] = "lock",
};

static int refuse(const struct params *params, enum param param, const char *why)
{
	nbdkit_error("zcram: %s=%s: %s", keys[param], params->given[param], why);
	return -1;
}

static int refuse_level(const struct params *params)
{
	int lz4_min, lz4_max, zstd_min, zstd_max, unasked;

	codec_levels(CODEC_LZ4, &lz4_min, &lz4_max, &unasked);
	codec_levels(CODEC_ZSTD, &zstd_min, &zstd_max, &unasked);
	nbdkit_error("zcram: algorithm=%s: no such level: lz4 takes %d to %d, zstd %d to %d",
		     params->given[PARAM_ALGORITHM], lz4_min, lz4_max, zstd_min, zstd_max);
	return -1;
}

static int set_algorithm(struct params *params, const char *value)
{
	struct conf_algorithm algorithm;
	const char *why;
	int r;

	r = conf_parse_algorithm(value, &algorithm, &why);
	if (r == 0)
		r = codec_method_init(&params->method, algorithm.name,
				      algorithm.has_level ? &algorithm.level : NULL);
	if (r == -ERANGE)
		return refuse_level(params);
	if (r < 0)
		return refuse(params, PARAM_ALGORITHM,
			      "not an algorithm: give lz4, lz4(level=N), zstd or zstd(level=N)");
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
	case PARAM_MEM_LIMIT:
		r = conf_parse_size(value, &params->mem_limit, &why);
		break;
	case PARAM_RESERVE:
		r = conf_parse_size(value, &params->reserve, &why);
		break;
	case PARAM_FILTER:
		r = conf_parse_choice(&conf_filter_choice, value, &params->filter, &why);
		break;
	case PARAM_COMPACT:
		r = conf_parse_choice(&conf_compact_choice, value, &params->compact, &why);
		break;
	case PARAM_LOCK:
		r = conf_parse_choice(&conf_lock_choice, value, &params->lock, &why);
		break;
	default:
		return set_algorithm(params, value);
	}
	return r < 0 ? refuse(params, param, why) : 0;
}

int params_set(struct params *params, const char *key, const char *value)
{
	for (enum param param = 0; param < PARAM_COUNT; param++) {
		if (strcmp(key, keys[param]) != 0)
			continue;
		if (params->given[param] != NULL) {
			nbdkit_error("zcram: %s=%s: given twice (%s before): give it once", key,
				     value, params->given[param]);
			return -1;
		}
		params->given[param] = value;
		return set(params, param, value);
	}
	nbdkit_error("zcram: %s=%s: unknown parameter: give size, algorithm, mem-limit, reserve, "
		     "filter, compact or lock",
		     key, value);
	return -1;
}

static int check_size(const struct params *params)
{
	if (params->given[PARAM_SIZE] == NULL) {
		nbdkit_error("zcram: size: missing: give the size of the device, such as size=4G");
		return -1;
	}
	if (params->size == 0)
		return refuse(params, PARAM_SIZE, "too small: give at least 1 byte");
	if (params->size > device_max_size()) {
		nbdkit_error("zcram: size=%s: too large: give at most %" PRIu64 " bytes",
			     params->given[PARAM_SIZE], device_max_size());
		return -1;
	}
	return 0;
}

static int check_mem_limit(const struct params *params)
{
	if (params->given[PARAM_MEM_LIMIT] == NULL || params->mem_limit >= device_min_limit())
		return 0;
	nbdkit_error("zcram: mem-limit=%s: too small: give at least %" PRIu64
		     " bytes, or leave it out for no limit",
		     params->given[PARAM_MEM_LIMIT], device_min_limit());
	return -1;
}

/* More than the pool may grow to would be held for nothing. */
static int complete_reserve(struct params *params)
{
	bool limited = params->given[PARAM_MEM_LIMIT] != NULL;
	uint64_t most = limited ? params->mem_limit : params->size;

	if (params->given[PARAM_RESERVE] == NULL) {
		params->reserve = min_u64(PARAMS_DEFAULT_RESERVE, most);
		return 0;
	}
	if (params->reserve <= most)
		return 0;
	nbdkit_error("zcram: reserve=%s: too large: give at most %" PRIu64 " bytes, the %s",
		     params->given[PARAM_RESERVE], most, limited ? "mem-limit" : "size");
	return -1;
}

int params_complete(struct params *params)
{
	if (params->given[PARAM_ALGORITHM] == NULL &&
	    params_set(params, keys[PARAM_ALGORITHM], PARAMS_DEFAULT_ALGORITHM) < 0)
		return -1;
	if (check_size(params) < 0 || check_mem_limit(params) < 0)
		return -1;
	return complete_reserve(params);
}

struct device_options params_device_options(const struct params *params)
{
	struct device_options options = {
		.size = params->size,
		.mem_limit = params->mem_limit,
		.reserve = params->reserve,
		.auto_compact = params->compact == CONF_COMPACT_AUTO,
		.method = params->method,
	};

	options.method.filter =
		params->filter == CONF_FILTER_AUTO ? CODEC_FILTER_AUTO : CODEC_FILTER_NONE;
	return options;
}
