/* SPDX-License-Identifier: BSD-3-Clause */
#include "nbdkit-plugin/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "common/util.h"

#define FIELD(name)                                        \
	{                                                  \
#name, offsetof(struct device_stats, name) \
	}

static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	FIELD(reads),
	FIELD(writes),
	FIELD(trims),
	FIELD(zeroes),
	FIELD(flushes),
	FIELD(bytes_read),
	FIELD(bytes_written),
	FIELD(failed_reads),
	FIELD(failed_writes),
	FIELD(invalid_io),
	FIELD(notify_free),
	FIELD(pages_same),
	FIELD(pages_pool),
	FIELD(pages_raw),
	FIELD(pages_filter),
	FIELD(payload),
	FIELD(pool),
	FIELD(pool_max),
	FIELD(mem_limit),
	FIELD(reserve),
	FIELD(reserve_target),
	FIELD(metadata),
	FIELD(streams),
	FIELD(objects_compacted),
	FIELD(pages_compacted),
	FIELD(objects_migrated),
	FIELD(extents_migrated),
	FIELD(refills),
};

/* A field of struct device_stats that is not printed is one that was forgotten above. */
_Static_assert(ARRAY_SIZE(fields) * sizeof(uint64_t) == sizeof(struct device_stats),
	       "every statistic has its line");
/* A name, a colon and a blank, 20 digits, a newline. */
_Static_assert(ARRAY_SIZE(fields) * 48 + 2 <= STATS_TEXT_SIZE, "all lines fit");

size_t stats_format(const struct device_stats *stats, char text[STATS_TEXT_SIZE])
{
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const uint64_t *value = (const uint64_t *)((const char *)stats + fields[i].offset);

		len += (size_t)snprintf(text + len, STATS_TEXT_SIZE - len, "%s: %" PRIu64 "\n",
					fields[i].name, *value);
	}
	len += (size_t)snprintf(text + len, STATS_TEXT_SIZE - len, "\n");
	return len;
}

void stats_print(struct device *device)
{
	struct device_stats stats;
	char text[STATS_TEXT_SIZE];
	size_t len, done = 0;

	device_get_stats(device, &stats);
	len = stats_format(&stats, text);
	/* In one piece, so that nothing else that is logged comes between the lines. */
	while (done < len) {
		ssize_t n = write(STDERR_FILENO, text + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		done += (size_t)n;
	}
}

/* The signal's handler has nothing else to reach it by. */
static struct {
	sem_t asked;
	struct sigaction before;
	struct device *device;
	pthread_t thread;
	bool stop; /* written before the last post, read after a wait */
} answerer;

/*
 * A handler rather than a blocked signal and sigwait(): a mask would be inherited by the command of
 * nbdkit --run, and would miss the threads that filters started earlier.
 */
static void on_signal(int signal)
{
	int saved = errno;

	sem_post(&answerer.asked);
	errno = saved;
}

void stats_catch_signal(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sem_init(&answerer.asked, 0, 0);
	sigaction(SIGUSR1, &action, &answerer.before);
}

void stats_release_signal(void)
{
	sigaction(SIGUSR1, &answerer.before, NULL);
	sem_destroy(&answerer.asked);
}

static void *answer(void *unused)
{
	for (;;) {
		while (sem_wait(&answerer.asked) < 0)
			; /* EINTR: the signal that asks */
		if (answerer.stop)
			return NULL;
		stats_print(answerer.device);
	}
}

int stats_start(struct device *device)
{
	answerer.device = device;
	return -pthread_create(&answerer.thread, NULL, answer, NULL);
}

void stats_stop(void)
{
	answerer.stop = true;
	sem_post(&answerer.asked);
	pthread_join(answerer.thread, NULL);
}
