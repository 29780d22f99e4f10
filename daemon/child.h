/* SPDX-License-Identifier: BSD-3-Clause */
/* child: processes that zcramd starts, or has taken over, and what becomes of them. */
#ifndef ZCRAM_DAEMON_CHILD_H
#define ZCRAM_DAEMON_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/loop.h"
#include "daemon/output.h"

struct child {
	struct loop *loop;
	pid_t pid;
	int pidfd; /* of one that was adopted; -1: it is our own */
	bool running;
	bool executed; /* the program is, or cannot be, or it has ended */
	int error; /* a negative errno: why it cannot be, such as when there is none; the process ends */
	int code, status; /* when it no longer runs: si_code and si_status of sigaction(2) */
	void (*on_exit)(struct child *child, void *opaque); /* may be set any time; or NULL */
	void *opaque;
	sd_event_source *source;
	sd_event_source *failure; /* until it is executed: the pipe that says why it cannot be */
};

/* The code of a process that is not our own: only its parent knows how it ended. */
#define CHILD_ENDED_UNSEEN 0

struct child_job {
	const char *const *argv;  /* the program, found by $PATH, and its arguments */
	int (*run)(void *opaque); /* without argv: what it does, and its exit status */
	void *opaque;
	int output;	 /* where its standard error goes; -1: to our own */
	bool long_lived; /* a server: a session of its own, small stacks, no core dumps; standard
			    output goes to OUTPUT too, which is /dev/null for others */
	bool urgent; /* of a real-time policy from the start (common/os.h), if that is allowed */
	/* Descriptors that the program is to have by the same numbers; all else is close-on-exec. */
	const int *inherited;
	size_t nr_inherited;
};

/*
 * Start a process, and return as soon as there is one: to execute a program may take long where memory is
 * short. CHILD must stay where it is while it runs. A negative errno: there is none.
 */
int child_start(struct child *child, struct loop *loop, const struct child_job *job);

/*
 * Watch a process that another has started, as if it were our own. The descriptor is the child's from
 * then on, also on an error. CHILD must stay where it is while it runs.
 */
int child_adopt(struct child *child, struct loop *loop, pid_t pid, int pidfd);

/* Send it a signal, while it runs. */
void child_signal(const struct child *child, int signal);

/* Did it end well? */
bool child_succeeded(const struct child *child);

#define CHILD_TEXT_SIZE 64

/* How it ended: "exit status 1", "killed by signal 9 (Killed)". */
void child_describe(const struct child *child, char text[CHILD_TEXT_SIZE]);

/*
 * Run a program to its end; loop_turn() meanwhile. A negative errno, and *why, a line that the
 * caller frees: it cannot be started, or ended badly (-EIO). CANCELABLE: when zcramd is asked to
 * stop meanwhile, the program is ended: -ECANCELED.
 */
int child_run(struct loop *loop, const char *const argv[], bool cancelable, char **why);

#endif
