/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/headroom.h"
#include "common/os.h"
#include "common/threads.h"
#include "control/protocol.h"
#include "serve/backing.h"
#include "serve/say.h"
#include "serve/stats.h"

/* 0 when all that lock= asks for is done; else says what is not: -1 when that is an error. */
static int report_lock(const struct serve *s, const struct lock_result *result)
{
	const char *mode = conf_lock_choice.words[s->params.lock];
	char text[LOCK_TEXT_SIZE];

	if (lock_is_complete(result))
		return 0;
	lock_describe(result, text, sizeof(text));
	if (s->params.lock == CONF_LOCK_ON) {
		say_error("lock=%s: %s", mode, text);
		return -1;
	}
	say_error("lock=%s: going on although %s", mode, text);
	return 0;
}

int serve_try_lock(struct serve *s)
{
	if (s->params.lock == CONF_LOCK_OFF)
		return 0;
	s->tried_lock = lock_apply();
	lock_undo();
	return report_lock(s, &s->tried_lock);
}

int serve_lock(struct serve *s)
{
	struct lock_result result;

	if (s->params.lock == CONF_LOCK_OFF)
		return 0;
	result = lock_apply();
	s->locked = result.memory == 0;
	lock_touch_code();
	/* What has been said once is not said again. nbdkit --user may have made it differ. */
	if (lock_result_equal(&result, &s->tried_lock))
		return 0;
	return report_lock(s, &result);
}

static int refuse_device(const char *what, int r)
{
	say_error("the device cannot be %s: %s", what, strerror(-r));
	return -1;
}

static struct device_options device_options(const struct serve *s)
{
	struct device_options options = params_device_options(&s->params);

	options.store = pool_store(&options.store_size);
	return options;
}

/*
 * What the other server needs, such as buffers for its replies, comes from the same memory, and if it has to
 * wait for that, the kernel waits for it, to have some to give: that may take seconds. So we take ours in
 * parts, each when the kernel has it at hand; as long as there is the other, and not for ever.
 */
#define PATIENCE_MS 20000
#define AGAIN_MS    10
#define PART	    ((size_t)256 << 10)
#define PART_PAGES  (PART / DEVICE_PAGE_SIZE) /* what the kernel keeps at hand is not much more */

static void await_memory(struct headroom *headroom, unsigned int *patience)
{
	static const uint32_t nobody_wakes;

	for (; *patience > 0 && headroom_ordinary(headroom) < PART_PAGES; *patience -= AGAIN_MS) {
		if (pool_is_free())
			*patience = AGAIN_MS;
		os_wait(&nobody_wakes, 0, AGAIN_MS);
	}
}

/* A part for the heap, of which all that is allocated later is had; then threads. */
static int expect_threads(struct headroom *headroom, unsigned int count, unsigned int *patience)
{
	void *heap;
	int r;

	lock_prepare_heap();
	heap = malloc(PART);
	await_memory(headroom, patience);
	r = heap ? os_prefault(heap, PART) : -ENOMEM;
	free(heap);
	lock_prepare_threads();
	for (unsigned int i = 0; r == 0 && i < count; i++) {
		await_memory(headroom, patience);
		r = threads_ahead(1);
	}
	return r;
}

static unsigned int device_threads(const struct serve *s)
{
	return DEVICE_THREADS + (s->params.writeback != NULL ? DEVICE_BACKING_THREADS : 0);
}

static int expect_device(struct serve *s, struct headroom *headroom, unsigned int *patience)
{
	struct device_options options = device_options(s);
	int r;

	options.ahead = true;
	await_memory(headroom, patience);
	r = device_new(&options, &s->device);
	if (r < 0)
		return refuse_device("prepared", r);
	await_memory(headroom, patience);
	return backing_await(&s->params, s->device);
}

/* Locked as it is touched, memory is had now and not when all wait for us. */
static int expect_memory(struct serve *s, unsigned int threads, struct headroom *headroom,
			 unsigned int *patience)
{
	int r;

	if (!s->locked)
		return 0;
	await_memory(headroom, patience);
	r = device_prefault_ahead(s->device);
	if (r == 0)
		r = expect_threads(headroom, threads + device_threads(s), patience);
	return r < 0 ? refuse_device("prepared", r) : 0;
}

