/* SPDX-License-Identifier: BSD-3-Clause */
#include "allocator/arena.h"

#include <errno.h>
#include <string.h>

#include "common/bitmap.h"
#include "common/os.h"

#define EXTENT_SIZE ((uint64_t)ZS_EXTENT_PAGES * ZS_PAGE_SIZE)

/*
 * Address space costs nothing, and a run must find its pages in a row: an eighth more than the
 * most that can be stored, and a few extents for the zspages that are just being filled.
 */
static uint64_t arena_bytes(uint64_t max_bytes)
{
	return align_up(max_bytes + max_bytes / 8 + 32 * EXTENT_SIZE, EXTENT_SIZE);
}

int arena_init(struct zs_arena *a, uint64_t max_bytes, uint64_t limit)
{
	void *base, *map = NULL, *zspages = NULL, *extents = NULL;
	uint64_t size = arena_bytes(max_bytes);
	int r;

	if (size > ZS_REF_UNIT << ZS_REF_BITS)
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	a->size = size;
	a->nr_pages = (uint32_t)(size / ZS_PAGE_SIZE);
	a->nr_extents = a->nr_pages / ZS_EXTENT_PAGES;
	a->limit = (uint32_t)min_u64(limit / ZS_PAGE_SIZE, a->nr_pages);
	a->free_zspage = ZS_NONE;

	r = os_reserve(size, &base);
	if (r == 0)
		a->base = base;
	if (r == 0 && (r = os_reserve(a->nr_pages * sizeof(*a->page_map), &map)) == 0)
		a->page_map = map;
	if (r == 0 && (r = os_reserve(a->nr_pages * sizeof(*a->zspages), &zspages)) == 0)
		a->zspages = zspages;
	if (r == 0 && (r = os_reserve(a->nr_extents * sizeof(*a->extents), &extents)) == 0)
		a->extents = extents;
	if (r == 0) {
		pthread_mutex_init(&a->lock, NULL);
		r = arena_prepare(a);
	}
	if (r < 0)
		arena_destroy(a);
	return r;
}

void arena_destroy(struct zs_arena *a)
{
	os_unreserve(a->extents, a->nr_extents * sizeof(*a->extents));
	os_unreserve(a->zspages, a->nr_pages * sizeof(*a->zspages));
	os_unreserve(a->page_map, a->nr_pages * sizeof(*a->page_map));
	os_unreserve(a->base, a->size);
	memset(a, 0, sizeof(*a));
}

static struct zs_extent *extent_of(struct zs_arena *a, uint32_t page)
{
	return &a->extents[page / ZS_EXTENT_PAGES];
}

/* Of N pages from FIRST on, how many are committed. */
static unsigned int count_committed(struct zs_arena *a, uint32_t first, unsigned int n)
{
	return bitmap_count_range(extent_of(a, first)->committed, first % ZS_EXTENT_PAGES, n);
}

static void spare_grew(struct zs_arena *a, uint32_t extent)
{
	struct zs_extent *e = &a->extents[extent];

	e->spare_run = e->nr_spare;
	for (unsigned int n = 1; n <= ZS_MAX_PAGES; n++)
		if (a->hint[n] > extent)
			a->hint[n] = extent;
}

/*
 * The four ways in which a page changes; every count is kept here and nowhere else. "use" and
 * "unuse" say who has the pages, "commit" and "uncommit" whether memory is behind them.
 */
static void use(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);
	unsigned int c = count_committed(a, first, n);

	bitmap_set_range(e->used, first % ZS_EXTENT_PAGES, n);
	e->nr_used = (uint16_t)(e->nr_used + n);
	e->nr_spare = (uint16_t)(e->nr_spare - c);
	a->used += n;
	bump(&a->spare, -c);
	bump(&a->pool, c);
	if (a->pool > a->pool_max)
		a->pool_max = a->pool;
	if (a->spare < a->spare_low)
		a->spare_low = a->spare;
	if (first / ZS_EXTENT_PAGES >= a->top_extent)
		a->top_extent = first / ZS_EXTENT_PAGES + 1;
}

