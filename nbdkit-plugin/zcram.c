/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nbdkit plugin: nbdkit's callbacks in the words of the device.
 *
 * On the I/O path nothing is logged and nothing allocated: an error goes to the client as an errno,
 * and is counted in the statistics.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/protocol.h"
#include "control/server.h"
#include "device/device.h"
#include "nbdkit-plugin/lock.h"
#include "nbdkit-plugin/params.h"
#include "nbdkit-plugin/pool.h"
#include "nbdkit-plugin/stats.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* nbdkit refuses to read or write more at a time. */
#define MAX_BLOCK_SIZE (64u << 20)

NBDKIT_DLL_PUBLIC int zcram_debug_stats; /* -D zcram.stats=1 */

static struct params params;
static struct device *device;
static struct control_server *control; /* NULL: none is asked for */
static struct lock_result tried_lock;
static bool locked;  /* memory is, since zcram_after_fork() */
static bool started; /* all is: what comes now is a clean stop */

/* Starting and stopping. */

static void zcram_load(void)
{
	stats_catch_signal();
}

static int zcram_config(const char *key, const char *value)
{
	return params_set(&params, key, value);
}

static int zcram_config_complete(void)
{
	return params_complete(&params);
}

static void dump_levels(enum codec_id id)
{
	int min, max, unasked;

	codec_levels(id, &min, &max, &unasked);
	printf("zcram_%s_levels=%d to %d\n", codec_name(id), min, max);
	printf("zcram_%s_default_level=%d\n", codec_name(id), unasked);
}

static void zcram_dump_plugin(void)
{
	printf("zcram_version=%s\n", ZCRAM_VERSION);
	printf("zcram_page_size=%d\n", DEVICE_PAGE_SIZE);
	printf("zcram_max_size=%" PRIu64 "\n", device_max_size());
	printf("zcram_min_mem_limit=%" PRIu64 "\n", device_min_limit());
	printf("zcram_algorithms=%s %s\n", codec_name(CODEC_LZ4), codec_name(CODEC_ZSTD));
	dump_levels(CODEC_LZ4);
	dump_levels(CODEC_ZSTD);
	printf("zcram_filters=auto none\n");
	printf("zcram_default_algorithm=%s\n", PARAMS_DEFAULT_ALGORITHM);
	printf("zcram_default_reserve=%" PRIu64 "\n", PARAMS_DEFAULT_RESERVE);
	printf("zcram_default_filter=%s\n", PARAMS_DEFAULT_FILTER);
	printf("zcram_default_compact=%s\n", PARAMS_DEFAULT_COMPACT);
	printf("zcram_default_lock=auto\n");
	printf("zcram_default_pool_at_exit=remove\n");
	printf("zcram_pool_layout=%d\n", DEVICE_STORE_LAYOUT);
	printf("zcram_control_version=%d\n", CONTROL_VERSION);
}

/* 0 when all that lock= asks for is done; else says what is not: -1 when that is an error. */
static int report_lock(const struct lock_result *result)
{
	const char *mode = conf_lock_choice.words[params.lock];
	char text[LOCK_TEXT_SIZE];

	if (lock_is_complete(result))
		return 0;
	lock_describe(result, text, sizeof(text));
	if (params.lock == CONF_LOCK_ON) {
		nbdkit_error("zcram: lock=%s: %s", mode, text);
		return -1;
	}
	nbdkit_error("zcram: lock=%s: going on although %s", mode, text);
	return 0;
}

/*
 * Locking is tried, and undone, while the user can still be told what fails: after the fork there
 * is at best a system log. It has to be done there, for no child inherits the lock.
 */
static int try_lock(void)
{
	if (params.lock == CONF_LOCK_OFF)
		return 0;
	tried_lock = lock_apply();
	lock_undo();
	return report_lock(&tried_lock);
}

static int apply_lock(void)
{
	struct lock_result result;

	if (params.lock == CONF_LOCK_OFF)
		return 0;
	result = lock_apply();
	locked = result.memory == 0;
	if (locked)
		lock_prepare_threads();
	lock_touch_code();
	/* What has been said once is not said again. nbdkit --user may have made it differ. */
	if (lock_result_equal(&result, &tried_lock))
		return 0;
	return report_lock(&result);
}

static int refuse_control(int r)
{
	switch (r) {
	case -EADDRINUSE:
		nbdkit_error("zcram: control=%s: in use: another server is running on it",
			     params.control);
		break;
	case -EEXIST:
		nbdkit_error("zcram: control=%s: there is something that is not a socket: "
			     "give another path, or remove it",
			     params.control);
		break;
	case -ENAMETOOLONG:
		nbdkit_error("zcram: control=%s: too long: a socket's path has at most %d bytes",
			     params.control, CONTROL_PATH_MAX);
		break;
	case -ENOENT:
	case -ENOTDIR:
		nbdkit_error("zcram: control=%s: there is no such directory: "
			     "give a path in one that exists",
			     params.control);
		break;
	default:
		nbdkit_error("zcram: control=%s: the socket cannot be made: %s", params.control,
			     strerror(-r));
	}
	return -1;
}

static int new_control(void)
{
	struct control_server_options options = {
		.path = params.control,
		.name = params.name,
		.device = device,
		.version = ZCRAM_VERSION,
	};
	int r;

	if (params.control == NULL)
		return 0;
	r = control_server_new(&options, &control);
	return r < 0 ? refuse_control(r) : 0;
}

/* nbdkit exits when a callback fails, without another: nothing is to be left of a new pool. */
static int give_up(void)
{
	if (device != NULL) {
		device_stop(device);
		device_free(device);
		device = NULL;
	}
	pool_close(false);
	return -1;
}

