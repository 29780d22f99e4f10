/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands in a store that is not ours, by libblkid, which knows all that Linux gives a name to.
 *
 * zram takes a disk without looking; but a typing mistake in one letter of a path should not cost a
 * file system. libblkid wants a file: it gets one with the store's first and last bytes, where
 * signatures are, and holes between, so that exports are looked at like disks.
 */
#include <blkid.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backing/types.h"

#define LOOKED_AT (UINT64_C(2) << 20) /* bytes at either end */

static int copy(struct engine *engine, int fd, void *buf, uint32_t size, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint32_t n = (uint32_t)min_u64(size, to - from);
		int r = engine_do(engine, ENGINE_READ, buf, n, from);

		if (r < 0)
			return r;
		if (pwrite(fd, buf, n, (off_t)from) != (ssize_t)n)
			return -ENOMEM;
		from += n;
	}
	return 0;
}

static int copy_ends(struct engine *engine, int fd, void *buf, uint32_t size)
{
	uint64_t head = min_u64(LOOKED_AT, engine->size);
	uint64_t tail = max_u64(head, engine->size - head);
	int r;

	if (ftruncate(fd, (off_t)engine->size) < 0)
		return -errno;
	r = copy(engine, fd, buf, size, 0, head);
	return r < 0 ? r : copy(engine, fd, buf, size, tail, engine->size);
}

static int look(int fd, char *why)
{
	blkid_probe probe = blkid_new_probe();
	const char *type = "more than one thing";
	int r, found;

	if (!probe)
		return -ENOMEM;
	r = blkid_probe_set_device(probe, fd, 0, 0) < 0 ? -ENOMEM : 0;
	if (r == 0) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_enable_partitions(probe, 1);
		/* 1: nothing; 0: something; -2: more than one thing */
		found = blkid_do_safeprobe(probe);
		if (found == 0 && blkid_probe_lookup_value(probe, "TYPE", &type, NULL) < 0 &&
		    blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL) < 0)
			type = "something";
		if (found == -1)
			r = -EIO;
		else if (found != 1)
			r = engine_why(why, -EEXIST, "it holds %s: wipefs removes that", type);
	}
	blkid_free_probe(probe);
	return r;
}

int probe_foreign(struct engine *engine, void *buf, uint32_t size, char *why)
{
	int fd = memfd_create("zcram-probe", MFD_CLOEXEC), r;

	r = fd < 0 ? -errno : copy_ends(engine, fd, buf, size);
	if (r < 0)
		engine_why(why, r, "cannot be looked at: %s", strerror(-r));
	else
		r = look(fd, why);
	if (r < 0 && r != -EEXIST)
		engine_why(why, r, "cannot be looked at: %s", strerror(-r));
	if (fd >= 0)
		close(fd);
	return r;
}
