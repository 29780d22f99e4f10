/* SPDX-License-Identifier: BSD-3-Clause */
/* why: the line that goes with an error. */
#ifndef ZCRAM_DAEMON_WHY_H
#define ZCRAM_DAEMON_WHY_H

/*
 * Set *WHY to a line that the caller frees, or NULL when there is no memory for it; %m is as in
 * syslog(3). Returns R, for "return".
 */
__attribute__((format(printf, 3, 4))) int say_why(char **why, int r, const char *format, ...);

#endif
