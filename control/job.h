/* SPDX-License-Identifier: BSD-3-Clause */
/* job: the thread that compacts on demand, so that others are answered meanwhile. Inside control/.
 */
#ifndef ZCRAM_CONTROL_JOB_H
#define ZCRAM_CONTROL_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"

enum job_state { JOB_NONE, JOB_ASKED, JOB_DONE };

struct job {
	struct device *device;
	int done_fd; /* eventfd, borrowed: written when a job is done */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows; innermost, held for a few instructions */
	pthread_cond_t changed;
	enum job_state state;
	bool stop;
	uint64_t before, after; /* bytes of pool; JOB_DONE */
};

/* Start the thread; wait for what it does and end it. -EAGAIN, -ENOMEM. */
int job_start(struct job *job, struct device *device, int done_fd);
void job_stop(struct job *job);

/* Have it compact. False: it is at work, or what it did last has not been taken. */
bool job_ask(struct job *job);

/* Take what it did. False: nothing is done. */
bool job_take(struct job *job, uint64_t *ret_before, uint64_t *ret_after);

#endif
