/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for the arena's tables: descriptors, page map, tags, extents; ahead of need, and after a fork. */
#include <string.h>

#include "allocator/arena.h"
#include "common/bitmap.h"
#include "common/os.h"

/* Have elements FROM .. TO - 1 of an array committed. */
static int ready(struct zs_arena *a, const void *array, size_t element, uint64_t from, uint64_t to)
{
	uint64_t start = element * from / ZS_PAGE_SIZE * ZS_PAGE_SIZE;
	uint64_t end = align_up(element * to, ZS_PAGE_SIZE);

	return arena_commit(a, (char *)array + start, end - start);
}

int arena_prepare(struct zs_arena *a)
{
	const uint32_t batch = ZS_PAGE_SIZE / sizeof(struct zspage);
	uint32_t had_zspages, zspages, had_map, map;
	int r = 0;

	/*
	 * Descriptors for as many zspages as the reserve could make, and a batch more. Map and
	 * extents for two extents beyond the highest in use. Idempotent: two threads may do it.
	 */
	pthread_mutex_lock(&a->lock);
	had_zspages = a->ready_zspages;
	had_map = a->ready_map;
	zspages = (uint32_t)min_u64((uint64_t)a->nr_zspages + a->reserve + 1, a->nr_pages);
	map = (uint32_t)min_u64((a->top_extent + 2) * (uint64_t)ZS_EXTENT_PAGES, a->nr_pages);
	pthread_mutex_unlock(&a->lock);

	if (zspages > had_zspages) {
		zspages = (uint32_t)min_u64((uint64_t)zspages + batch, a->nr_pages);
		r = ready(a, a->zspages, sizeof(*a->zspages), had_zspages, zspages);
		if (r == 0 && a->ages)
			r = ready(a, a->ages, sizeof(*a->ages), had_zspages, zspages);
	}
	if (r == 0 && map > had_map)
		r = ready(a, a->page_map, sizeof(*a->page_map), had_map, map);
	if (r == 0 && map > had_map && a->tags)
		r = ready(a, a->tags, sizeof(*a->tags), had_map, map);
	if (r == 0 && map > had_map)
		r = ready(a, a->extents, sizeof(*a->extents), had_map / ZS_EXTENT_PAGES,
			  map / ZS_EXTENT_PAGES);
	if (r < 0)
		return r;
	pthread_mutex_lock(&a->lock);
	store_relaxed(&a->ready_zspages, (uint32_t)max_u64(a->ready_zspages, zspages));
	a->ready_map = (uint32_t)max_u64(a->ready_map, map);
	pthread_mutex_unlock(&a->lock);
	return 0;
}

/*
 * Shared memory stays what it was, but a fork leaves it out of the child's page tables, and these
 * take memory too: have them for all that is committed. The pages of an extent are the lock's.
 */
static int prefault_extent(struct zs_arena *a, uint32_t extent)
{
	uint64_t committed[ZS_EXTENT_PAGES / 64];
	unsigned int at = 0, n;
	int r = 0;

	pthread_mutex_lock(&a->lock);
	memcpy(committed, a->extents[extent].committed, sizeof(committed));
	pthread_mutex_unlock(&a->lock);
	while (r == 0 && at < ZS_EXTENT_PAGES) {
		at += bitmap_run(committed, false, at, ZS_EXTENT_PAGES);
		n = bitmap_run(committed, true, at, ZS_EXTENT_PAGES);
		if (n > 0)
			r = os_commit(arena_page(a, extent * ZS_EXTENT_PAGES + at),
				      (size_t)n * ZS_PAGE_SIZE);
		at += n;
	}
	return r;
}

static int prefault_store(struct zs_arena *a, uint32_t map)
{
	int r = os_prefault(a->tags, map * sizeof(*a->tags));

	for (uint32_t i = 0; r == 0 && i < a->top_extent; i++)
		r = prefault_extent(a, i);
	return r;
}

