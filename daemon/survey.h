/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * survey: what of the device is there already, left by an earlier zcramd that was killed, has crashed, or
 * has left on purpose for this one to go on.
 */
#ifndef ZCRAM_DAEMON_SURVEY_H
#define ZCRAM_DAEMON_SURVEY_H

struct zcramd;

/*
 * Find out, and take over what serves, so that z->found says what is left to do. What can be of no use
 * to anybody is cleared away. As a step; on an error all stays as it was found.
 */
int survey(struct zcramd *z, char **why);

#endif
