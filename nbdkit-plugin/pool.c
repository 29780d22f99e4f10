/* SPDX-License-Identifier: BSD-3-Clause */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "nbdkit-plugin/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/segment.h"

/* How long a child waits for its parent to be gone: some instructions of its own. */
#define PARENT_MS 10000

static struct {
	struct segment segment;
	const char *name; /* NULL: there is none, or it is not claimed */
	bool made, locked;
	bool keep; /* after a clean stop */
} pool;

static int refuse_name(const char *name, const char *why)
{
	nbdkit_error("zcram: pool=%s: %s", name, why);
	return -1;
}

static int refuse_claim(const char *name, int r)
{
	if (r == -EBUSY)
		return refuse_name(name, "in use: another server is running on it");
	if (r == -EACCES)
		return refuse_name(name, "it is another user's: give another name");
	nbdkit_error("zcram: pool=%s: it cannot be claimed: %s", name, strerror(-r));
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
	nbdkit_error("zcram: pool=%s: the kernel gives no shared memory segment of %" PRIu64
		     " bytes: %s",
		     name, size, strerror(-r));
	return -1;
}

/* It holds a device, or nothing: is it what was asked for, and what is its size? */
static int check_content(const struct params *params, uint64_t *ret_size)
{
	struct device_store_info info;
	const char *why;
	int r = device_store_inspect(pool.segment.memory, pool.segment.size, &info, &why);

	if (r == -ENODATA && params->size != 0 &&
	    pool.segment.size == device_store_size(params->size)) {
		*ret_size = params->size;
		return 0;
	}
	if (r == -ENODATA)
		return refuse_name(pool.name, "it was never completed, and has another size: "
					      "remove it, or give the size that it was made with");
	if (r < 0)
		return refuse_name(pool.name, why);
	if (params->size != 0 && params->size != info.device_size) {
		nbdkit_error("zcram: pool=%s: it holds a device of %" PRIu64 " bytes: "
			     "give that size, or none",
			     pool.name, info.device_size);
		return -1;
	}
	*ret_size = info.device_size;
	return 0;
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
	nbdkit_error("zcram: lock=%s: %sthe pool may be swapped out "
		     "(%s: it takes CAP_IPC_LOCK or ulimit -l unlimited)",
		     mode, params->lock == CONF_LOCK_ON ? "" : "going on although ", strerror(-r));
	return params->lock == CONF_LOCK_ON ? -1 : 0;
}

int pool_open(struct params *params)
{
	uint64_t size = device_store_size(params->size);
	int r;

	if (params->pool == NULL)
		return 0;
	r = segment_claim(params->pool, 0, &pool.segment);
	if (r < 0)
		return refuse_claim(params->pool, r);
	pool.name = params->pool;
	pool.keep = params->pool_at_exit == CONF_POOL_KEEP;
	r = segment_attach(&pool.segment, size, &pool.made);
	if (r < 0)
		return refuse_attach(params->pool, size, r);
	if (check_content(params, &size) < 0 || lock(params) < 0)
		return -1;
	return params_set_size(params, size);
}

void *pool_store(uint64_t *ret_size)
{
	*ret_size = pool.name ? pool.segment.size : 0;
	return pool.name ? pool.segment.memory : NULL;
}

static int say_damaged(void *opaque, uint64_t page)
{
	nbdkit_debug("zcram: pool=%s: page %" PRIu64 " is damaged", pool.name, page);
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
	nbdkit_debug("zcram: pool=%s: %s, generation %" PRIu32 ", uuid %s", pool.name,
		     found.recovered ? "recovered" : "new", found.generation, uuid);
	if (!found.recovered)
		return;
	nbdkit_debug("zcram: pool=%s: %" PRIu64 " pages found, %" PRIu64 " damaged, %" PRIu64
		     " cells freed, in %" PRIu64 " us",
		     pool.name, found.pages, found.damaged, found.cells_freed, found.ns / 1000);
	if (found.damaged == 0)
		return;
	nbdkit_error("zcram: pool=%s: %" PRIu64 " pages are damaged: "
		     "reads of them fail until they are written or trimmed",
		     pool.name, found.damaged);
	device_damaged(device, say_damaged, NULL);
}

int pool_after_fork(bool locked)
{
	int r;

	if (pool.name == NULL)
		return 0;
	r = segment_reclaim(&pool.segment, PARENT_MS);
	if (r < 0)
		return refuse_claim(pool.name, r);
	/*
	 * mlockall() has marked the mapping too, and of a marked one no memory can be given back. The
	 * segment's own lock holds what is in it, whoever has it mapped how.
	 */
	if (locked && pool.locked)
		munlock(pool.segment.memory, pool.segment.size);
	return 0;
}

void pool_close(bool clean)
{
	bool remove = clean ? !pool.keep : pool.made;

	if (pool.name == NULL)
		return;
	/* In a parent that has forked a server off nothing is this process's any more. */
	if (remove && pool.segment.claimant == getpid() && pool.segment.head != NULL)
		segment_remove(&pool.segment);
	else
		segment_close(&pool.segment);
	pool.name = NULL;
}
