/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve/backing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "serve/lock.h"
#include "serve/pool.h"
#include "serve/say.h"

int backing_check(const struct params *params, struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	if (params->writeback != NULL || stats.pages_backing == 0)
		return 0;
	say_error("writeback: missing: %" PRIu64 " pages of pool=%s are in a backing store: give "
		  "the writeback= that they were written to",
		  stats.pages_backing, params->pool);
	return -1;
}

static int refuse(const struct params *params, int r, const char *why)
{
	bool is_file = strstr(params->writeback, "://") == NULL;

	say_error("writeback=%s: %s%s", params->writeback, why,
		  is_file && r == -ENOENT && params->writeback_size == 0
			  ? ": give writeback-size= too for a file to be made"
			  : "");
	return -1;
}

/* The mark and the policy are inherited from who creates them. */
static void begin_thread(void *opaque)
{
	lock_touch_stack();
}

/* Whose it is: another host's, or another device's, is not taken for ours. */
static void make_name(const struct params *params, char name[BACKING_NAME])
{
	char host[BACKING_NAME / 2] = "";

	gethostname(host, sizeof(host) - 1);
	snprintf(name, BACKING_NAME, "%s:%.30s", host, params->name ? params->name : "");
}

static void report(const struct params *params, struct device *device, uint64_t damaged)
{
	struct device_recovery found;
	struct backing_stats s;

	device_get_recovery(device, &found);
	device_get_backing(device, &s);
	say_debug("writeback=%s: %" PRIu64 " bytes, %" PRIu64 " in use, %s, %s", params->writeback,
		  s.segments * s.segment_size, (s.segments - s.free) * s.segment_size,
		  s.direct ? "direct" : "not direct", s.io_uring ? "io_uring" : "no io_uring");
	if (found.damaged > damaged)
		say_error("writeback=%s: %" PRIu64 " pages that were written there cannot be: "
			  "reads of them fail until they are written or trimmed",
			  params->writeback, found.damaged - damaged);
}

static struct backing_options make_options(const struct params *params, char name[BACKING_NAME])
{
	make_name(params, name);
	return (struct backing_options){
		.where = params->writeback,
		.name = name,
		.file_size = params->writeback_size,
		.ops.begin_thread = begin_thread,
	};
}

int backing_await(const struct params *params, struct device *device)
{
	char name[BACKING_NAME], why[BACKING_WHY] = "";
	struct backing_options options;
	int r;

	if (params->writeback == NULL && !device_expects_backing(device))
		return 0;
	if (params->writeback == NULL) {
		say_error("writeback: missing: pages of pool=%s are in a backing store: give the "
			  "writeback= that they were written to",
			  params->pool);
		return -1;
	}
	options = make_options(params, name);
	r = device_expect_backing(device, &options, why);
	/* Where the other one is dead, what is served without it is better than nothing. */
	if (r < 0 && pool_is_free() && device_knows_backing(device, params->writeback))
		return 0;
	return r < 0 ? refuse(params, r, why) : 0;
}

int backing_try(const struct params *params, struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	return params->writeback == NULL || stats.pages_backing > 0 ? 0
								    : backing_await(params, device);
}

/*
 * It is where the last server had it, and not to be had now: what is in memory is served all the same. A
 * place that nothing is known of may be a slip of the pen, and is refused.
 */
static bool can_do_without(const struct params *params, struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	return stats.pages_backing > 0 && device_knows_backing(device, params->writeback);
}

static void found_again(void *opaque)
{
	const struct params *params = opaque;

	say_error("writeback=%s: it is there again", params->writeback);
}

/* 0 or -1. */
static int begin_without(struct params *params, struct device *device,
			 const struct backing_options *options, int r, const char *why)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	if (device_seek_backing(device, options, r, found_again, params) < 0)
		return refuse(params, r, why);
	say_error("writeback=%s: %s: going on without: %" PRIu64
		  " pages that are there cannot be read until it is there again",
		  params->writeback, why, stats.pages_backing);
	return 0;
}

int backing_start(struct params *params, struct device *device)
{
	char name[BACKING_NAME], why[BACKING_WHY] = "";
	struct backing_options options;
	struct device_recovery found;
	int r;

	if (params->writeback == NULL)
		return 0;
	options = make_options(params, name);
	device_get_recovery(device, &found);
	r = device_open_backing(device, &options, why);
	if (r == 0) {
		report(params, device, found.damaged);
		return 0;
	}
	if (can_do_without(params, device))
		return begin_without(params, device, &options, r, why);
	return refuse(params, r, why);
}
