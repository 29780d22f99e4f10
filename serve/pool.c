/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/segment.h"
#include "serve/say.h"

/* How long a child waits for its parent to be gone: some instructions of its own. */
#define PARENT_MS 10000

static struct {
	struct segment segment;
	const char *name; /* NULL: there is none, or it is neither claimed nor expected */
	bool made, locked;
} pool;

static int refuse_name(const char *name, const char *why)
{
	say_error("pool=%s: %s", name, why);
	return -1;
}

static int refuse_claim(const char *name, int r)
{
	if (r == -EBUSY)
		return refuse_name(name, "in use: another server is running on it");
	if (r == -EACCES)
		return refuse_name(name, "it is another user's: give another name");
	say_error("pool=%s: it cannot be claimed: %s", name, strerror(-r));
	return -1;
}

static int refuse_attach(const char *name, uint64_t size, int r)
{
	switch (r) {
	case -ENOENT:
		return refuse_name(name, "there is no such pool yet: "
					 "give the size of the device too, such as size=4G");
	case -EADDRINUSE:
		return refuse_name(name, "its key is used by something else: give another name");
	case -EACCES:
		return refuse_name(name, "it is another user's: give another name");
	case -EPROTO:
		return refuse_name(name, "it is truncated: there is no room for a header");
	}
	say_error("pool=%s: the kernel gives no shared memory segment of %" PRIu64 " bytes: %s",
		  name, size, strerror(-r));
	return -1;
}

/* It holds a device, or nothing: is it what was asked for? PARAMS has its size and allocator then. */
static int check_content(struct params *params, const void *memory, uint64_t memory_size)
{
	struct device_store_info info;
	const char *why;
	int r = device_store_inspect(memory, memory_size, &info, &why);

	if (r == -ENODATA && params->size != 0 && memory_size == device_store_size(params->size))
		return params_set_size(params, params->size);
	if (r == -ENODATA)
		return refuse_name(params->pool,
				   "it was never completed, and has another size: "
				   "remove it, or give the size that it was made with");
	if (r < 0)
		return refuse_name(params->pool, why);
	if (params->size != 0 && params->size != info.device_size) {
		say_error("pool=%s: it holds a device of %" PRIu64 " bytes: "
			  "give that size, or none",
			  params->pool, info.device_size);
		return -1;
	}
	if (params->given[PARAM_ALLOCATOR] != NULL && params->allocator != (int)info.allocator) {
		say_error("pool=%s: its allocator is %s: give allocator=%s, or none", params->pool,
			  conf_allocator_choice.words[info.allocator],
			  conf_allocator_choice.words[info.allocator]);
		return -1;
	}
	params->allocator = (int)info.allocator;
	return params_set_size(params, info.device_size);
}

/*
 * mlockall() has marked the mapping too, and of a marked one no memory can be given back. The segment's
 * own lock holds what is in it, whoever has it mapped how.
 */
static void unmark(void)
{
	munlock(pool.segment.memory, pool.segment.size);
}

int pool_expect(struct params *params, bool locked)
{
	int r;

	if (params->pool == NULL)
		return 0;
	r = segment_expect(params->pool, &pool.segment);
	if (r == -ENOENT)
		return refuse_name(params->pool, "there is no such pool to take over");
	if (r < 0)
		return refuse_attach(params->pool, 0, r);
	pool.name = params->pool;
	/* Before anything of it is touched. */
	if (locked && params->lock != CONF_LOCK_OFF)
		unmark();
	return check_content(params, pool.segment.memory, pool.segment.size);
}

/* Nobody attached, the pool must not be swapped out: a new server could not come for its content. */
static int lock(const struct params *params)
{
	const char *mode = conf_lock_choice.words[params->lock];
	int r;

	if (params->lock == CONF_LOCK_OFF)
		return 0;
	r = segment_lock(&pool.segment);
	pool.locked = r == 0;
	if (r == 0)
		return 0;
	say_error("lock=%s: %sthe pool may be swapped out "
		  "(%s: it takes CAP_IPC_LOCK or ulimit -l unlimited)",
		  mode, params->lock == CONF_LOCK_ON ? "" : "going on although ", strerror(-r));
	return params->lock == CONF_LOCK_ON ? -1 : 0;
}

bool pool_is_free(void)
{
	return !segment_is_claimed(&pool.segment);
}

int pool_claim(const struct params *params, int milliseconds)
{
	int r;

	if (params->pool == NULL)
		return 0;
	if (pool.name != NULL)
		r = segment_reclaim(&pool.segment, milliseconds);
	else
		r = segment_claim(params->pool, milliseconds, &pool.segment);
	if (r < 0)
		return refuse_claim(params->pool, r);
	pool.name = params->pool;
	return 0;
}

int pool_open(struct params *params, bool make)
{
	uint64_t size = make ? device_store_size(params->size) : 0;
	int r;

	if (params->pool == NULL)
		return 0;
	r = segment_attach(&pool.segment, size, &pool.made);
	if (r == -ENOENT && !make)
		return refuse_name(params->pool, "there is no such pool to take over");
	if (r < 0)
		return refuse_attach(params->pool, size, r);
	if (check_content(params, pool.segment.memory, pool.segment.size) < 0 || lock(params) < 0)
		return -1;
	return 0;
}

void *pool_store(uint64_t *ret_size)
{
	*ret_size = pool.name ? pool.segment.size : 0;
	return pool.name ? pool.segment.memory : NULL;
}

static int say_damaged(void *opaque, uint64_t page)
{
	say_debug("pool=%s: page %" PRIu64 " is damaged", pool.name, page);
	return 0;
}

void pool_report(struct device *device)
{
	struct device_recovery found;
	char uuid[DEVICE_UUID_TEXT];

	if (pool.name == NULL)
		return;
	device_get_recovery(device, &found);
	device_uuid_text(found.uuid, uuid);
	say_debug("pool=%s: %s, generation %" PRIu32 ", uuid %s", pool.name,
		  found.recovered ? "recovered" : "new", found.generation, uuid);
	if (!found.recovered)
		return;
	say_debug("pool=%s: %" PRIu64 " pages found, %" PRIu64 " damaged, %" PRIu64
		  " cells freed, in %" PRIu64 " us",
		  pool.name, found.pages, found.damaged, found.cells_freed, found.ns / 1000);
	if (found.damaged == 0)
		return;
	say_error("pool=%s: %" PRIu64 " pages are damaged: "
		  "reads of them fail until they are written or trimmed",
		  pool.name, found.damaged);
	device_damaged(device, say_damaged, NULL);
}

int pool_take(bool locked)
{
	int r;

	if (pool.name == NULL)
		return 0;
	r = segment_reclaim(&pool.segment, PARENT_MS);
	if (r < 0)
		return refuse_claim(pool.name, r);
	if (locked && pool.locked)
		unmark();
	return 0;
}

bool pool_is_lost(const struct params *params, enum pool_end end)
{
	switch (end) {
	case POOL_FAILED:
		return params->pool == NULL || pool.made;
	case POOL_STOPPED:
		return params->pool == NULL || params->pool_at_exit != CONF_POOL_KEEP;
	default:
		return params->pool == NULL;
	}
}

void pool_close(const struct params *params, enum pool_end end)
{
	if (pool.name == NULL)
		return;
	/* In a parent that has forked a server off nothing is this process's any more. */
	if (pool_is_lost(params, end) && pool.segment.claimant == getpid() &&
	    pool.segment.head != NULL)
		segment_remove(&pool.segment);
	else
		segment_close(&pool.segment);
	pool.name = NULL;
}
