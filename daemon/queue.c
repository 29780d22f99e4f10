/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/queue.h"

#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "daemon/report.h"
#include "daemon/zcramd.h"

static int bound(void *opaque)
{
	const struct zcramd *z = opaque;
	unsigned int kib, writes;
	char *why;
	int r;

	connections_bounds(&kib, &writes);
	r = attach_bound_writes(NULL, z->index, kib, writes, z->in_use, &why);
	if (r < 0)
		report(LOG_NOTICE, "%s: at the limit reads may have to wait for writes",
		       why ? why : strerror(-r));
	free(why);
	return EXIT_SUCCESS;
}

int queue_bound(void *opaque, char **why)
{
	struct zcramd *z = opaque;
	/* It may wait for requests, and thus for a server that we have to bring back. */
	struct child_job job = {.run = bound, .opaque = z, .output = -1};
	struct child child;
	int r;

	if (!z->looped)
		return 0;
	r = child_start(&child, &z->loop, &job);
	if (r < 0)
		report(LOG_NOTICE, "no process to bound writes: %s", strerror(-r));
	while (r == 0 && child.running)
		loop_turn(&z->loop, UINT64_MAX);
	return 0;
}