static void unuse(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);
	unsigned int c = count_committed(a, first, n);

	bitmap_clear_range(e->used, first % ZS_EXTENT_PAGES, n);
	e->nr_used = (uint16_t)(e->nr_used - n);
	e->nr_spare = (uint16_t)(e->nr_spare + c);
	a->used -= n;
	bump(&a->spare, c);
	bump(&a->pool, -c);
	if (c)
		spare_grew(a, first / ZS_EXTENT_PAGES);
	if (c < n && first / ZS_EXTENT_PAGES < a->commit_hint)
		a->commit_hint = first / ZS_EXTENT_PAGES;
}

/* Pages that are used become committed. */
static void commit(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);
	unsigned int more = n - count_committed(a, first, n);

	bitmap_set_range(e->committed, first % ZS_EXTENT_PAGES, n);
	e->nr_committed = (uint16_t)(e->nr_committed + more);
	bump(&a->pool, more);
	if (a->pool > a->pool_max)
		a->pool_max = a->pool;
}

static void uncommit(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);
	unsigned int c = count_committed(a, first, n);

	bitmap_clear_range(e->committed, first % ZS_EXTENT_PAGES, n);
	e->nr_committed = (uint16_t)(e->nr_committed - c);
	bump(&a->pool, -c);
}

/* Free pages become spare, and cease to be. */
static void commit_spare(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);

	bitmap_set_range(e->committed, first % ZS_EXTENT_PAGES, n);
	e->nr_committed = (uint16_t)(e->nr_committed + n);
	e->nr_spare = (uint16_t)(e->nr_spare + n);
	bump(&a->spare, n);
	spare_grew(a, first / ZS_EXTENT_PAGES);
}

static void uncommit_spare(struct zs_arena *a, uint32_t first, unsigned int n)
{
	struct zs_extent *e = extent_of(a, first);

	bitmap_clear_range(e->committed, first % ZS_EXTENT_PAGES, n);
	e->nr_committed = (uint16_t)(e->nr_committed - n);
	e->nr_spare = (uint16_t)(e->nr_spare - n);
	bump(&a->spare, -n);
	if (a->spare < a->spare_low)
		a->spare_low = a->spare;
}

/* First page of a run of N spare pages, or -1. Learns what extents do not have. */
static int64_t find_spare(struct zs_arena *a, unsigned int n)
{
	uint64_t spare[ZS_EXTENT_PAGES / 64];
	bool closed = false;

	for (uint32_t i = a->hint[n]; i < a->top_extent; i++) {
		struct zs_extent *e = &a->extents[i];
		int at = -1;

		if (e->closed) {
			closed = true;
			continue;
		}
		if (e->spare_run >= n) {
			for (unsigned int w = 0; w < ARRAY_SIZE(spare); w++)
				spare[w] = e->committed[w] & ~e->used[w];
			at = bitmap_find_run(spare, ZS_EXTENT_PAGES, n);
			if (at < 0)
				e->spare_run = (uint16_t)(n - 1);
		}
		if (!closed)
			a->hint[n] = i;
		if (at >= 0)
			return (int64_t)i * ZS_EXTENT_PAGES + at;
	}
	return -1;
}

static int64_t find_any(struct zs_arena *a, unsigned int n, bool partly)
{
	uint32_t end = partly ? a->top_extent : a->nr_extents;
	uint64_t unused[ZS_EXTENT_PAGES / 64];

	for (uint32_t i = 0; i < end; i++) {
		struct zs_extent *e = &a->extents[i];
		int at;

		if (e->closed || e->nr_used + n > ZS_EXTENT_PAGES || (partly && !e->nr_used))
			continue;
		for (unsigned int w = 0; w < ARRAY_SIZE(unused); w++)
			unused[w] = ~e->used[w];
		at = bitmap_find_run(unused, ZS_EXTENT_PAGES, n);
		if (at >= 0)
			return (int64_t)i * ZS_EXTENT_PAGES + at;
	}
	return -1;
}

/* Find a run; ret_committed: how many of its pages count against the limit at once. */
static int find_run(struct zs_arena *a, unsigned int n, enum arena_source source,
		    uint32_t *ret_first)
{
	int64_t first;

	if (source == ARENA_SPARE) {
		if (a->pool + a->charged + n > a->limit)
			return -EAGAIN; /* a shorter part of a run may still fit: arena_grow */
		first = find_spare(a, n);
		if (first < 0)
			return -EAGAIN;
	} else {
		first = find_any(a, n, source == ARENA_PARTLY);
		if (first < 0)
			return -ENOSPC;
		if ((uint64_t)first + n > a->ready_map)
			return -EAGAIN;
		if (a->pool + a->charged + count_committed(a, (uint32_t)first, n) > a->limit)
			return -ENOSPC;
	}
	*ret_first = (uint32_t)first;
	return 0;
}

