/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * deaths: is a server that has died to be brought back once more?
 *
 * What counts is the time that servers have served, not what passed while they were started: a pool
 * that takes a second to recover must not make an endless row of deaths look like a rare one. To give
 * up loses the content, and to try once more costs little; so a server that somebody kills now and
 * then is always brought back, and given up is one that each time dies of the first thing it does.
 */
#ifndef ZCRAM_DAEMON_DEATHS_H
#define ZCRAM_DAEMON_DEATHS_H

#include <stdbool.h>
#include <stdint.h>

#define DEATHS_MAX     30
#define DEATHS_SERVICE (UINT64_C(15) * 1000000) /* microseconds */

/* All zeros: none yet. */
struct deaths {
	unsigned int count;
	uint64_t served[DEATHS_MAX]; /* microseconds each, of the last of them, in a ring */
};

/*
 * Note that a server has died after SERVED microseconds of service (0: it never came to serve). True:
 * it is one of DEATHS_MAX that have served less than DEATHS_SERVICE, all together.
 */
bool deaths_add(struct deaths *deaths, uint64_t served);

#endif
