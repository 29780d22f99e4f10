/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * job: the thread that does what takes long (work.h), one thing at a time, so that others are answered
 * meanwhile. Inside control/.
 *
 * Images go through a stream socket of the client's: to be broken off is to be shut down, whatever
 * it waits for, and no disk or pipe can hold this thread up beyond that.
 */
#ifndef ZCRAM_CONTROL_JOB_H
#define ZCRAM_CONTROL_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/request.h"

enum job_state { JOB_NONE, JOB_ASKED, JOB_DONE };

struct job {
	struct device *device;
	int done_fd; /* eventfd, borrowed: written when a job is done */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows; innermost, held for a few instructions */
	pthread_cond_t changed;
	enum job_state state;
	bool stop;
	struct control_request request; /* ASKED */
	int stream;			/* ASKED: open as long, and the job's; -1: it has none */
	struct json_object *answer;	/* DONE; NULL for want of memory */
};

/*
 * Start the thread; break off an image and recompression, wait for what else it does, and end it.
 * -EAGAIN, -ENOMEM.
 */
int job_start(struct job *job, struct device *device, int done_fd);
void job_stop(struct job *job);

/*
 * Have it do what REQUEST asks, which has no arguments that are to be put. STREAM, -1 or what work_do()
 * wants for an image, is taken over. False, and it is not: it is at work, or what it did last has not
 * been taken.
 */
bool job_ask(struct job *job, const struct control_request *request, int stream);

/* What it does with an image, if it does, is of no more use to anybody. */
void job_cancel(struct job *job);

/* Take the answer, to be put, or NULL for want of memory. False: nothing is done. */
bool job_take(struct job *job, struct json_object **ret_answer);

#endif
