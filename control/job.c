/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/job.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/os.h"
#include "control/thread.h"
#include "control/work.h"

/* With the lock held: the stream is open as long as its job is asked for. */
static void cut_stream(struct job *job)
{
	if (job->stream >= 0)
		shutdown(job->stream, SHUT_RDWR);
}

static void drop_stream(struct job *job)
{
	if (job->stream >= 0)
		close(job->stream);
	job->stream = -1;
}

/* With the lock held, which is released meanwhile. */
static void do_job(struct job *job)
{
	struct control_request request = job->request;
	int stream = job->stream;
	struct json_object *answer;

	pthread_mutex_unlock(&job->lock);
	answer = work_do(job->device, &request, stream);
	pthread_mutex_lock(&job->lock);
	drop_stream(job);
	job->answer = answer;
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
	job->stream = -1;
	pthread_mutex_init(&job->lock, NULL);
	pthread_cond_init(&job->changed, NULL);
	return thread_start(&job->thread, job_main, job);
}

void job_cancel(struct job *job)
{
	pthread_mutex_lock(&job->lock);
	cut_stream(job);
	pthread_mutex_unlock(&job->lock);
}

void job_stop(struct job *job)
{
	device_cancel(job->device); /* the one that may last for minutes */
	pthread_mutex_lock(&job->lock);
	job->stop = true;
	cut_stream(job);
	pthread_cond_signal(&job->changed);
	pthread_mutex_unlock(&job->lock);
	pthread_join(job->thread, NULL);
	drop_stream(job); /* of what was asked last, and not begun */
	if (job->state == JOB_DONE)
		json_object_put(job->answer);
	pthread_cond_destroy(&job->changed);
	pthread_mutex_destroy(&job->lock);
}

bool job_ask(struct job *job, const struct control_request *request, int stream)
{
	bool ours;

	pthread_mutex_lock(&job->lock);
	ours = job->state == JOB_NONE;
	if (ours) {
		job->state = JOB_ASKED;
		job->request = *request;
		job->stream = stream;
		pthread_cond_signal(&job->changed);
	}
	pthread_mutex_unlock(&job->lock);
	return ours;
}

bool job_take(struct job *job, struct json_object **ret_answer)
{
	bool done;

	pthread_mutex_lock(&job->lock);
	done = job->state == JOB_DONE;
	if (done) {
		*ret_answer = job->answer;
		job->state = JOB_NONE;
	}
	pthread_mutex_unlock(&job->lock);
	return done;
}