static int take_locked(struct zs_arena *a, unsigned int n, enum arena_source source,
		       uint32_t *ret_zspage)
{
	uint32_t first, index = a->free_zspage;
	struct zspage *z;
	int r;

	if (index == ZS_NONE && a->nr_zspages == a->ready_zspages)
		return -EAGAIN;
	r = find_run(a, n, source, &first);
	if (r < 0)
		return r;
	if (index != ZS_NONE) {
		a->free_zspage = a->zspages[index].next;
	} else {
		index = a->nr_zspages;
		bump(&a->nr_zspages, 1);
	}
	use(a, first, n);
	z = &a->zspages[index];
	z->first = first;
	z->committed = (uint8_t)min_u64(n, bitmap_run(extent_of(a, first)->committed, true,
						      first % ZS_EXTENT_PAGES, ZS_EXTENT_PAGES));
	*ret_zspage = index;
	return 0;
}

int arena_take(struct zs_arena *a, uint16_t klass, unsigned int n, enum arena_source source,
	       uint32_t *ret_zspage)
{
	int r;

	pthread_mutex_lock(&a->lock);
	r = take_locked(a, n, source, ret_zspage);
	if (r == 0)
		store_relaxed(&a->zspages[*ret_zspage].klass, klass);
	pthread_mutex_unlock(&a->lock);
	return r;
}

void arena_put(struct zs_arena *a, uint32_t index, unsigned int n)
{
	struct zspage *z = &a->zspages[index];

	pthread_mutex_lock(&a->lock);
	unuse(a, z->first, n);
	store_relaxed(&z->klass, ZS_CLASS_FREE);
	z->next = a->free_zspage;
	a->free_zspage = index;
	pthread_mutex_unlock(&a->lock);
}

int arena_grow(struct zs_arena *a, uint32_t first, unsigned int n)
{
	unsigned int more;
	int r = 0;

	pthread_mutex_lock(&a->lock);
	more = n - count_committed(a, first, n);
	if (a->pool + a->charged + more > a->limit)
		r = -ENOSPC;
	else
		a->charged += more;
	pthread_mutex_unlock(&a->lock);
	if (r < 0)
		return r;

	r = os_commit(arena_page(a, first), (size_t)n * ZS_PAGE_SIZE);
	pthread_mutex_lock(&a->lock);
	a->charged -= more;
	if (r == 0)
		commit(a, first, n);
	pthread_mutex_unlock(&a->lock);
	return r;
}

void arena_shrink(struct zs_arena *a, uint32_t first, unsigned int n)
{
	pthread_mutex_lock(&a->lock);
	uncommit(a, first, n);
	pthread_mutex_unlock(&a->lock);
	os_release(arena_page(a, first), (size_t)n * ZS_PAGE_SIZE);
}

/* Have the first COUNT elements of an array committed. */
static int ready(const void *array, size_t element, uint64_t count)
{
	return os_commit((void *)array, align_up(element * count, ZS_PAGE_SIZE));
}

int arena_prepare(struct zs_arena *a)
{
	const uint32_t batch = ZS_PAGE_SIZE / sizeof(struct zspage);
	uint32_t zspages, map;
	int r;

	/*
	 * Descriptors for as many zspages as the spare pages could make, and a batch more. Map and
	 * extents for two extents beyond the highest in use. Idempotent: two threads may do it.
	 */
	pthread_mutex_lock(&a->lock);
	zspages = (uint32_t)min_u64((uint64_t)a->nr_zspages + a->spare + batch, a->nr_pages);
	map = (uint32_t)min_u64((a->top_extent + 2) * (uint64_t)ZS_EXTENT_PAGES, a->nr_pages);
	if (min_u64((uint64_t)a->nr_zspages + a->spare + 1, a->nr_pages) <= a->ready_zspages)
		zspages = 0;
	if (map <= a->ready_map)
		map = 0;
	pthread_mutex_unlock(&a->lock);

	r = zspages ? ready(a->zspages, sizeof(*a->zspages), zspages) : 0;
	if (r == 0 && map)
		r = ready(a->page_map, sizeof(*a->page_map), map);
	if (r == 0 && map)
		r = ready(a->extents, sizeof(*a->extents), map / ZS_EXTENT_PAGES);
	if (r < 0)
		return r;
	pthread_mutex_lock(&a->lock);
	a->ready_zspages = (uint32_t)max_u64(a->ready_zspages, zspages);
	a->ready_map = (uint32_t)max_u64(a->ready_map, map);
	pthread_mutex_unlock(&a->lock);
	return 0;
}

