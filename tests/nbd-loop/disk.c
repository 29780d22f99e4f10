/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/nbd-loop/disk.h"

#include <string.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/lib/rng.h"

static int begin(struct disk *disk, uint64_t offset, uint64_t count)
{
	uint64_t call = __atomic_fetch_add(&disk->calls, 1, __ATOMIC_RELAXED);

	CHECK(count <= disk->size && offset <= disk->size - count, "%llu bytes at %llu",
	      (unsigned long long)count, (unsigned long long)offset);
	if (disk->delay_us > 0 && rng_mix(call) % 4 == 0)
		usleep((unsigned int)(rng_mix(call + 1) % disk->delay_us));
	return disk->fail;
}

static int disk_read(void *opaque, void *buf, uint64_t offset, uint32_t count)
{
	struct disk *disk = opaque;
	int r = begin(disk, offset, count);

	if (r == 0)
		memcpy(buf, disk->bytes + offset, count);
	return r;
}

static int disk_write(void *opaque, const void *buf, uint64_t offset, uint32_t count)
{
	struct disk *disk = opaque;
	int r = begin(disk, offset, count);

	if (r == 0)
		memcpy(disk->bytes + offset, buf, count);
	return r;
}

static int disk_zero(void *opaque, uint64_t offset, uint32_t count)
{
	struct disk *disk = opaque;
	int r = begin(disk, offset, count);

	if (r == 0)
		memset(disk->bytes + offset, 0, count);
	return r;
}

static int disk_flush(void *opaque)
{
	return begin(opaque, 0, 0);
}

const struct nbd_ops disk_ops = {
	.read = disk_read,
	.write = disk_write,
	.trim = disk_zero,
	.zero = disk_zero,
	.flush = disk_flush,
};
