/* SPDX-License-Identifier: BSD-3-Clause */
/* zs_validate(): every invariant of zs-types.h, by its number; those of zbud: zbud-check.c. */
#include <errno.h>

#include "allocator/check.h"
#include "allocator/pages.h"
#include "allocator/zspage.h"
#include "common/bitmap.h"

/* Of a zspage's pages; that there are no others says check_tags(). */
static bool tags_agree(const struct zs_pool *pool, const struct zs_class *c, const struct zspage *z)
{
	if (!pool->arena.tags)
		return true;
	for (unsigned int i = 1; i < c->pages; i++)
		if (load_relaxed(&pool->arena.tags[z->first + i]) != 0)
			return false;
	return load_relaxed(&pool->arena.tags[z->first]) == pool->allocator->tag(pool, z);
}

static const char *check_place(struct check *k, struct zs_class *c, struct zspage *z)
{
	struct zs_arena *a = &k->pool->arena;
	const struct zs_extent *e = &a->extents[z->first / ZS_EXTENT_PAGES];
	unsigned int at = z->first % ZS_EXTENT_PAGES, committed, used;

	if (at + c->pages > ZS_EXTENT_PAGES)
		return "a zspage crosses the end of its extent";
	for (unsigned int i = 0; i < c->pages; i++)
		if (a->page_map[z->first + i] != zspage_index(k->pool, z) + 1)
			return "Z1: the page map does not lead back to the zspage";
	/* These bits stay as they are, but the words they stand in do not. */
	pthread_mutex_lock(&a->lock);
	committed = bitmap_run(e->committed, true, at, ZS_EXTENT_PAGES);
	used = bitmap_run(e->used, true, at, ZS_EXTENT_PAGES);
	pthread_mutex_unlock(&a->lock);
	if (!tags_agree(k->pool, c, z))
		return "A8: a tag is not that of its zspage";
	if (committed < z->committed)
		return "Z5: a page that counts as committed is not";
	return used < c->pages ? "A1: a zspage's page is not marked used" : NULL;
}

/* Under the class lock, which keeps its zspages, and only them, as they are. */
static const char *check_class(struct check *k, uint32_t index)
{
	struct zs_class *c = &k->pool->classes[index];
	struct zs_arena *a = &k->pool->arena;
	uint64_t listed = 0;
	uint32_t nr_zspages;

	/* All descriptors below this number are made, or free; those made later are not this
	 * class's. */
	pthread_mutex_lock(&a->lock);
	nr_zspages = a->nr_zspages;
	pthread_mutex_unlock(&a->lock);
	k->zspages = k->used = k->room = k->fallbacks = 0;
	for (uint32_t i = 0; i < nr_zspages; i++) {
		const char *error;

		if (load_relaxed(&a->zspages[i].klass) != index)
			continue;
		error = k->pool->allocator->check(k, c, &a->zspages[i]);
		if (!error)
			error = check_place(k, c, &a->zspages[i]);
		if (error)
			return error;
		k->zspages++;
		k->used += a->zspages[i].used;
		listed += !a->zspages[i].pinned;
	}
	if (k->zspages != c->zspages || k->used != c->used || k->room != c->room ||
	    k->fallbacks != c->fallbacks)
		return "C1: a class's counts are not the sums over its zspages";
	return k->pool->allocator->check_lists(k, c, listed);
}

static const char *check_hints(const struct zs_arena *a, uint32_t index, enum zs_run kind)
{
	const struct zs_extent *e = &a->extents[index];
	unsigned int absent = e->absent[kind];
	uint64_t map[ZS_EXTENT_PAGES / 64];

	for (unsigned int w = 0; w < ARRAY_SIZE(map); w++)
		map[w] = extent_word(e, kind, w);
	if (absent && bitmap_find_run(map, ZS_EXTENT_PAGES, absent) >= 0)
		return "A5: an extent has a run that is said to be absent";
	for (unsigned int n = 1; n <= ZS_MAX_PAGES; n++)
		if (index < a->hint[kind][n] && (!absent || absent > n))
			return "A6: a run may be hidden below the hint";
	return NULL;
}

