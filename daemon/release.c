/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/release.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fs.h"
#include "daemon/report.h"
#include "daemon/swap.h"
#include "daemon/zcramd.h"

#define PAUSE (5 * USEC_PER_SEC)
/* More than a pause, however late the machine comes to say so again. */
#define EXTENSION (60 * USEC_PER_SEC)

bool release_is_worth_trying(const struct attach_use *use, uint64_t available)
{
	/*
	 * What is in swap must fit into memory. Without this, each try would drive all caches out
	 * and end by the OOM killer.
	 */
	return !use->swap || use->swap_used <= available;
}

/* The mount point of ours among those that the kernel shows, or NULL. */
static const char *our_mount(const struct zcramd *z, const struct attach_use *use)
{
	for (size_t i = 0; i < use->mount_count && z->device->mount_point != NULL; i++) {
		if (strcmp(use->mounts[i], z->device->mount_point) == 0)
			return use->mounts[i];
	}
	return NULL;
}

static void unmount(struct zcramd *z, const char *mount_point, bool loud)
{
	char *why = NULL;
	int r;

	r = fs_unmount(z, mount_point, false, &why);
	/* With its content gone the mount is worth nothing, and would be in the next one's way. */
	if (r < 0 && z->lost) {
		report_lines(LOG_WARNING, why);
		free(why);
		why = NULL;
		r = fs_unmount(z, mount_point, true, &why);
	}
	if (r < 0 && loud)
		report_lines(LOG_ERR, why);
	free(why);
}

/* One try. LOUD: say why it fails. */
static void let_go(struct zcramd *z, const struct attach_use *use, bool loud)
{
	const char *mount_point = our_mount(z, use);
	char *why = NULL;

	if (use->swap) {
		if (swap_off(z, &why) < 0 && loud)
			report_lines(LOG_ERR, why);
		free(why);
	}
	if (mount_point != NULL)
		unmount(z, mount_point, loud);
}

/* What the device is used for. An error of reading it counts as use: then it is not let go of. */
static bool is_used(const struct zcramd *z, struct attach_use *use)
{
	int r = attach_use(NULL, z->index, use);

	if (r == 0)
		return attach_is_used(use);
	*use = (struct attach_use){0};
	if (r == -ENODEV)
		return false;
	report(LOG_ERR, "%s: what it is used for cannot be read: %s", z->path, strerror(-r));
	return true;
}

static void say_stays(const struct zcramd *z, const struct attach_use *use, bool loud)
{
	char *how = attach_use_describe(use);

	if (loud)
		report(LOG_WARNING,
		       "%s is in use %s: it stays, and I/O goes on; this is tried again when it "
		       "may work, "
		       "and on SIGTERM",
		       z->path, how ? how : "");
	report_status("Cannot stop: %s is in use %s", z->path, how ? how : "");
	free(how);
}

/* Until a try is worth it, or is asked for. */
static void pause_until_chance(struct zcramd *z)
{
	unsigned int stops = z->loop.stops;
	bool chance = false;

	while (!chance && z->loop.stops == stops && !z->lost) {
		uint64_t end = loop_now() + PAUSE, now;
		struct attach_use use;

		report_extend(EXTENSION);
		while ((now = loop_now()) < end && z->loop.stops == stops && !z->lost)
			loop_turn(&z->loop, end - now);
		chance = !is_used(z, &use) ||
			 release_is_worth_trying(&use, swap_available_memory(NULL));
		attach_use_free(&use);
	}
}

int release(struct zcramd *z)
{
	unsigned int told = 0; /* loop.stops, when we last said why not */
	bool first = true;
	struct attach_use use;

	while (is_used(z, &use)) {
		/* A server that dies while we try is a reason to try once more. */
		bool lost = z->lost, loud = first || lost || told != z->loop.stops;
		bool used;

		told = z->loop.stops;
		first = false;
		let_go(z, &use, loud);
		attach_use_free(&use);
		used = is_used(z, &use);
		if (used && lost == z->lost)
			say_stays(z, &use, loud);
		attach_use_free(&use);
		if (used && lost)
			return -EBUSY;
		if (used && !z->lost)
			pause_until_chance(z);
	}
	attach_use_free(&use);
	return 0;
}
