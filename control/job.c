/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/job.h"

#include <sys/eventfd.h>

#include "common/os.h"
#include "control/thread.h"

static uint64_t pool_of(struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	return stats.pool;
}

/* With the lock held, which is released meanwhile. */
static void do_job(struct job *job)
{
	uint64_t before, after;

	pthread_mutex_unlock(&job->lock);
	before = pool_of(job->device);
	device_compact(job->device);
	after = pool_of(job->device);
	pthread_mutex_lock(&job->lock);
	job->before = before;
	job->after = after;
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

void job_stop(struct job *job)
{
	pthread_mutex_lock(&job->lock);
	job->stop = true;
	pthread_cond_signal(&job->changed);
	pthread_mutex_unlock(&job->lock);
	pthread_join(job->thread, NULL);
	pthread_cond_destroy(&job->changed);
	pthread_mutex_destroy(&job->lock);
}

bool job_ask(struct job *job)
{
	bool ours;

	pthread_mutex_lock(&job->lock);
	ours = job->state == JOB_NONE;
	if (ours) {
		job->state = JOB_ASKED;
		pthread_cond_signal(&job->changed);
	}
	pthread_mutex_unlock(&job->lock);
	return ours;
}

bool job_take(struct job *job, uint64_t *ret_before, uint64_t *ret_after)
{
	bool done;

	pthread_mutex_lock(&job->lock);
	done = job->state == JOB_DONE;
	if (done) {
		*ret_before = job->before;
		*ret_after = job->after;
		job->state = JOB_NONE;
	}
	pthread_mutex_unlock(&job->lock);
	return done;
}
