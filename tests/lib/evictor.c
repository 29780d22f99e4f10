/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/evictor.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/lib/check.h"

void evictor_init(struct evictor *e, uint64_t size)
{
	e->size = size;
	e->file = memfd_create("evictor", MFD_CLOEXEC);
	CHECK(e->file >= 0 && ftruncate(e->file, (off_t)size) == 0, "no file in memory");
}

void evictor_fini(struct evictor *e)
{
	close(e->file);
}

void evictor_open(const struct evictor *e, struct device *device, struct rng *rng)
{
	char path[64], why[BACKING_WHY] = "";
	const struct backing_options options = {
		.where = path,
		.name = "test",
		.segment_size = UINT32_C(64) << 10,
		.engine = rng_chance(rng, 50) ? BACKING_AUTO : BACKING_THREADS,
	};
	int err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", e->file);
	err = device_open_backing(device, &options, why);
	CHECK(err == 0, "backing store: %s (%d)", why, err);
}

void evictor_order(struct device *device, struct rng *rng)
{
	uint64_t pages = div_round_up(device_size(device), DEVICE_PAGE_SIZE);
	struct device_writeback order = {
		.type = (enum device_writeback_type)rng_below(rng, 5),
		.threshold = rng_below(rng, 2) * rng_below(rng, 3000),
		.max_pages = rng_below(rng, 2) * rng_below(rng, 1000),
	};
	struct device_written_back done;
	int err;

	if (rng_chance(rng, 50)) {
		order.ranges_count = 1;
		order.ranges[0].first = rng_below(rng, pages);
		order.ranges[0].last = rng_between(rng, order.ranges[0].first, pages);
	}
	err = device_writeback(device, &order, &done);
	CHECK(err == 0 || err == -ENOSPC, "writeback: %d", err);
	CHECK(order.max_pages == 0 || done.pages <= order.max_pages, "too many pages");
}

uint64_t evictor_live(struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	return stats.backing_live;
}
