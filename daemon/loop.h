/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop: the events of zcramd.
 *
 * What zcramd does is written down in order, one thing after the other; wherever something must be
 * waited for, loop_turn() is called until it has come. Handlers only take note of what happened,
 * so that signals, the server and the watchdog are looked after whatever is being waited for.
 */
#ifndef ZCRAM_DAEMON_LOOP_H
#define ZCRAM_DAEMON_LOOP_H

#include <stdint.h>

#include <systemd/sd-event.h>

#define USEC_PER_SEC UINT64_C(1000000)

struct loop {
	sd_event *event;
	unsigned int stops;   /* SIGTERM and SIGINT so far */
	unsigned int reloads; /* SIGHUP not answered yet */
	unsigned int leaves;  /* SIGUSR2 so far */
};

/*
 * Take over SIGTERM, SIGINT, SIGHUP, SIGUSR2 and SIGCHLD, and answer the service manager's watchdog. A
 * negative errno.
 */
int loop_open(struct loop *loop);
void loop_close(struct loop *loop);

/* Wait for events, at most USEC microseconds (UINT64_MAX: for ever), and handle them. */
void loop_turn(struct loop *loop, uint64_t usec);

/* Microseconds of the monotonic clock. */
uint64_t loop_now(void);

#endif
