/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * job: the thread that does what takes long: compacts, saves and restores, one at a time, so that
 * others are answered meanwhile. Inside control/.
 *
 * Images go through a stream socket of the client's: to be broken off is to be shut down, whatever
 * it waits for, and no disk or pipe can hold this thread up beyond that.
 */
#ifndef ZCRAM_CONTROL_JOB_H
#define ZCRAM_CONTROL_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/save.h"

enum job_state { JOB_NONE, JOB_ASKED, JOB_DONE };

enum job_kind { JOB_COMPACT, JOB_SAVE, JOB_RESTORE };

struct job_task {
	enum job_kind kind;
	int stream; /* of an image: a connected stream socket, the job's; else -1 */
	bool force; /* RESTORE: although it is not empty */
};

struct job_result {
	enum job_kind kind;
	int error;		      /* 0, or a negative errno */
	uint64_t before, after;	      /* COMPACT: bytes of pool */
	struct device_restored image; /* SAVE: its counts; RESTORE: all */
};

struct job {
	struct device *device;
	int done_fd; /* eventfd, borrowed: written when a job is done */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows; innermost, held for a few instructions */
	pthread_cond_t changed;
	enum job_state state;
	bool stop;
	struct job_task task;	  /* ASKED; its stream is open as long */
	struct job_result result; /* DONE */
};

/* Start the thread; break off what it does with an image, wait for what it does else, and end it.
 * -EAGAIN, -ENOMEM. */
int job_start(struct job *job, struct device *device, int done_fd);
void job_stop(struct job *job);

/*
 * Have it do TASK, whose stream is taken over. False, and it is not: it is at work, or what it did
 * last has not been taken.
 */
bool job_ask(struct job *job, const struct job_task *task);

/* What it does with an image, if it does, is of no more use to anybody. */
void job_cancel(struct job *job);

/* Take what it did. False: nothing is done. */
bool job_take(struct job *job, struct job_result *ret_result);

#endif
