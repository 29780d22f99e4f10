/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/util.h"
#include "daemon/report.h"

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *opaque)
{
	struct loop *loop = opaque;

	loop->stops++;
	return 0;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *opaque)
{
	struct loop *loop = opaque;

	loop->reloads++;
	return 0;
}

static int on_leave(sd_event_source *source, const struct signalfd_siginfo *info, void *opaque)
{
	struct loop *loop = opaque;

	loop->leaves++;
	return 0;
}

static int add_signals(struct loop *loop)
{
	const struct {
		int signal;
		sd_event_signal_handler_t handler;
	} signals[] = {
		{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}, {SIGUSR2, on_leave}};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; i++)
		r = sd_event_add_signal(loop->event, NULL, signals[i].signal, signals[i].handler,
					loop);
	return r;
}

int loop_open(struct loop *loop)
{
	sigset_t mask;
	int r;

	*loop = (struct loop){0};
	/* sd-event reads these from a file descriptor, and wants them blocked. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);

	r = sd_event_new(&loop->event);
	if (r >= 0)
		r = add_signals(loop);
	if (r >= 0)
		r = sd_event_set_watchdog(loop->event, true);
	if (r < 0) {
		loop_close(loop);
		return r;
	}
	return 0;
}

void loop_close(struct loop *loop)
{
	loop->event = sd_event_unref(loop->event);
}

void loop_turn(struct loop *loop, uint64_t usec)
{
	int r = sd_event_run(loop->event, usec);

	if (r < 0) {
		/* No handler of ours fails; without events the device could not be looked after. */
		report(LOG_CRIT, "the event loop fails: %s", strerror(-r));
		abort();
	}
}

uint64_t loop_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}
