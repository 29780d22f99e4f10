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
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"
#include "device/device.h"
#include "serve/backing.h"
#include "serve/lock.h"
#include "serve/params.h"
#include "serve/say.h"
#include "serve/serve.h"
#include "serve/stats.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* nbdkit refuses to read or write more at a time. */
#define MAX_BLOCK_SIZE (64u << 20)

NBDKIT_DLL_PUBLIC int zcram_debug_stats; /* -D zcram.stats=1 */

static struct serve serve = {.version = ZCRAM_VERSION};

/* What is said. */

static void say_as_error(const char *line)
{
	nbdkit_error("zcram: %s", line);
}

static void say_as_debug(const char *line)
{
	nbdkit_debug("zcram: %s", line);
}

static const struct say say = {.error = say_as_error, .debug = say_as_debug};

/* Starting and stopping. */

static void zcram_load(void)
{
	say_through(&say);
	stats_catch_signal();
}

static int zcram_config(const char *key, const char *value)
{
	return params_set(&serve.params, key, value);
}

static int zcram_config_complete(void)
{
	return params_complete(&serve.params);
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
	printf("zcram_allocators=zspage zbud\n");
	printf("zcram_default_algorithm=%s\n", PARAMS_DEFAULT_ALGORITHM);
	printf("zcram_default_reserve=%" PRIu64 "\n", PARAMS_DEFAULT_RESERVE);
	printf("zcram_default_filter=%s\n", PARAMS_DEFAULT_FILTER);
	printf("zcram_default_compact=%s\n", PARAMS_DEFAULT_COMPACT);
	printf("zcram_default_allocator=zspage\n");
	printf("zcram_default_recompress_age=%s\n", PARAMS_DEFAULT_RECOMPRESS_AGE);
	printf("zcram_default_recompress_cpu=%s\n", PARAMS_DEFAULT_RECOMPRESS_CPU);
	printf("zcram_default_writeback_at=%s\n", PARAMS_DEFAULT_WRITEBACK_AT);
	printf("zcram_default_writeback_age=%s\n", PARAMS_DEFAULT_WRITEBACK_AGE);
	printf("zcram_default_lock=auto\n");
	printf("zcram_default_pool_at_exit=remove\n");
	printf("zcram_pool_layout=%d\n", DEVICE_STORE_LAYOUT);
	printf("zcram_control_version=%d\n", CONTROL_VERSION);
}

/* nbdkit exits when a callback fails, without another: nothing is to be left of a new pool. */
static int give_up(void)
{
	serve_give_up(&serve);
	return -1;
}

static int zcram_get_ready(void)
{
	if (serve_try_lock(&serve) < 0)
		return -1;
	/* What is wrong with the store is said while there is somebody who listens. */
	if (pool_claim(&serve.params, 0) < 0 || serve_open(&serve, true) < 0 ||
	    backing_try(&serve.params, serve.device) < 0 || serve_new_control(&serve, NULL) < 0)
		return give_up();
	return 0;
}

static int zcram_after_fork(void)
{
	/* First of all: threads inherit the mark, and nbdkit makes its own from this one. */
	if (serve_lock(&serve) < 0 || serve_start(&serve) < 0 || serve_answer(&serve) < 0)
		return give_up();
	return 0;
}

/* Only called when zcram_after_fork() was. */
static void zcram_cleanup(void)
{
	serve_stop(&serve);
	if (zcram_debug_stats)
		stats_print(serve.device);
}

static void zcram_unload(void)
{
	serve_close(&serve, serve.started ? POOL_STOPPED : POOL_FAILED);
	stats_release_signal();
}

/* nbdkit's threads a connection, the largest request of the kernel's client by default. */
#define THREADS		16
#define BUFFER		(((size_t)128 << 10) + 4096)
#define MAX_CONNECTIONS 4

/*
 * Have memory in the heap for the buffers that nbdkit's threads of one connection allocate with
 * their first large requests. For as many connections as the kernel's client has at most.
 */
static void prepare_buffers(void)
{
	static unsigned int connections;
	void *buffers[MAX_CONNECTIONS * THREADS];
	unsigned int n = __atomic_add_fetch(&connections, 1, __ATOMIC_RELAXED);

	if (n > MAX_CONNECTIONS)
		return;
	/* Of earlier connections too: their threads need not have allocated theirs yet. */
	n *= THREADS;
	for (unsigned int i = 0; i < n; i++) {
		buffers[i] = malloc(BUFFER);
		if (buffers[i] != NULL)
			explicit_bzero(buffers[i], BUFFER);
	}
	for (unsigned int i = 0; i < n; i++)
		free(buffers[i]);
}

/* What a client is told. */

static void *zcram_open(int readonly)
{
	if (serve.locked)
		prepare_buffers();
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t zcram_get_size(void *handle)
{
	return (int64_t)device_size(serve.device);
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
	return reply(device_read(serve.device, buf, offset, count));
}

/*
 * A kernel that swaps sends the next write as soon as one is refused, thousands in a second. The thread is
 * the request's own; but there are THREADS of them, so it is not kept for long.
 */
#define REFUSAL_PAUSE_MS 5

static int zcram_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset,
			uint32_t flags)
{
	int r;

	lock_touch_stack();
	r = device_write(serve.device, buf, offset, count);
	if (r == -ENOSPC)
		poll(NULL, 0, REFUSAL_PAUSE_MS);
	return reply(r);
}

static int zcram_flush(void *handle, uint32_t flags)
{
	return reply(device_flush(serve.device));
}

static int zcram_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	lock_touch_stack();
	return reply(device_trim(serve.device, offset, count));
}

static int zcram_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	lock_touch_stack();
	return reply(device_zero(serve.device, offset, count));
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
	r = device_extents(serve.device, offset, count, add_extent, &request);
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
