/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * child: the process that is killed. It opens the device on the store, which is then new or
 * recovered, verifies it, and puts a load on it. Its parent has no threads, and touches neither.
 */
#ifndef ZCRAM_TESTS_KILL_CHILD_H
#define ZCRAM_TESTS_KILL_CHILD_H

#include <sys/types.h>

#include "tests/kill/journal.h"

struct child_plan {
	uint64_t seed;
	bool load;	   /* or it ends when it has verified all */
	uint64_t requests; /* of each thread; 0: until it is killed */
	bool trim;	   /* at the end: all of the device, and nothing may be left */
};

struct child {
	struct journal *journal;
	pid_t pid;
	int events; /* it writes a byte for each phase that it enters, but for the first */
};

/* A store for the journal's device: a file in memory, all zeros. */
int store_new(const struct journal *journal);
void store_empty(const struct journal *journal, int store);

struct child child_start(struct journal *journal, int store, const struct child_plan *plan);

/* Wait until the child enters a phase or dies: false. Ends the program when neither comes. */
bool child_await(struct child *child, enum journal_phase phase);

/* SIGKILL, now. */
void child_kill(const struct child *child);

/*
 * Wait until it is dead. True: it was killed; false: it has ended by itself. What it has found
 * wrong, and any other end, ends the program.
 */
bool child_reap(struct child *child);

#endif
