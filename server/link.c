/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/link.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/os.h"
#include "common/threads.h"
#include "nbd/loop.h"
#include "serve/lock.h"
#include "serve/say.h"

/*
 * A page's read never waits for memory: the loop's thread may do it itself, but where it waits for the backing
 * store. A write may.
 */
#define INLINE_READ 4096

/* Whoever alone executes requests may be with a write that is held: reads are the loop's thread's then. */
static uint32_t inline_read(unsigned int threads)
{
	return threads == 1 ? UINT32_MAX : INLINE_READ;
}

/* Few enough for a CPU to be free for others; the client, with the writes it has under way, waits 50 ms. */
#define REFUSAL_PACE_MS 2

/* The device, as the loop sees it. */

static int op_read(void *device, void *buf, uint64_t offset, uint32_t count)
{
	return device_read(device, buf, offset, count);
}

static int op_write(void *device, const void *buf, uint64_t offset, uint32_t count)
{
	return device_write(device, buf, offset, count);
}

static int op_trim(void *device, uint64_t offset, uint32_t count)
{
	return device_trim(device, offset, count);
}

static int op_zero(void *device, uint64_t offset, uint32_t count)
{
	return device_zero(device, offset, count);
}

static int op_flush(void *device)
{
	return device_flush(device);
}

static bool op_is_slow(void *device, uint64_t offset, uint32_t count)
{
	return device_is_away(device, offset, count);
}

static void op_begin_thread(void *device)
{
	lock_touch_stack();
}

static const struct nbd_ops ops = {
	.read = op_read,
	.write = op_write,
	.trim = op_trim,
	.zero = op_zero,
	.flush = op_flush,
	.is_slow = op_is_slow,
	.begin_thread = op_begin_thread,
};

/* Lines name a connection as it was given. */
static void say_of(const struct link *link, const char *what, const char *why)
{
	const struct control_descriptors *fds = link->fds;

	say_error("--connection=%d,%d,%d: %s%s%s", fds->region, fds->ring, fds->socket, what,
		  *why ? ": " : "", why);
}

int link_map(struct link *link, const struct control_descriptors *fds)
{
	struct stat st;
	int r = 0;

	*link = (struct link){.fds = fds};
	if (fstat(fds->region, &st) < 0)
		r = -errno;
	if (r == 0) {
		link->region_size = (size_t)st.st_size;
		link->region = mmap(NULL, link->region_size, PROT_READ | PROT_WRITE, MAP_SHARED,
				    fds->region, 0);
		if (link->region == MAP_FAILED) {
			link->region = NULL;
			r = -errno;
		}
	}
	if (r == 0) {
		madvise(link->region, link->region_size, MADV_DONTDUMP);
		r = os_commit(link->region, link->region_size);
	}
	if (r < 0)
		say_of(link, "its memory cannot be mapped", strerror(-r));
	return r < 0 ? -1 : 0;
}

bool link_was_served(const struct link *link)
{
	struct nbd_loop_stats stats;

	/* Nothing of it has been checked yet. */
	if (link->region_size < nbd_loop_region_size(0))
		return false;
	nbd_loop_get_stats(link->region, &stats);
	return stats.requests > 0;
}

enum link_opened link_open(struct link *link, struct device *device, unsigned int threads,
			   int changed)
{
	struct nbd_loop_options options = {
		.region = link->region,
		.region_size = link->region_size,
		.ring = link->fds->ring,
		.socket = link->fds->socket,
		.size = device_size(device),
		.ops = &ops,
		.opaque = device,
		.inline_read = inline_read(threads),
		.refusal_pace_ms = REFUSAL_PACE_MS,
		.workers = threads,
	};
	const char *why;
	int r = nbd_loop_new(&options, &link->loop, &why);

	link->changed = changed;
	if (r == 0)
		return LINK_OPEN;
	link->loop = NULL;
	say_of(link, "it cannot be gone on with", why ? why : strerror(-r));
	return r == -EUCLEAN ? LINK_REFUSED : LINK_FAILED;
}

static void *run(void *opaque)
{
	struct link *link = opaque;

	os_thread_name("zcram-loop");
	lock_touch_stack();
	link->result = nbd_loop_run(link->loop);
	__atomic_store_n(&link->ended, 1, __ATOMIC_RELEASE);
	eventfd_write(link->changed, 1);
	return NULL;
}

int link_run(struct link *link)
{
	int r = thread_begin(&link->thread, run, link);

	link->running = r == 0;
	if (r < 0)
		say_of(link, "there is no thread to serve it", strerror(-r));
	return r < 0 ? -1 : 0;
}

unsigned int link_threads(unsigned int threads)
{
	return (threads ? threads : nbd_loop_default_workers()) + 1;
}

void link_stop(struct link *link)
{
	if (link->running)
		nbd_loop_stop(link->loop);
}

enum link_state link_reap(struct link *link, bool wait)
{
	if (link->running && !wait && !__atomic_load_n(&link->ended, __ATOMIC_ACQUIRE))
		return LINK_RUNNING;
	if (link->running) {
		pthread_join(link->thread, NULL);
		link->running = false;
		if (link->result < 0) {
			say_of(link, "the connection is broken",
			       link->result == -EPROTO ? "what the client says is no NBD"
						       : strerror(-link->result));
			link_shut_down(link);
		}
	}
	if (link->result < 0)
		return LINK_BROKEN;
	return link->result == NBD_LOOP_CLOSED ? LINK_CLOSED : LINK_STOPPED;
}

void link_shut_down(const struct link *link)
{
	shutdown(link->fds->socket, SHUT_RDWR);
}

void link_close(struct link *link)
{
	nbd_loop_free(link->loop);
	link->loop = NULL;
	if (link->region)
		munmap(link->region, link->region_size);
	link->region = NULL;
}
