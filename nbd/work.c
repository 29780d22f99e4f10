/* SPDX-License-Identifier: BSD-3-Clause */
#include "nbd/work.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os.h"
#include "common/parking.h"
#include "common/threads.h"
#include "common/util.h"
#include "nbd/internal.h"

struct work {
	struct nbd_loop *loop;
	struct parking more; /* there is work; entered with the lock held */
	pthread_mutex_t lock;
	/* lock protects all of these */
	struct fifo shorts; /* those that the loop's thread may execute */
	struct fifo reads, others, done;
	unsigned int others_under_way;
	bool stop, asleep; /* asleep: the loop's thread is, and wants to be woken */

	unsigned int others_max; /* under way at a time */
	unsigned int count;
	pthread_t thread[];
};

static unsigned int fifo_count(const struct fifo *fifo)
{
	return fifo->tail - fifo->head;
}

static bool is_short_read(const struct nbd_loop_options *options, const struct region_entry *entry)
{
	const struct nbd_ops *ops = options->ops;

	return entry->length <= options->inline_read &&
	       !(ops->is_slow && ops->is_slow(options->opaque, entry->offset, entry->length));
}

/* The queue that an entry goes by; of a read, as it is now. */
static struct fifo *queue_of(struct work *w, unsigned int index)
{
	const struct nbd_loop_options *options = &w->loop->options;
	const struct region_entry *entry = &w->loop->region->entry[index];

	if (entry->type == PROTO_READ)
		return is_short_read(options, entry) ? &w->shorts : &w->reads;
	if (entry_is_write(entry) && entry->length <= options->inline_write)
		return &w->shorts;
	return &w->others;
}

/* Under the lock. */
static bool take_short(struct work *w, unsigned int *ret_index)
{
	if (fifo_is_empty(&w->shorts))
		return false;
	*ret_index = fifo_get(&w->shorts);
	return true;
}

/*
 * Under the lock. Others first, or reads without end would keep them waiting; but never all workers
 * at once, or they would keep the reads waiting.
 */
static bool pick(struct work *w, unsigned int *ret_index)
{
	if (!fifo_is_empty(&w->others) && w->others_under_way < w->others_max) {
		w->others_under_way++;
		*ret_index = fifo_get(&w->others);
		return true;
	}
	if (!fifo_is_empty(&w->reads)) {
		*ret_index = fifo_get(&w->reads);
		return true;
	}
	return take_short(w, ret_index);
}

/* Under the lock. True: the loop's thread is to be woken. */
static bool put_back(struct work *w, unsigned int index)
{
	bool wake = w->asleep;

	if (queue_of(w, index) == &w->others)
		w->others_under_way--;
	fifo_put(&w->done, index);
	w->asleep = false;
	return wake;
}

static void raise_event(const struct nbd_loop *loop)
{
	uint64_t one = 1;

	while (write(loop->event, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/*
 * Under the lock, which is let go of meanwhile. Announced before that, so that whoever puts something
 * afterwards sees that somebody waits. (A pthread_cond_t would read better, but glibc's before 2.41
 * loses a signal now and then.)
 */
static void wait_for_more(struct work *w)
{
	uint32_t sequence = parking_enter(&w->more);

	pthread_mutex_unlock(&w->lock);
	parking_wait(&w->more, sequence);
	pthread_mutex_lock(&w->lock);
}

static void work_until_stopped(struct work *w)
{
	unsigned int index;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		bool wake;

		if (!pick(w, &index)) {
			wait_for_more(w);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		request_execute(w->loop, &w->loop->region->entry[index]);
		pthread_mutex_lock(&w->lock);
		wake = put_back(w, index);
		if (!wake)
			continue;
		pthread_mutex_unlock(&w->lock);
		raise_event(w->loop);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

static void *worker(void *opaque)
{
	struct work *w = opaque;

	os_thread_name("zcram-nbd");
	if (w->loop->options.ops->begin_thread)
		w->loop->options.ops->begin_thread(w->loop->options.opaque);
	work_until_stopped(w);
	return NULL;
}

int work_new(struct nbd_loop *loop, unsigned int count, struct work **ret_work)
{
	size_t size = align_up(sizeof(struct work) + count * sizeof(pthread_t), CACHE_LINE);
	struct work *w = aligned_alloc(CACHE_LINE, size);
	int r = 0;

	if (!w)
		return -ENOMEM;
	memset(w, 0, size);
	w->loop = loop;
	w->others_max = count > 1 ? count - 1 : 1;
	pthread_mutex_init(&w->lock, NULL);
	while (r == 0 && w->count < count) {
		r = thread_begin(&w->thread[w->count], worker, w);
		w->count += r == 0;
	}
	if (r < 0) {
		work_free(w);
		return r;
	}
	*ret_work = w;
	return 0;
}

void work_free(struct work *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_mutex_unlock(&w->lock);
	parking_notify(&w->more, true);
	for (unsigned int i = 0; i < w->count; i++)
		pthread_join(w->thread[i], NULL);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void work_put(struct work *w, unsigned int index)
{
	pthread_mutex_lock(&w->lock);
	fifo_put(queue_of(w, index), index);
	pthread_mutex_unlock(&w->lock);
}

void work_wake(struct work *w, unsigned int kept)
{
	unsigned int shorts, n;

	pthread_mutex_lock(&w->lock);
	shorts = fifo_count(&w->shorts);
	n = fifo_count(&w->others) + fifo_count(&w->reads) + (shorts > kept ? shorts - kept : 0);
	n = (unsigned int)min_u64(n, load_relaxed(&w->more.waiters));
	pthread_mutex_unlock(&w->lock);
	while (n-- > 0)
		parking_notify(&w->more, false);
}

bool work_take_short(struct work *w, unsigned int *ret_index)
{
	unsigned int slow = 0;
	struct fifo *queue;
	bool taken;

	pthread_mutex_lock(&w->lock);
	while ((taken = take_short(w, ret_index)) &&
	       (queue = queue_of(w, *ret_index)) != &w->shorts) {
		fifo_put(queue, *ret_index);
		slow++;
	}
	pthread_mutex_unlock(&w->lock);
	while (slow-- > 0)
		parking_notify(&w->more, false);
	return taken;
}

void work_collect(struct work *w, struct fifo *ret)
{
	pthread_mutex_lock(&w->lock);
	while (!fifo_is_empty(&w->done))
		fifo_put(ret, fifo_get(&w->done));
	pthread_mutex_unlock(&w->lock);
}

bool work_sleep(struct work *w)
{
	bool asleep;

	pthread_mutex_lock(&w->lock);
	w->asleep = asleep = fifo_is_empty(&w->done);
	pthread_mutex_unlock(&w->lock);
	return asleep;
}

void work_awake(struct work *w)
{
	pthread_mutex_lock(&w->lock);
	w->asleep = false;
	pthread_mutex_unlock(&w->lock);
}
