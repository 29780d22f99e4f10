/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/swap.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>

#include "attach/attach.h"
#include "daemon/child.h"
#include "daemon/report.h"
#include "daemon/why.h"
#include "daemon/zcramd.h"

/* The C library lacks these. */
#define DISCARD_ONCE  0x20000
#define DISCARD_PAGES 0x40000

#define PROGRESS      (1 * USEC_PER_SEC)
#define RETRY	      (5 * USEC_PER_SEC)
/* Longer than it takes to say so again, whatever the machine is busy with. */
#define EXTENSION  (60 * USEC_PER_SEC)

#define MIB(bytes) ((double)(bytes) / (1 << 20))

int swap_format(struct zcramd *z, char **why)
{
	const char *argv[] = {"mkswap", "--label", z->device->name, z->path, NULL};

	return child_run(&z->loop, argv, true, why);
}

static int swapon_flags(const struct conf_device *device)
{
	int flags = 0;

	if (device->swap_priority >= 0)
		flags |= SWAP_FLAG_PREFER | (device->swap_priority & SWAP_FLAG_PRIO_MASK);
	switch (device->discard) {
	case CONF_DISCARD_NONE:
		return flags;
	case CONF_DISCARD_ONCE:
		return flags | SWAP_FLAG_DISCARD | DISCARD_ONCE;
	case CONF_DISCARD_PAGES:
		return flags | SWAP_FLAG_DISCARD | DISCARD_PAGES;
	case CONF_DISCARD_BOTH:
		break;
	}
	return flags | SWAP_FLAG_DISCARD;
}

int swap_on(struct zcramd *z, char **why)
{
	if (swapon(z->path, swapon_flags(z->device)) < 0)
		return say_why(why, -errno, "swapon %s: %m", z->path);
	return 0;
}

static int call_swapoff(void *opaque)
{
	const struct zcramd *z = opaque;

	return swapoff(z->path) < 0 ? errno : 0;
}

static void say_progress(const struct zcramd *z)
{
	struct attach_use use;

	report_extend(EXTENSION);
	if (attach_use(NULL, z->index, &use) < 0)
		return;
	report_status("Swapping off: %.1fM to be read back", MIB(use.swap_used));
	attach_use_free(&use);
}

/* Why CHILD has not turned swap off, of which USED bytes are in use. */
static int say_result(const struct zcramd *z, const struct child *child, uint64_t used, char **why)
{
	char text[CHILD_TEXT_SIZE];

	if (child->code == CLD_EXITED)
		return say_why(why, child->status > 0 ? -child->status : -EBUSY,
			       "swapoff %s: %s: %.1fM are in use", z->path, strerror(child->status),
			       MIB(used));
	if (child->status == SIGKILL)
		return say_why(why, -ENOMEM,
			       "swapoff %s: killed, most likely as memory ran out: %.1fM are in "
			       "use",
			       z->path, MIB(used));
	child_describe(child, text);
	return say_why(why, -EINTR, "swapoff %s: %s: %.1fM are in use", z->path, text, MIB(used));
}

/* In a process of its own; its end is in *child. */
static int run_swapoff(struct zcramd *z, struct child *child)
{
	/*
	 * While a process swaps off, the kernel takes it for the one to be killed first when
	 * memory runs out, whatever its oom_score_adj. That must not be zcramd.
	 */
	struct child_job job = {.run = call_swapoff, .opaque = z, .output = -1};
	int r;

	r = child_start(child, &z->loop, &job);
	while (r == 0 && child->running) {
		say_progress(z);
		loop_turn(&z->loop, PROGRESS);
	}
	return r;
}

/* Until some time has passed, with the progress of somebody else's swapoff. */
static void watch_other(struct zcramd *z)
{
	for (uint64_t end = loop_now() + RETRY; loop_now() < end;) {
		say_progress(z);
		loop_turn(&z->loop, PROGRESS);
	}
}

/* Is the device swap, and with how many bytes in it? */
static int read_swap(const struct zcramd *z, bool *ret_swap, uint64_t *ret_used, char **why)
{
	struct attach_use use;
	int r;

	r = attach_use(NULL, z->index, &use);
	if (r < 0)
		return say_why(why, r, "%s: what it is used for cannot be read: %s", z->path,
			       strerror(-r));
	*ret_swap = use.swap;
	*ret_used = use.swap_used;
	attach_use_free(&use);
	return 0;
}

int swap_off(struct zcramd *z, char **why)
{
	struct child child;
	uint64_t used = 0;
	bool swap = true;
	int r;

	for (;;) {
		r = run_swapoff(z, &child);
		if (r < 0)
			return say_why(why, r, "swapoff %s: no process for it: %s", z->path,
				       strerror(-r));
		r = read_swap(z, &swap, &used, why);
		if (r < 0 || !swap)
			return r;
		/* Listed, and yet no swap to the kernel: another swapoff works at it. */
		if (child.code != CLD_EXITED || child.status != EINVAL)
			return say_result(z, &child, used, why);
		watch_other(z);
	}
}

uint64_t swap_available_memory(const char *root)
{
	char path[PATH_MAX], line[128];
	uint64_t kib = 0;
	FILE *file;

	if (snprintf(path, sizeof(path), "%s/proc/meminfo", root ? root : "") >= (int)sizeof(path))
		return 0;
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
			break;
	}
	fclose(file);
	return kib << 10;
}
