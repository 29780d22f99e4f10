/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine where io_uring is forbidden: threads that wait in pread() and pwrite(). */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "backing/engine.h"
#include "backing/list.h"
#include "common/parking.h"

#define THREADS 8

struct threads_engine {
	struct engine engine;
	struct parking more;  /* there is work; entered with the lock held */
	pthread_mutex_t lock; /* the engine lock of backing.h */
	/* lock protects these */
	struct io_list reads, others;
	unsigned int others_under_way;
	bool stop;

	int fd; /* constant, like all that follows */
	void (*begin_thread)(void *opaque);
	void *opaque;
	unsigned int count;
	pthread_t thread[THREADS];
};

static int64_t attempt(const struct threads_engine *e, const struct engine_io *io)
{
	char *buf = (char *)io->buf + io->moved;
	size_t len = io->len - io->moved;
	off_t offset = (off_t)(io->offset + io->moved);
	ssize_t n;

	if (io->op == ENGINE_FLUSH)
		n = fdatasync(e->fd);
	else if (io->op == ENGINE_READ)
		n = pread(e->fd, buf, len, offset);
	else
		n = pwrite(e->fd, buf, len, offset);
	return n < 0 ? -errno : n;
}

/* Under the lock. Reads first, and one thread never has anything else in hand: a read waits for no
 * write. */
static struct engine_io *pick(struct threads_engine *e)
{
	if (e->reads.first)
		return io_list_take(&e->reads);
	if (!e->others.first || e->others_under_way == THREADS - 1)
		return NULL;
	e->others_under_way++;
	return io_list_take(&e->others);
}

static void execute(const struct threads_engine *e, struct engine_io *io)
{
	int error;

	while (!engine_advance(&e->engine, io, attempt(e, io), &error))
		;
	io->done(io, error);
}

/* Under the lock, which is let go of meanwhile; announced before that. */
static void wait_for_more(struct threads_engine *e)
{
	uint32_t sequence = parking_enter(&e->more);

	pthread_mutex_unlock(&e->lock);
	parking_wait(&e->more, sequence);
	pthread_mutex_lock(&e->lock);
}

static void *work(void *opaque)
{
	struct threads_engine *e = opaque;

	os_thread_name("zcram-backing");
	if (e->begin_thread)
		e->begin_thread(e->opaque);
	pthread_mutex_lock(&e->lock);
	while (!e->stop) {
		struct engine_io *io = pick(e);
		bool other;

		if (!io) {
			wait_for_more(e);
			continue;
		}
		other = io->op != ENGINE_READ;
		pthread_mutex_unlock(&e->lock);
		execute(e, io);
		pthread_mutex_lock(&e->lock);
		e->others_under_way -= other;
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

static void threads_submit(struct engine *engine, struct engine_io *io)
{
	struct threads_engine *e = (struct threads_engine *)(void *)engine;

	for (struct engine_io *next; io; io = next) {
		next = io->next;
		io->moved = 0;
		pthread_mutex_lock(&e->lock);
		io_list_put(io->op == ENGINE_READ ? &e->reads : &e->others, io);
		pthread_mutex_unlock(&e->lock);
		parking_notify(&e->more, false);
	}
}

static void threads_close(struct engine *engine)
{
	struct threads_engine *e = (struct threads_engine *)(void *)engine;

	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_mutex_unlock(&e->lock);
	parking_notify(&e->more, true);
	for (unsigned int i = 0; i < e->count; i++)
		pthread_join(e->thread[i], NULL);
	pthread_mutex_destroy(&e->lock);
	if (e->fd >= 0)
		close(e->fd);
	free(e);
}

static const struct engine_ops threads_ops = {.submit = threads_submit, .close = threads_close};

int engine_new_threads(const struct engine_options *options, int fd, struct engine **ret_engine)
{
	struct threads_engine *e = aligned_alloc(CACHE_LINE, align_up(sizeof(*e), CACHE_LINE));
	int r = 0;

	if (!e)
		return -ENOMEM;
	*e = (struct threads_engine){
		.engine = {.ops = &threads_ops},
		.fd = -1,
		.begin_thread = options->begin_thread,
		.opaque = options->opaque,
	};
	pthread_mutex_init(&e->lock, NULL);
	e->fd = fd;
	while (r == 0 && e->count < THREADS) {
		r = -pthread_create(&e->thread[e->count], NULL, work, e);
		e->count += r == 0;
	}
	if (r < 0) {
		e->fd = -1; /* it stays the caller's */
		threads_close(&e->engine);
		return r;
	}
	*ret_engine = &e->engine;
	return 0;
}
