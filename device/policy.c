/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "common/os.h"
#include "common/threads.h"
#include "device/device-types.h"

#define LOOK_MS 1000

/*
 * To look through the slots of 64 GiB takes a quarter of a second of CPU time, and there may be pressure all the
 * time and nothing old enough: after a look in vain it rests for so many times as long as that took.
 */
#define REST 20

/* Tasks have waited for memory for 100 ms within two seconds, which who has no privilege may ask for too. */
static const char pressure[] = "some 100000 2000000";

/* -1: this kernel says nothing of it, or not to us. */
static int pressure_open(void)
{
	int fd = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && write(fd, pressure, sizeof(pressure)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Has there been any since the last look? */
static bool is_pressed(int fd)
{
	struct pollfd poll_on = {.fd = fd, .events = POLLPRI};

	return fd >= 0 && poll(&poll_on, 1, 0) == 1 && poll_on.revents & POLLPRI &&
	       !(poll_on.revents & POLLERR);
}

int policy_check(const struct device_policy *policy)
{
	return policy->at <= 100 && policy->age <= device_idle_max() ? 0 : -EINVAL;
}

void policy_set(struct policy *p, const struct device_policy *settings)
{
	store_relaxed(&p->at, settings->at);
	store_relaxed(&p->a_day, settings->limit);
}

/*
 * What the pool would take if all was done that moving objects can do, which is the movers'. With zbud that
 * is more than the payload by far.
 */
static uint64_t needed(struct device *d, const struct device_stats *stats)
{
	if (d->allocator == ZS_ZBUD)
		return stats->pool - min_u64(stats->pool, zs_potential(d->pool));
	return stats->payload;
}

uint64_t policy_turn(struct device *d, bool pressed)
{
	struct device_settings settings;
	struct device_stats stats;
	uint64_t at, most, has, bytes = 0;

	device_get_settings(d, &settings);
	if (settings.writeback.at == 0)
		return 0;
	device_get_stats(d, &stats);
	at = settings.mem_limit / 100 * settings.writeback.at;
	most = at - at / 16;
	has = needed(d, &stats);
	if (settings.mem_limit > 0 && stats.pool > at && has > most)
		bytes = has - most;
	if (pressed)
		bytes = max_u64(bytes, has / 16);
	return bytes == 0 ? 0
			  : writeback_relieve(d, bytes, age_of_seconds(settings.writeback.age),
					      settings.writeback.limit, &d->policy.stop);
}

static bool is_stopping(const struct policy *p)
{
	return __atomic_load_n(&p->stop, __ATOMIC_SEQ_CST) != 0;
}

/* Before *REST_UNTIL it is not even asked whether there is pressure: that is still there afterwards. */
static void take_turn(struct device *d, int fd, uint64_t *rest_until)
{
	uint64_t cpu = os_thread_cpu();

	if (os_now() >= *rest_until && policy_turn(d, is_pressed(fd)) == 0)
		*rest_until = os_now() + REST * (os_thread_cpu() - cpu);
}

static void *policy_main(void *opaque)
{
	struct device *d = opaque;
	uint64_t rest_until = 0;
	int fd = pressure_open();

	os_thread_name("zcram-policy");
	os_thread_urgent(false);
	while (!is_stopping(&d->policy)) {
		seek_look(d);
		take_turn(d, fd, &rest_until);
		if (writeback_is_possible(d, load_relaxed(&d->policy.a_day), &d->policy.stop))
			limit_hope(d);
		/* All that writes may be waiting for memory already. */
		limit_look(d);
		os_wait(&d->policy.stop, 0, LOOK_MS);
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

int policy_start(struct device *d)
{
	int r;

	if (!d->writeback && !d->seek)
		return 0;
	r = thread_begin(&d->policy.thread, policy_main, d);
	d->policy.running = r == 0;
	return r;
}

void policy_stop(struct device *d)
{
	if (!d->policy.running)
		return;
	__atomic_store_n(&d->policy.stop, 1, __ATOMIC_SEQ_CST);
	os_wake(&d->policy.stop, true);
	writeback_wake(device_writeback_of(d));
	pthread_join(d->policy.thread, NULL);
	__atomic_store_n(&d->policy.stop, 0, __ATOMIC_SEQ_CST);
	d->policy.running = false;
}
