/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine on io_uring. Whoever has a request puts it into the submission queue himself; one
 * thread, the reaper, takes the completions.
 *
 * The readers' buffers and the file are registered where the kernel lets us (the buffers count against
 * RLIMIT_MEMLOCK), which saves it looking them up and pinning them for each request. Of a batch's 1 MiB that saves
 * nothing that could be measured.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "backing/engine.h"
#include "common/os.h"
#include "common/threads.h"
#include "common/util.h"

struct uring_engine {
	struct engine engine;
	struct io_uring ring; /* submission queue: lock; completion queue: the reaper's */
	pthread_mutex_t lock; /* the engine lock of backing.h */
	int fd;		      /* constant, like all that follows */
	bool fixed_file;
	struct iovec fixed; /* buffers that are registered; of no length: none are */
	void (*begin_thread)(void *opaque);
	void *opaque;
	pthread_t reaper;
};

static bool is_fixed(const struct uring_engine *e, const void *buf)
{
	return (uintptr_t)buf - (uintptr_t)e->fixed.iov_base < e->fixed.iov_len;
}

static void prepare(const struct uring_engine *e, struct io_uring_sqe *sqe,
		    const struct engine_io *io)
{
	int fd = e->fixed_file ? 0 : e->fd;
	char *buf = (char *)io->buf + io->moved;
	uint32_t len = io->len - io->moved;
	uint64_t offset = io->offset + io->moved;

	if (io->op == ENGINE_FLUSH)
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	else if (io->op == ENGINE_READ && is_fixed(e, buf))
		io_uring_prep_read_fixed(sqe, fd, buf, len, offset, 0);
	else if (io->op == ENGINE_READ)
		io_uring_prep_read(sqe, fd, buf, len, offset);
	else
		io_uring_prep_write(sqe, fd, buf, len, offset);
	/*
	 * A write through the page cache copies all of it, and may wait: a kernel's thread does that, and
	 * neither the writer nor, by the lock, anybody who reads. A direct one is only begun here, and what
	 * would wait goes to such a thread by itself; asked for, they would write to a file one at a time.
	 */
	io_uring_sqe_set_flags(
		sqe, (e->fixed_file ? IOSQE_FIXED_FILE : 0U) |
			     (io->op == ENGINE_WRITE && !e->engine.direct ? IOSQE_ASYNC : 0U));
}

/* Under the lock. IO, or with NULL what ends the reaper. There is room: the queue has an entry for each
 * request that may be under way. */
static void queue(struct uring_engine *e, struct engine_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);

	if (io) {
		prepare(e, sqe, io);
		/* The reaper acquires it: between the two stands the kernel, of which C's memory
		   model knows nothing. */
		__atomic_store_n(&io->engine, &e->engine, __ATOMIC_RELEASE);
	} else {
		io_uring_prep_nop(sqe);
	}
	io_uring_sqe_set_data(sqe, io);
}

/*
 * Have the kernel take all that is queued. Under the lock. The kernel refuses for lack of memory, and that
 * passes; all other reasons would be mistakes of ours. The lock is let go of meanwhile: who submits something
 * else then need not wait for this, and submits what is queued before it.
 */
static void submit_queued(struct uring_engine *e)
{
	while (io_uring_sq_ready(&e->ring) > 0) {
		if (io_uring_submit(&e->ring) > 0)
			continue;
		pthread_mutex_unlock(&e->lock);
		poll(NULL, 0, 1);
		pthread_mutex_lock(&e->lock);
	}
}

static void put(struct uring_engine *e, struct engine_io *io)
{
	pthread_mutex_lock(&e->lock);
	queue(e, io);
	submit_queued(e);
	pthread_mutex_unlock(&e->lock);
}

static void uring_submit(struct engine *engine, struct engine_io *io)
{
	struct uring_engine *e = (struct uring_engine *)(void *)engine;

	pthread_mutex_lock(&e->lock);
	for (; io; io = io->next) {
		io->moved = 0;
		queue(e, io);
	}
	submit_queued(e);
	pthread_mutex_unlock(&e->lock);
}

static void *reap(void *opaque)
{
	struct uring_engine *e = opaque;
	struct io_uring_cqe *cqe;

	os_thread_name("zcram-backing");
	if (e->begin_thread)
		e->begin_thread(e->opaque);
	for (;;) {
		struct engine_io *io;
		int result, error;

		if (io_uring_wait_cqe(&e->ring, &cqe) < 0)
			continue;
		io = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&e->ring, cqe);
		if (!io)
			return NULL;
		if (engine_advance(__atomic_load_n(&io->engine, __ATOMIC_ACQUIRE), io, result,
				   &error))
			io->done(io, error);
		else
			put(e, io);
	}
}

static void uring_close(struct engine *engine)
{
	struct uring_engine *e = (struct uring_engine *)(void *)engine;

	put(e, NULL);
	pthread_join(e->reaper, NULL);
	/* The kernel takes a ring apart after the call that closes it, and the next server waits for
	   the file. */
	if (e->fixed_file)
		io_uring_unregister_files(&e->ring);
	io_uring_queue_exit(&e->ring);
	pthread_mutex_destroy(&e->lock);
	close(e->fd);
	free(e);
}

static const struct engine_ops uring_ops = {.submit = uring_submit, .close = uring_close};

int engine_new_uring(const struct engine_options *options, int fd, struct engine **ret_engine)
{
	struct iovec memory = {.iov_base = options->memory, .iov_len = options->memory_size};
	struct uring_engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	/* One more for the end. */
	r = io_uring_queue_init(options->requests + 1, &e->ring, 0);
	if (r < 0) {
		free(e);
		return r;
	}
	e->engine.ops = &uring_ops;
	e->engine.io_uring = true;
	e->fd = fd;
	e->begin_thread = options->begin_thread;
	e->opaque = options->opaque;
	e->fixed_file = io_uring_register_files(&e->ring, &fd, 1) == 0;
	if (io_uring_register_buffers(&e->ring, &memory, 1) == 0)
		e->fixed = memory;
	pthread_mutex_init(&e->lock, NULL);
	r = thread_begin(&e->reaper, reap, e);
	if (r < 0) {
		pthread_mutex_destroy(&e->lock);
		io_uring_queue_exit(&e->ring);
		free(e);
		return r;
	}
	*ret_engine = &e->engine;
	return 0;
}