static int zcram_get_ready(void)
{
	struct device_options options;
	int r;

	if (try_lock() < 0)
		return -1;
	if (pool_open(&params) < 0)
		return give_up();
	options = params_device_options(&params);
	options.store = pool_store(&options.store_size);
	r = device_new(&options, &device);
	if (r < 0) {
		nbdkit_error("zcram: the device cannot be made: %s", strerror(-r));
		return give_up();
	}
	pool_report(device);
	return new_control() < 0 ? give_up() : 0;
}

/* Last of all: who is answered finds everything at work. */
static int start_control(void)
{
	int r;

	if (control == NULL)
		return 0;
	r = control_server_start(control);
	if (r < 0)
		nbdkit_error("zcram: control=%s: the socket cannot be served: %s", params.control,
			     strerror(-r));
	return r;
}

static int zcram_after_fork(void)
{
	int r = 0;

	/* First of all: threads inherit the mark, and nbdkit makes its own from this one. */
	if (apply_lock() < 0 || pool_after_fork(locked) < 0)
		return give_up();
	/* Locked as it is touched, memory is had now and not by the requests. */
	if (locked)
		r = device_prefault(device);
	if (r == 0)
		r = device_start(device);
	if (r == 0)
		r = stats_start(device);
	if (r < 0) {
		nbdkit_error("zcram: the device cannot be started: %s", strerror(-r));
		return give_up();
	}
	if (start_control() < 0) {
		stats_stop();
		return give_up();
	}
	started = true;
	return 0;
}

/* Only called when zcram_after_fork() was. */
static void zcram_cleanup(void)
{
	if (control != NULL)
		control_server_stop(control);
	stats_stop();
	device_stop(device);
	if (zcram_debug_stats)
		stats_print(device);
}

static void zcram_unload(void)
{
	control_server_free(control);
	if (device != NULL)
		device_free(device);
	pool_close(started);
	params_free(&params);
	stats_release_signal();
}

/* What a client is told. */

static void *zcram_open(int readonly)
{
	if (locked)
		lock_prepare_buffers();
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t zcram_get_size(void *handle)
{
	return (int64_t)device_size(device);
}

static int zcram_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	*minimum = 1;
	*preferred = DEVICE_PAGE_SIZE;
	*maximum = MAX_BLOCK_SIZE;
	return 0;
}

/* Every connection sees the same memory at once. */
static int zcram_can_multi_conn(void *handle)
{
	return 1;
}

/* A write that is acknowledged is as durable as it will ever be. */
static int zcram_can_fua(void *handle)
{
	return NBDKIT_FUA_NATIVE;
}

/* There is nothing faster to fetch into: without a .cache callback every such request succeeds. */
static int zcram_can_cache(void *handle)
{
	return NBDKIT_CACHE_NATIVE;
}

/* Zeroing frees objects and stores none. */
static int zcram_can_fast_zero(void *handle)
{
	return 1;
}

/* Data. */

static int reply(int r)
{
	if (r == 0)
		return 0;
	errno = -r;
	return -1;
}

static int zcram_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	lock_touch_stack();
	return reply(device_read(device, buf, offset, count));
}

static int zcram_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset,
			uint32_t flags)
{
	lock_touch_stack();
	return reply(device_write(device, buf, offset, count));
}

static int zcram_flush(void *handle, uint32_t flags)
{
	return reply(device_flush(device));
}

static int zcram_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	lock_touch_stack();
	return reply(device_trim(device, offset, count));
}

static int zcram_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	lock_touch_stack();
	return reply(device_zero(device, offset, count));
}

struct extents_request {
	struct nbdkit_extents *extents;
	bool only_first;
};

/* Positive: no more are wanted. */
static int add_extent(void *opaque, uint64_t offset, uint64_t length, bool hole)
{
	const struct extents_request *request = opaque;
	uint32_t type = hole ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0;

	if (nbdkit_add_extent(request->extents, offset, length, type) < 0)
		return -errno;
	return request->only_first;
}

static int zcram_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			 struct nbdkit_extents *extents)
{
	struct extents_request request = {
		.extents = extents,
		.only_first = (flags & NBDKIT_FLAG_REQ_ONE) != 0,
	};
	int r;

	lock_touch_stack();
	r = device_extents(device, offset, count, add_extent, &request);
	return reply(r > 0 ? 0 : r);
}

static struct nbdkit_plugin plugin = {
	.name = "zcram",
	.longname = "compressed RAM disk",
	.version = ZCRAM_VERSION,
	.description = "A block device in RAM that keeps every page compressed.",
	.load = zcram_load,
	.config = zcram_config,
	.config_complete = zcram_config_complete,
	.config_help = PARAMS_HELP,
	.magic_config_key = "size",
	.dump_plugin = zcram_dump_plugin,
	.get_ready = zcram_get_ready,
	.after_fork = zcram_after_fork,
	.cleanup = zcram_cleanup,
	.unload = zcram_unload,
	.open = zcram_open,
	.get_size = zcram_get_size,
	.block_size = zcram_block_size,
	.can_multi_conn = zcram_can_multi_conn,
	.can_fua = zcram_can_fua,
	.can_cache = zcram_can_cache,
	.can_fast_zero = zcram_can_fast_zero,
	.pread = zcram_pread,
	.pwrite = zcram_pwrite,
	.flush = zcram_flush,
	.trim = zcram_trim,
	.zero = zcram_zero,
	.extents = zcram_extents,
	.errno_is_preserved = 1,
};

NBDKIT_REGISTER_PLUGIN(plugin)
