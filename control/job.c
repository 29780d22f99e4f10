/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/job.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/os.h"
#include "control/thread.h"

/* Seconds that a client may let an image wait: a disk that is written to may be slow. */
#define STREAM_PATIENCE 60

static int stream_error(void)
{
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int stream_write(void *opaque, const void *data, size_t n)
{
	const int *fd = opaque;

	for (size_t done = 0; done < n;) {
		ssize_t sent = send(*fd, (const char *)data + done, n - done, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return stream_error();
		if (sent > 0)
			done += (size_t)sent;
	}
	return 0;
}

static ssize_t stream_read(void *opaque, void *data, size_t n)
{
	const int *fd = opaque;
	ssize_t got;

	do
		got = recv(*fd, data, n, 0);
	while (got < 0 && errno == EINTR);
	return got < 0 ? stream_error() : got;
}

static void set_patience(int fd)
{
	const struct timeval wait = {.tv_sec = STREAM_PATIENCE};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

static uint64_t pool_of(struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	return stats.pool;
}

static void compact(struct device *device, struct job_result *result)
{
	result->before = pool_of(device);
	device_compact(device);
	result->after = pool_of(device);
}

static struct job_result do_task(struct device *device, struct job_task *task)
{
	struct job_result result = {.kind = task->kind};

	if (task->stream >= 0)
		set_patience(task->stream);
	switch (task->kind) {
	case JOB_COMPACT:
		compact(device, &result);
		break;
	case JOB_SAVE:
		result.error =
			device_save(device, stream_write, &task->stream, &result.image.counts);
		break;
	case JOB_RESTORE:
		result.error = device_restore(device, task->force, stream_read, &task->stream,
					      &result.image);
		break;
	}
	return result;
}

/* With the lock held, which is released meanwhile. */
static void do_job(struct job *job)
{
	struct job_task task = job->task;
	struct job_result result;

	pthread_mutex_unlock(&job->lock);
	result = do_task(job->device, &task);
	pthread_mutex_lock(&job->lock);
	if (task.stream >= 0)
		close(task.stream);
	job->result = result;
	job->state = JOB_DONE;
	eventfd_write(job->done_fd, 1);
}

static void *job_main(void *argument)
{
	struct job *job = argument;

	os_thread_name("zcram-job");
	os_thread_urgent(false);
	pthread_mutex_lock(&job->lock);
	while (!job->stop) {
		if (job->state == JOB_ASKED)
			do_job(job);
		else
			pthread_cond_wait(&job->changed, &job->lock);
	}
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

int job_start(struct job *job, struct device *device, int done_fd)
{
	job->device = device;
	job->done_fd = done_fd;
	job->state = JOB_NONE;
	job->stop = false;
	pthread_mutex_init(&job->lock, NULL);
	pthread_cond_init(&job->changed, NULL);
	return thread_start(&job->thread, job_main, job);
}

/* With the lock held: the stream is open as long as its job is asked for. */
static void cut_stream(struct job *job)
{
	if (job->state == JOB_ASKED && job->task.stream >= 0)
		shutdown(job->task.stream, SHUT_RDWR);
}

void job_cancel(struct job *job)
{
	pthread_mutex_lock(&job->lock);
	cut_stream(job);
	pthread_mutex_unlock(&job->lock);
}

void job_stop(struct job *job)
{
	pthread_mutex_lock(&job->lock);
	job->stop = true;
	cut_stream(job);
	pthread_cond_signal(&job->changed);
	pthread_mutex_unlock(&job->lock);
	pthread_join(job->thread, NULL);
	if (job->state == JOB_ASKED && job->task.stream >= 0)
		close(job->task.stream);
	pthread_cond_destroy(&job->changed);
	pthread_mutex_destroy(&job->lock);
}

bool job_ask(struct job *job, const struct job_task *task)
{
	bool ours;

	pthread_mutex_lock(&job->lock);
	ours = job->state == JOB_NONE;
	if (ours) {
		job->state = JOB_ASKED;
		job->task = *task;
		pthread_cond_signal(&job->changed);
	}
	pthread_mutex_unlock(&job->lock);
	return ours;
}

bool job_take(struct job *job, struct job_result *ret_result)
{
	bool done;

	pthread_mutex_lock(&job->lock);
	done = job->state == JOB_DONE;
	if (done) {
		*ret_result = job->result;
		job->state = JOB_NONE;
	}
	pthread_mutex_unlock(&job->lock);
	return done;
}
