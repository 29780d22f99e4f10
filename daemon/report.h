/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report: what zcramd says, to the journal and to the service manager.
 *
 * Under the journal every line carries ZCRAM_DEVICE= and ZCRAM_STEP=; elsewhere it goes to standard
 * error as "zcramd: NAME: line". The device and the step are the process's own, set once and for
 * all lines from then on. One thread only.
 */
#ifndef ZCRAM_DAEMON_REPORT_H
#define ZCRAM_DAEMON_REPORT_H

#include <stdint.h>
#include <syslog.h>

/* What the lines are about; both must stay. STEP NULL: none. */
void report_device(const char *name);
void report_step(const char *step);

/* A line at a level of syslog's: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO. */
__attribute__((format(printf, 2, 3))) void report(int level, const char *format, ...);

/* The same for each line of TEXT; NULL: "no memory". */
void report_lines(int level, const char *text);

/* What goes on, in a few words: the service manager's STATUS=. */
__attribute__((format(printf, 1, 2))) void report_status(const char *format, ...);

/* Words of sd_notify(3): "READY=1". Without a service manager: nothing. */
__attribute__((format(printf, 1, 2))) void report_notify(const char *format, ...);

/* That starting or stopping takes longer: do not give up within USEC microseconds from now. */
void report_extend(uint64_t usec);

#endif
