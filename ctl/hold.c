/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/attach.h"
#include "ctl/ctl.h"

/* Milliseconds that what is frozen stays so although nothing is heard of who wants it. */
#define FROZEN_MS 30000

/* What is mounted where. */

/* Is PLACE in the mount at POINT? Also in a subvolume of it, which has a device number of its own. */
static bool is_inside(const char *place, const char *point)
{
	struct statx where, mount;

	if (statx(AT_FDCWD, place, 0, STATX_MNT_ID, &where) < 0 ||
	    statx(AT_FDCWD, point, 0, STATX_MNT_ID, &mount) < 0)
		return false;
	return (where.stx_dev_major == mount.stx_dev_major &&
		where.stx_dev_minor == mount.stx_dev_minor) ||
	       ((where.stx_mask & mount.stx_mask & STATX_MNT_ID) &&
		where.stx_mnt_id == mount.stx_mnt_id);
}

static int refuse_freeze(const char *name, const struct attach_use *use, int r)
{
	if (r == -EOPNOTSUPP)
		ctl_complain("%s: mounted on %s, and such a file system cannot be frozen: unmount "
			     "it",
			     name, use->mounts[0]);
	else
		ctl_complain("%s: mounted on %s, and cannot be frozen: %s", name, use->mounts[0],
			     strerror(-r));
	return CTL_FAILURE;
}

/* Freeze all that is mounted. */
static int still_mounts(struct hold *hold, const char *name, const struct attach_use *use,
			const char *place)
{
	int r;

	for (size_t i = 0; i < use->mount_count; i++) {
		if (!is_inside(place, use->mounts[i]))
			continue;
		ctl_complain("%s: it is on the device that is to be saved: save it elsewhere",
			     place);
		return CTL_FAILURE;
	}
	r = freeze_begin(&hold->freeze, use->mounts, use->mount_count, FROZEN_MS);
	return r < 0 ? refuse_freeze(name, use, r) : CTL_OK;
}

void hold_stir(struct hold *hold)
{
	freeze_stir(&hold->freeze);
}

/* The node. */

/* For one user alone: a mount that comes now is refused. */
static int open_node(struct hold *hold, const char *name, int index)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	hold->node = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (hold->node >= 0)
		return CTL_OK;
	ctl_complain("%s: %s: %s", name, path, strerror(errno));
	return CTL_FAILURE;
}

/* What was written to the node and is not at the server yet must be, and nothing older come later. */
static int flush_node(struct hold *hold, const char *name)
{
	if (fsync(hold->node) == 0 && ioctl(hold->node, BLKFLSBUF, 0) == 0)
		return CTL_OK;
	ctl_complain("%s: what was written to it cannot be flushed: %s", name, strerror(errno));
	return CTL_FAILURE;
}

static int refuse_use(const char *name, const struct attach_use *use)
{
	char *what = attach_use_describe(use);

	ctl_complain("%s: in use %s%s", name, what ? what : "",
		     use->swap ? ": swap is not saved or restored" : "");
	free(what);
	return CTL_FAILURE;
}

/* What holds it beside mounts cannot be frozen; freezing writes all that the kernel has of it. */
static int hold_used(struct hold *hold, const char *name, const struct attach_use *use,
		     const char *place)
{
	if (use->swap || use->holder_count > 0 || use->mount_count == 0 || !place)
		return refuse_use(name, use);
	return still_mounts(hold, name, use, place);
}

static int hold_unused(struct hold *hold, const char *name, int index)
{
	int status = open_node(hold, name, index);

	if (status == CTL_OK)
		status = flush_node(hold, name);
	if (status != CTL_OK)
		hold_end(hold, false);
	return status;
}

int hold_begin(struct hold *hold, const char *name, int index, const char *place)
{
	struct attach_use use;
	int status, r;

	*hold = (struct hold){.node = -1};
	if (index < 0)
		return CTL_OK;
	r = attach_use(NULL, index, &use);
	if (r < 0) {
		ctl_complain("%s: %s", name, strerror(-r));
		return CTL_FAILURE;
	}
	if (attach_is_used(&use))
		status = hold_used(hold, name, &use, place);
	else
		status = hold_unused(hold, name, index);
	attach_use_free(&use);
	return status;
}

bool hold_end(struct hold *hold, bool flush)
{
	bool held = true;

	if (hold->node >= 0) {
		if (flush)
			held = ioctl(hold->node, BLKFLSBUF, 0) == 0;
		close(hold->node);
	}
	hold->node = -1;
	return freeze_end(&hold->freeze) && held;
}

/* Which node. */

static int find_name(const char *name)
{
	char identifier[ATTACH_IDENTIFIER_SIZE];
	int index;

	if ((size_t)snprintf(identifier, sizeof(identifier), ATTACH_PREFIX "%s", name) >=
	    sizeof(identifier))
		return -1;
	return attach_find(NULL, identifier, &index) < 0 ? -1 : index;
}

/* Has the node INDEX a server of its own that is known? */
static bool is_known(int index)
{
	char identifier[ATTACH_IDENTIFIER_SIZE], path[PATH_MAX];
	const char *name = identifier + strlen(ATTACH_PREFIX);
	struct stat st;

	if (attach_identifier(NULL, index, identifier, sizeof(identifier)) < 0)
		return true; /* it has just gone */
	if (*name == '/')
		return stat(name, &st) == 0;
	snprintf(path, sizeof(path), "%s/%s/control", ctl_run_directory(), name);
	return stat(path, &st) == 0;
}

/* Is the node INDEX in use, and of the size that the kernel would give SIZE bytes? */
static bool may_be(int index, uint64_t size)
{
	struct attach_use use;
	uint64_t shown;
	bool used;

	if (attach_size(NULL, index, &shown) < 0 || shown != size / 512 * 512 ||
	    attach_use(NULL, index, &use) < 0)
		return false;
	used = attach_is_used(&use);
	attach_use_free(&use);
	return used;
}

int hold_find(const struct ctl_device *device, const struct json_object *stat, int *ret_index)
{
	const char *name = ctl_stat_text(stat, "name");
	int *indexes, status = CTL_OK;
	size_t count;

	*ret_index = device->index;
	if (*ret_index < 0 && *name)
		*ret_index = find_name(name);
	if (*ret_index >= 0 || attach_list(NULL, ATTACH_PREFIX, &indexes, &count) < 0)
		return CTL_OK;
	for (size_t i = 0; i < count && status == CTL_OK; i++) {
		if (is_known(indexes[i]) || !may_be(indexes[i], ctl_stat_number(stat, "size")))
			continue;
		ctl_complain("%s: /dev/nbd%d may be this device, and is in use: detach it, or give "
			     "its server the name that it is attached by",
			     device->name, indexes[i]);
		status = CTL_FAILURE;
	}
	free(indexes);
	return status;
}