/*
 * Lowest run of free, uncommitted pages, at most MAX. Marks it used, so that it is the caller's.
 * Returns its length, 0 when there is none.
 */
static unsigned int claim_uncommitted(struct zs_arena *a, unsigned int max, uint32_t *ret_first)
{
	for (uint32_t i = a->commit_hint; i < a->ready_map / ZS_EXTENT_PAGES; i++) {
		uint64_t bare[ZS_EXTENT_PAGES / 64];
		struct zs_extent *e = &a->extents[i];
		unsigned int at, n;

		for (unsigned int w = 0; w < ARRAY_SIZE(bare); w++)
			bare[w] = ~(e->committed[w] | e->used[w]);
		at = bitmap_run(bare, false, 0, ZS_EXTENT_PAGES);
		a->commit_hint = i;
		if (at == ZS_EXTENT_PAGES)
			continue;
		n = bitmap_run(bare, true, at, ZS_EXTENT_PAGES);
		n = n < max ? n : max;
		*ret_first = i * ZS_EXTENT_PAGES + at;
		use(a, *ret_first, n);
		a->busy += n;
		return n;
	}
	return 0;
}

int arena_commit_spare(struct zs_arena *a, unsigned int max)
{
	uint32_t first;
	unsigned int n;
	int r = arena_prepare(a);

	if (r < 0)
		return r;
	pthread_mutex_lock(&a->lock);
	n = claim_uncommitted(a, max, &first);
	pthread_mutex_unlock(&a->lock);
	if (n == 0)
		return -ENOSPC;

	r = os_commit(arena_page(a, first), (size_t)n * ZS_PAGE_SIZE);
	pthread_mutex_lock(&a->lock);
	a->busy -= n;
	unuse(a, first, n);
	if (r == 0)
		commit_spare(a, first, n);
	pthread_mutex_unlock(&a->lock);
	return r;
}

/* The highest run of spare pages below page *END, at most MAX; its length, 0 when there is none. */
static unsigned int claim_spare(struct zs_arena *a, unsigned int max, uint32_t *end)
{
	while (*end > 0) {
		uint32_t page = *end - 1, extent = page / ZS_EXTENT_PAGES;
		struct zs_extent *e = &a->extents[extent];
		unsigned int n = 0, at = page % ZS_EXTENT_PAGES;

		if (e->nr_spare == 0) {
			*end = extent * ZS_EXTENT_PAGES;
			continue;
		}
		while (n < max && bitmap_test(e->committed, at - n) &&
		       !bitmap_test(e->used, at - n)) {
			n++;
			if (at < n)
				break;
		}
		*end -= n ? n : 1;
		if (n) {
			uncommit_spare(a, *end, n);
			use(a, *end, n);
			a->busy += n;
			return n;
		}
	}
	return 0;
}

unsigned int arena_release_spare(struct zs_arena *a, unsigned int max)
{
	unsigned int n, done = 0;
	uint32_t end;

	pthread_mutex_lock(&a->lock);
	end = a->top_extent * ZS_EXTENT_PAGES;
	while (done < max && (n = claim_spare(a, max - done, &end)) > 0) {
		pthread_mutex_unlock(&a->lock);
		os_release(arena_page(a, end), (size_t)n * ZS_PAGE_SIZE);
		done += n;
		pthread_mutex_lock(&a->lock);
		a->busy -= n;
		unuse(a, end, n);
	}
	pthread_mutex_unlock(&a->lock);
	return done;
}

uint64_t arena_fragmented(struct zs_arena *a)
{
	uint64_t n = 0;

	pthread_mutex_lock(&a->lock);
	for (uint32_t i = 0; i < a->top_extent; i++)
		if (a->extents[i].nr_used)
			n += ZS_EXTENT_PAGES - a->extents[i].nr_used;
	pthread_mutex_unlock(&a->lock);
	return n;
}