int serve_expect(struct serve *s, unsigned int threads)
{
	unsigned int patience = s->locked ? PATIENCE_MS : 0;
	struct headroom headroom;
	int r;

	if (s->params.pool == NULL)
		return 0;
	if (pool_expect(&s->params, s->locked) < 0)
		return -1;
	headroom_init(&headroom);
	r = expect_device(s, &headroom, &patience);
	if (r == 0)
		r = expect_memory(s, threads, &headroom, &patience);
	headroom_destroy(&headroom);
	return r;
}

int serve_open(struct serve *s, bool make)
{
	struct device_options options;
	int r;

	/* A mapping that is made now is marked as locked when all are. */
	if (pool_open(&s->params, make) < 0 || (s->locked && pool_take(true) < 0))
		return -1;
	if (s->device != NULL) {
		r = device_take_over(s->device);
	} else {
		options = device_options(s);
		r = device_new(&options, &s->device);
	}
	if (r < 0)
		return refuse_device("made", r);
	pool_report(s->device);
	return backing_check(&s->params, s->device);
}

static int refuse_control(const char *path, int r)
{
	switch (r) {
	case -EADDRINUSE:
		say_error("control=%s: in use: another server is running on it", path);
		break;
	case -EEXIST:
		say_error("control=%s: there is something that is not a socket: "
			  "give another path, or remove it",
			  path);
		break;
	case -ENAMETOOLONG:
		say_error("control=%s: too long: a socket's path has at most %d bytes", path,
			  CONTROL_PATH_MAX);
		break;
	case -ENOENT:
	case -ENOTDIR:
		say_error("control=%s: there is no such directory: give a path in one that exists",
			  path);
		break;
	default:
		say_error("control=%s: the socket cannot be made: %s", path, strerror(-r));
	}
	return -1;
}

int serve_new_control(struct serve *s, const struct control_server_options *own)
{
	struct control_server_options options = {0};
	int r;

	if (s->params.control == NULL)
		return 0;
	if (own != NULL)
		options = *own;
	options.path = s->params.control;
	options.name = s->params.name;
	options.device = s->device;
	options.writeback = s->params.writeback;
	options.version = s->version;
	r = control_server_new(&options, &s->control);
	return r < 0 ? refuse_control(s->params.control, r) : 0;
}

static int start_device(struct serve *s)
{
	int r = 0;

	/* Locked as it is touched, memory is had now and not by the requests. */
	if (s->locked)
		r = device_prefault(s->device);
	if (r == 0)
		r = device_start(s->device);
	return r < 0 ? refuse_device("started", r) : 0;
}

int serve_start(struct serve *s)
{
	if (pool_take(s->locked) < 0)
		return -1;
	if (s->locked)
		lock_prepare_threads();
	if (backing_start(&s->params, s->device) < 0 || start_device(s) < 0)
		return -1;
	s->started = true;
	return 0;
}

int serve_answer(struct serve *s)
{
	int r = stats_start(s->device);

	if (r < 0) {
		say_error("there is no thread to answer SIGUSR1: %s", strerror(-r));
		return -1;
	}
	/* Last of all: who is answered finds everything at work. */
	r = s->control != NULL ? control_server_start(s->control) : 0;
	if (r < 0) {
		say_error("control=%s: the socket cannot be served: %s", s->params.control,
			  strerror(-r));
		return -1;
	}
	return 0;
}

void serve_stop(struct serve *s)
{
	if (s->control != NULL)
		control_server_stop(s->control);
	stats_stop();
	device_stop(s->device);
}

void serve_close(struct serve *s, enum pool_end end)
{
	if (s->device != NULL)
		device_free(s->device);
	s->device = NULL;
	pool_close(&s->params, end);
	if (s->control != NULL && end == POOL_LEFT)
		control_server_handed_over(s->control);
	control_server_free(s->control);
	s->control = NULL;
	params_free(&s->params);
}

void serve_give_up(struct serve *s)
{
	if (s->started)
		serve_stop(s);
	else if (s->device != NULL)
		device_stop(s->device);
	serve_close(s, POOL_FAILED);
}
