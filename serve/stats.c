/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "common/os.h"
#include "device/fields.h"

/* A name, a colon and a blank, 20 digits, a newline. */
_Static_assert(sizeof(struct device_stats) / sizeof(uint64_t) * 48 + 64 <= STATS_TEXT_SIZE,
	       "all lines fit");

size_t stats_format(const struct device_stats *stats, char *text, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < device_stat_fields_count; i++) {
		const struct device_stat_field *field = &device_stat_fields[i];

		len += (size_t)snprintf(text + len, size - len, "%s: %" PRIu64 "\n", field->name,
					device_stat(stats, field));
	}
	len += (size_t)snprintf(text + len, size - len, "\n");
	return len;
}

/* Of a device with a pool that outlives the server: a line before the others. */
static size_t stats_uuid(const struct device *device, char text[STATS_TEXT_SIZE])
{
	struct device_recovery recovery;
	char uuid[DEVICE_UUID_TEXT];

	device_get_recovery(device, &recovery);
	if (!recovery.in_store)
		return 0;
	device_uuid_text(recovery.uuid, uuid);
	return (size_t)snprintf(text, STATS_TEXT_SIZE, "uuid: %s\n", uuid);
}

void stats_print(struct device *device)
{
	struct device_stats stats;
	char text[STATS_TEXT_SIZE];
	size_t len, done = 0;

	device_get_stats(device, &stats);
	len = stats_uuid(device, text);
	len += stats_format(&stats, text + len, sizeof(text) - len);
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
	bool running;
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
	os_thread_urgent(false); /* it can wait for those who are served */
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
	int r;

	answerer.device = device;
	r = -pthread_create(&answerer.thread, NULL, answer, NULL);
	answerer.running = r == 0;
	return r;
}

void stats_stop(void)
{
	if (!answerer.running)
		return;
	answerer.running = false;
	answerer.stop = true;
	sem_post(&answerer.asked);
	pthread_join(answerer.thread, NULL);
}