int arena_prefault(struct zs_arena *a)
{
	uint32_t zspages, map;
	int r;

	/* What is beyond these was never touched: it is had by arena_prepare(), after the fork. */
	pthread_mutex_lock(&a->lock);
	zspages = a->ready_zspages;
	map = a->ready_map;
	pthread_mutex_unlock(&a->lock);
	r = os_prefault(a->zspages, zspages * sizeof(*a->zspages));
	if (r == 0 && a->ages)
		r = os_prefault(a->ages, zspages * sizeof(*a->ages));
	if (r == 0)
		r = os_prefault(a->page_map, map * sizeof(*a->page_map));
	if (r == 0)
		r = os_prefault(a->extents, map / ZS_EXTENT_PAGES * sizeof(*a->extents));
	return r == 0 && a->tags ? prefault_store(a, map) : r;
}

/* Pages of tags that are looked at at a time. */
#define TAGS_AT_ONCE 64

/* Tags of zspages below page MAP, as they are at the moment; those that are in memory. */
static int count_tags(const struct zs_arena *a, uint32_t map, uint64_t *ret_count)
{
	const uint32_t each = ZS_PAGE_SIZE / sizeof(*a->tags);
	uint8_t resident[TAGS_AT_ONCE];
	int r = 0;

	*ret_count = 0;
	for (uint32_t at = 0, n; r == 0 && at < map; at += n * each) {
		n = (uint32_t)min_u64(TAGS_AT_ONCE, div_round_up(map - at, each));
		r = os_resident(&a->tags[at], (size_t)n * ZS_PAGE_SIZE, resident);
		for (uint32_t i = 0; r == 0 && i < n * each; i++)
			*ret_count += resident[i / each] & 1 && load_relaxed(&a->tags[at + i]);
	}
	return r;
}

int arena_prefault_ahead(struct zs_arena *a)
{
	const uint32_t batch = ZS_PAGE_SIZE / sizeof(struct zspage);
	uint64_t word = load_relaxed(a->top), zspages, map;
	uint32_t top = (uint32_t)word;
	int r;

	arena_watch(a);
	/* If it does not say so, recovery looks for it. */
	if (word != arena_top_word(top) || top > a->nr_extents)
		return 0;
	/* As arena_prepare(); what is added until the store is ours will hardly be more. */
	map = min_u64((top + 4) * (uint64_t)ZS_EXTENT_PAGES, a->nr_pages);
	r = count_tags(a, (uint32_t)map, &zspages);
	zspages = min_u64(zspages + a->reserve + 1 + 4 * batch, a->nr_pages);
	if (r == 0)
		r = os_prefault(a->zspages, zspages * sizeof(*a->zspages));
	if (r == 0 && a->ages)
		r = os_prefault(a->ages, zspages * sizeof(*a->ages));
	if (r == 0)
		r = os_prefault(a->page_map, map * sizeof(*a->page_map));
	if (r == 0)
		r = os_prefault(a->extents, map / ZS_EXTENT_PAGES * sizeof(*a->extents));
	return r < 0 ? r : os_map_resident(a->base, top * (uint64_t)ZS_EXTENT_PAGES * ZS_PAGE_SIZE);
}

void arena_watch(struct zs_arena *a)
{
	if (!a->watches)
		headroom_init(&a->headroom);
	a->watches = true;
}

uint64_t arena_metadata(const struct zs_arena *a)
{
	return align_up(a->ready_map * sizeof(*a->page_map), ZS_PAGE_SIZE) +
	       (a->tags ? align_up(a->ready_map * sizeof(*a->tags), ZS_PAGE_SIZE) : 0) +
	       align_up(a->ready_map / ZS_EXTENT_PAGES * sizeof(*a->extents), ZS_PAGE_SIZE) +
	       align_up(a->ready_zspages * sizeof(*a->zspages), ZS_PAGE_SIZE) +
	       (a->ages ? align_up(a->ready_zspages * sizeof(*a->ages), ZS_PAGE_SIZE) : 0);
}
