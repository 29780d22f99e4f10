/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steps: a thing that is done in steps, and undone in reverse, also from half-way.
 */
#ifndef ZCRAM_DAEMON_STEPS_H
#define ZCRAM_DAEMON_STEPS_H

#include <stdbool.h>
#include <stddef.h>

struct step {
	const char *name;  /* "server", as in ZCRAM_STEP= */
	const char *doing; /* the same in words for those who wait */
	/*
	 * 0, or a negative errno and *why, a line that the caller frees, or NULL: there was no
	 * memory for it. What a failing step has done of itself, it has undone.
	 */
	int (*start)(void *context, char **why);
	/* NULL: nothing to undo. A negative errno: it could not, and has said why. */
	int (*stop)(void *context);
};

struct steps {
	const struct step *table;
	size_t count;
	size_t done; /* how many of them are; 0 to begin with */
	void *context;
	/* Called before each start and stop; or NULL. */
	void (*entered)(const struct step *step, bool starting);
};

/*
 * Do all steps in order. When one fails, those before it are undone, and the error is the step's,
 * with its name and *ret_why, a line that the caller frees or NULL.
 */
int steps_start(struct steps *steps, const char **ret_failed, char **ret_why);

/*
 * Undo what was done, the last first. Goes on where a step cannot be undone, so that the others
 * are; the first such error is returned.
 */
int steps_stop(struct steps *steps);

#endif