int arena_close_sparsest(struct zs_arena *a, uint32_t *ret_extent)
{
	uint64_t room = 0;
	uint32_t best = 0;
	unsigned int least = ZS_EXTENT_PAGES + 1;

	pthread_mutex_lock(&a->lock);
	for (uint32_t i = 0; i < a->top_extent; i++) {
		struct zs_extent *e = &a->extents[i];

		if (!e->nr_used)
			continue;
		room += ZS_EXTENT_PAGES - e->nr_used;
		/* Of equals the highest, so that the arena stays dense at its low end. */
		if (e->nr_used <= least) {
			least = e->nr_used;
			best = i;
		}
	}
	/*
	 * Zspages need runs, so not all room in the others is of use: twice what is moved. An
	 * extent that is more than half full costs more copying than it frees.
	 */
	if (least <= ZS_EXTENT_PAGES / 2 && room - (ZS_EXTENT_PAGES - least) >= 2 * least)
		a->extents[best].closed = true;
	else
		least = ZS_EXTENT_PAGES + 1;
	pthread_mutex_unlock(&a->lock);
	*ret_extent = best;
	return least <= ZS_EXTENT_PAGES ? 0 : -ENOENT;
}

bool arena_reopen(struct zs_arena *a, uint32_t extent)
{
	bool empty;

	pthread_mutex_lock(&a->lock);
	a->extents[extent].closed = false;
	empty = a->extents[extent].nr_used == 0;
	pthread_mutex_unlock(&a->lock);
	return empty;
}

static const char *validate_extent(struct zs_arena *a, uint32_t index, uint64_t sums[3])
{
	struct zs_extent *e = &a->extents[index];
	uint64_t spare[ZS_EXTENT_PAGES / 64];
	unsigned int used, committed, nr_spare;

	for (unsigned int w = 0; w < ARRAY_SIZE(spare); w++)
		spare[w] = e->committed[w] & ~e->used[w];
	used = bitmap_count_range(e->used, 0, ZS_EXTENT_PAGES);
	committed = bitmap_count_range(e->committed, 0, ZS_EXTENT_PAGES);
	nr_spare = bitmap_count_range(spare, 0, ZS_EXTENT_PAGES);
	if (used != e->nr_used || committed != e->nr_committed || nr_spare != e->nr_spare)
		return "A4: an extent's counts are not those of its bits";
	if (e->spare_run < ZS_MAX_PAGES &&
	    bitmap_find_run(spare, ZS_EXTENT_PAGES, e->spare_run + 1U) >= 0)
		return "A5: an extent has a longer spare run than it says";
	for (unsigned int n = 1; n <= ZS_MAX_PAGES; n++)
		if (index < a->hint[n] && e->spare_run >= n)
			return "A6: a spare run is hidden below the hint";
	sums[0] += used;
	sums[1] += nr_spare;
	sums[2] += committed - nr_spare;
	return NULL;
}

/* Pages that belong to a zspage, by the descriptors. */
static uint64_t zspages_pages(struct zs_arena *a, const struct zs_class *classes)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < a->nr_zspages; i++)
		if (a->zspages[i].klass != ZS_CLASS_FREE)
			pages += classes[a->zspages[i].klass].pages;
	return pages;
}

static const char *validate(struct zs_arena *a, const struct zs_class *classes)
{
	uint64_t sums[3] = {0};

	for (uint32_t i = 0; i < a->top_extent; i++) {
		const char *error = validate_extent(a, i, sums);

		if (error)
			return error;
	}
	if (sums[0] != a->used || zspages_pages(a, classes) + a->busy != a->used)
		return "A1: used pages are not those of the zspages";
	if (sums[1] != a->spare)
		return "A2: the count of spare pages is wrong";
	if (sums[2] != a->pool)
		return "A3: the count of the pool's pages is wrong";
	if (a->pool + a->charged > a->limit)
		return "A3: the limit is exceeded";
	return NULL;
}

const char *arena_validate(struct zs_arena *a, const struct zs_class *classes)
{
	const char *error;

	pthread_mutex_lock(&a->lock);
	error = validate(a, classes);
	pthread_mutex_unlock(&a->lock);
	return error;
}
