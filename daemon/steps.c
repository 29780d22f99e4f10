/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/steps.h"

static void enter(const struct steps *steps, const struct step *step, bool starting)
{
	if (steps->entered != NULL)
		steps->entered(step, starting);
}

int steps_start(struct steps *steps, const char **ret_failed, char **ret_why)
{
	while (steps->done < steps->count) {
		const struct step *step = &steps->table[steps->done];
		char *why = NULL;
		int r;

		enter(steps, step, true);
		r = step->start(steps->context, &why);
		if (r < 0) {
			steps_stop(steps);
			*ret_failed = step->name;
			*ret_why = why;
			return r;
		}
		steps->done++;
	}
	return 0;
}

int steps_stop(struct steps *steps)
{
	int first = 0;

	while (steps->done > 0) {
		const struct step *step = &steps->table[--steps->done];
		int r;

		if (step->stop == NULL)
			continue;
		enter(steps, step, false);
		r = step->stop(steps->context);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}
