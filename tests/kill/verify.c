/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/kill/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "allocator/zs-types.h"
#include "device/device-types.h"
#include "tests/lib/check.h"

#define CHUNK (64 * PAGE)

static int count_damaged(void *opaque, uint64_t page)
{
	uint64_t *damaged = opaque;

	(*damaged)++;
	CHECK(false, "page %" PRIu64 " is said to be damaged", page);
	return 0;
}

void verify_recovery(struct journal *j, struct device *device)
{
	struct device_recovery recovery;
	uint64_t damaged = 0;

	device_get_recovery(device, &recovery);
	if (!j->formed) {
		/* Killed while it was made, it is new the next time, or an empty one. */
		memcpy(j->uuid, recovery.uuid, sizeof(j->uuid));
		j->formed = true;
	} else {
		CHECK(recovery.recovered, "the store was taken for a new one");
		CHECK(memcmp(j->uuid, recovery.uuid, sizeof(j->uuid)) == 0,
		      "the store has another identity");
	}
	CHECK(recovery.generation >= j->generation, "generation %u after %u", recovery.generation,
	      j->generation);
	CHECK(recovery.damaged == 0, "%" PRIu64 " pages are damaged", recovery.damaged);
	CHECK(device_damaged(device, count_damaged, &damaged) == 0 && damaged == 0,
	      "pages are damaged");
	j->generation = recovery.generation;
	j->cells_freed += recovery.cells_freed;
}

static void check_words(const struct words *words, const uint32_t *references)
{
	for (unsigned int i = 0; i < WORDS_ENTRIES; i++)
		CHECK(words->references[i] == references[i],
		      "word %u is counted %u times, and used %u times", i, words->references[i],
		      references[i]);
}

void verify_pool(struct journal *j, struct device *device)
{
	uint32_t *references = calloc(WORDS_ENTRIES, sizeof(*references));
	struct device_stats stats;
	struct zs_stats zs;
	const char *why = "";
	uint64_t pool = 0;
	int err = device_validate(device, &why);

	CHECK(err == 0, "%s: %d", why, err);
	CHECK(references, "no memory");
	for (uint64_t page = 0; page < j->pages; page++) {
		slot_word word = leaf_ready(device, page) ? device->slots[page] : 0;

		CHECK(!(word & SLOT_LOCK), "page %" PRIu64 " is locked by the dead", page);
		pool += slot_state(word) == SLOT_POOL;
		if (slot_interned(word))
			references[slot_value(word) % WORDS_ENTRIES]++;
	}
	device_get_stats(device, &stats);
	zs_get_stats(device->pool, &zs);
	CHECK(stats.pages_pool == pool && zs.objects == pool,
	      "%" PRIu64 " slots in the pool, counted as %" PRIu64 ", and %" PRIu64 " objects",
	      pool, stats.pages_pool, zs.objects);
	check_words(&device->words, references);
	free(references);
}

static void read_device(struct device *device, uint8_t *buf, uint64_t offset, uint64_t count)
{
	int err = device_read(device, buf, offset, count);

	CHECK(err == 0, "read of %" PRIu64 " at %" PRIu64 ": %d", count, offset, err);
}

/* The pages that are raced for: by their own rules. */
static void verify_shared(struct journal *j, struct device *device)
{
	static uint8_t found[JOURNAL_SHARED_PAGES * PAGE];
	struct model view = {.device = device, .size = j->size};

	j->worker[0].model = &view;
	shared_check(&j->worker[0]);
	read_device(device, found, 0, sizeof(found));
	journal_settle_shared(j, found);
}

void verify_content(struct journal *j, struct device *device)
{
	uint64_t start = JOURNAL_SHARED_PAGES * PAGE, count;
	static uint8_t found[CHUNK];

	journal_redo(j);
	for (uint64_t at = start; at < j->size; at += count) {
		count = min_u64(CHUNK, j->size - at);
		read_device(device, found, at, count);
		journal_compare(j, found, at, count);
	}
	journal_settled(j);
	verify_shared(j, device);
	j->checks++;
}

static int check_hole(void *opaque, uint64_t offset, uint64_t length, bool hole)
{
	const struct journal *j = opaque;

	CHECK(hole && offset == 0 && length == j->size,
	      "after a trim of all, there is something at %" PRIu64, offset);
	return 0;
}

void verify_trimmed(struct journal *j, struct device *device)
{
	uint64_t start = JOURNAL_SHARED_PAGES * PAGE;
	struct request *q = journal_checker(j);
	struct shared_page *pages = j->shared.page;
	struct device_stats stats;

	for (uint64_t i = 0; i < JOURNAL_SHARED_PAGES; i++)
		atomic_store(&pages[i].zeroing, 1);
	journal_intend(j, q, REQUEST_TRIM, start, j->size - start, JOURNAL_ZEROS, NULL);
	CHECK(device_trim(device, 0, j->size) == 0, "trim of all");
	journal_done(j, q);
	verify_content(j, device);
	verify_pool(j, device);
	device_get_stats(device, &stats);
	CHECK(stats.pages_backing == 0 && stats.backing_live == 0,
	      "after a trim of all, %" PRIu64 " objects in the backing store", stats.pages_backing);
	CHECK(stats.pages_pool == 0 && stats.pages_same == 0 && stats.pool == 0 &&
		      stats.payload == 0,
	      "after a trim of all, %" PRIu64 " objects in %" PRIu64 " bytes of pool",
	      stats.pages_pool, stats.pool);
	for (uint32_t i = 0; i < device->pool->nr_classes; i++)
		CHECK(device->pool->classes[i].zspages == 0,
		      "after a trim of all, class %u has %u zspages", i,
		      device->pool->classes[i].zspages);
	CHECK(device_extents(device, 0, j->size, check_hole, j) == 0, "extents");
}