static const char *check_extent(const struct zs_arena *a, uint32_t index, uint64_t sums[4])
{
	const struct zs_extent *e = &a->extents[index];
	unsigned int used = bitmap_count_range(e->used, 0, ZS_EXTENT_PAGES), spare = 0;
	unsigned int committed = bitmap_count_range(e->committed, 0, ZS_EXTENT_PAGES);
	const char *error = NULL;

	for (unsigned int w = 0; w < ZS_EXTENT_PAGES / 64; w++)
		spare += (unsigned int)__builtin_popcountll(extent_word(e, ZS_RUN_SPARE, w));
	if (used != e->nr_used || committed != e->nr_committed || spare != e->nr_spare)
		return "A4: an extent's counts are not those of its bits";
	for (unsigned int kind = 0; kind < ZS_RUNS && !error; kind++)
		error = check_hints(a, index, kind);
	if (spare > 0 && index >= a->top_spare)
		return "A4: there are spare pages above the highest";
	sums[0] += used;
	sums[1] += spare;
	sums[2] += committed - spare;
	sums[3] += used > 0;
	return error;
}

/* Pages that belong to a zspage, by the descriptors. */
static uint64_t zspages_pages(const struct zs_arena *a, const struct zs_class *classes)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < a->nr_zspages; i++)
		if (a->zspages[i].klass != ZS_CLASS_FREE)
			pages += classes[a->zspages[i].klass].pages;
	return pages;
}

/* As many tags as zspages. */
static bool check_tags(const struct zs_arena *a)
{
	uint32_t zspages = 0, tags = 0;

	if (!a->tags)
		return true;
	for (uint32_t i = 0; i < a->nr_zspages; i++)
		zspages += a->zspages[i].klass != ZS_CLASS_FREE;
	for (uint32_t i = 0; i < a->top_extent * ZS_EXTENT_PAGES; i++)
		tags += load_relaxed(&a->tags[i]) != 0;
	if (*a->top != arena_top_word(a->top_extent))
		return false;
	return zspages == tags;
}

static const char *check_arena(const struct zs_arena *a, const struct zs_class *classes)
{
	uint64_t sums[4] = {0};

	for (uint32_t i = 0; i < a->top_extent; i++) {
		const char *error = check_extent(a, i, sums);

		if (error)
			return error;
	}
	if (sums[0] != a->used || zspages_pages(a, classes) + a->busy != a->used)
		return "A1: used pages are not those of the zspages";
	if (sums[1] != a->spare)
		return "A2: the count of spare pages is wrong";
	if (sums[2] != a->pool)
		return "A3: the count of the pool's pages is wrong";
	if (a->ceiling != max_u64(a->limit, a->pool + a->charged))
		return "A3: the limit is exceeded";
	if (!check_tags(a))
		return "A8: there are other tags than those of zspages";
	return sums[3] == a->partly ? NULL : "A7: the count of extents in use is wrong";
}

const char *arena_validate(struct zs_arena *a, const struct zs_class *classes)
{
	const char *error;

	pthread_mutex_lock(&a->lock);
	error = check_arena(a, classes);
	pthread_mutex_unlock(&a->lock);
	return error;
}

int zs_validate(struct zs_pool *pool, bool (*live)(void *opaque, uint32_t owner, zs_ref ref),
		void *opaque, const char **ret_error)
{
	struct check k = {.pool = pool, .live = live, .opaque = opaque};
	const char *error = NULL;

	/* While an object is lifted to another class, one of its two cells is nobody's. */
	pthread_mutex_lock(&pool->mover_lock);
	for (uint32_t i = 0; i < pool->nr_classes && !error; i++) {
		pthread_mutex_lock(&pool->classes[i].lock);
		error = check_class(&k, i);
		pthread_mutex_unlock(&pool->classes[i].lock);
	}
	pthread_mutex_unlock(&pool->mover_lock);
	if (!error)
		error = arena_validate(&pool->arena, pool->classes);
	*ret_error = error;
	return error ? -EUCLEAN : 0;
}

uint64_t zs_objects(struct zs_pool *pool)
{
	struct zs_stats stats;

	pthread_mutex_lock(&pool->mover_lock);
	zs_get_stats(pool, &stats);
	pthread_mutex_unlock(&pool->mover_lock);
	return stats.objects;
}
