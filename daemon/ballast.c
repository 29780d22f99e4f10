/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/ballast.h"

#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "common/os.h"
#include "common/util.h"

/* Taken at a time: the kernel keeps not much more at hand. */
#define PART	   ((size_t)256 << 10)
#define PART_PAGES (PART / 4096)

/* What a start takes in the kernel: some fifteen stacks, page tables, a ring. */
#define KERNEL_PART ((size_t)1 << 20)

/* Microseconds until it is looked again. A start takes some tens of milliseconds. */
#define OFFER_AGAIN 5000
#define TAKE_AGAIN  50000
#define ACCURACY    1000

static void arm(struct ballast *b, uint64_t usec)
{
	sd_event_source_set_time_relative(b->timer, usec);
	sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT);
}

static void give(struct ballast *b)
{
	os_release(b->memory, b->held);
	b->held = 0;
}

/* Would anybody else be given memory now, it would be theirs. */
static void offer(struct ballast *b)
{
	if (headroom_ordinary(&b->headroom) == 0)
		give(b);
	if (b->held > 0)
		arm(b, OFFER_AGAIN);
}

static void take(struct ballast *b)
{
	uint8_t *at = (uint8_t *)b->memory + b->held;

	/* Others need a part, too. */
	if (headroom_ordinary(&b->headroom) >= 2 * PART_PAGES && os_commit(at, PART) == 0)
		b->held += PART;
	if (b->held < b->wanted)
		arm(b, TAKE_AGAIN);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *opaque)
{
	struct ballast *b = opaque;

	if (b->starting)
		offer(b);
	else
		take(b);
	return 0;
}

int ballast_open(struct ballast *b, sd_event *event)
{
	int r = os_reserve(BALLAST_MAX, &b->memory);

	if (r < 0)
		return r;
	/* Children would have their tables made for it. */
	madvise(b->memory, BALLAST_MAX, MADV_DONTFORK);
	r = sd_event_add_time_relative(event, &b->timer, CLOCK_MONOTONIC, 0, ACCURACY, on_timer, b);
	if (r < 0) {
		os_unreserve(b->memory, BALLAST_MAX);
		return r;
	}
	sd_event_source_set_enabled(b->timer, SD_EVENT_OFF);
	headroom_init(&b->headroom);
	return 0;
}

void ballast_close(struct ballast *b)
{
	if (b->timer == NULL)
		return;
	sd_event_source_disable_unref(b->timer);
	headroom_destroy(&b->headroom);
	os_unreserve(b->memory, BALLAST_MAX);
	*b = (struct ballast){0};
}

void ballast_offer(struct ballast *b)
{
	if (b->timer == NULL)
		return;
	b->starting = true;
	offer(b);
}

size_t ballast_of(pid_t pid)
{
	char path[32], line[128];
	unsigned long kib = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	if (status == NULL)
		return 0;
	while (fgets(line, sizeof(line), status) != NULL && sscanf(line, "RssAnon: %lu", &kib) != 1)
		;
	fclose(status);
	return kib > 0 ? (kib << 10) + KERNEL_PART : 0;
}

void ballast_restore(struct ballast *b, pid_t pid)
{
	size_t size;

	if (b->timer == NULL)
		return;
	size = ballast_of(pid);
	/* One that cannot be seen has ended: as much as before. */
	if (size > 0)
		b->wanted = (size_t)min_u64(align_up(size, PART), BALLAST_MAX);
	b->starting = false;
	take(b);
}
