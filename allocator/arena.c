/* SPDX-License-Identifier: BSD-3-Clause */
#include "allocator/arena.h"

#include <errno.h>
#include <string.h>

#include "allocator/pages.h"
#include "common/bitmap.h"
#include "common/os.h"
#include "common/step.h"

#define EXTENT_SIZE ((uint64_t)ZS_EXTENT_PAGES * ZS_PAGE_SIZE)

/*
 * Address space costs nothing, and a zspage needs its pages in a row: when raw pages are replaced
 * at random, the holes are single pages for a long time. Four times what can be stored has been
 * seen to do; an eighth more has been seen to run out.
 */
#define SPARSE 4
#define MARGIN (12 * EXTENT_SIZE) /* the zspages that are just being filled, one a class */

uint64_t arena_max_bytes(void)
{
	return ((ZS_REF_UNIT << ZS_REF_BITS) - MARGIN - EXTENT_SIZE) / SPARSE;
}

static int reserve(void *ret_array, uint64_t bytes)
{
	return os_reserve(align_up(bytes, ZS_PAGE_SIZE), (void **)ret_array);
}

static void unreserve(void *array, uint64_t bytes)
{
	os_unreserve(array, align_up(bytes, ZS_PAGE_SIZE));
}

uint64_t zs_arena_bytes(uint64_t max_bytes)
{
	return align_up(SPARSE * max_bytes + MARGIN, EXTENT_SIZE);
}

/* The address range: the store's, or one of our own. */
static int place(struct zs_arena *a, const struct zs_store *store)
{
	if (!store)
		return reserve(&a->base, a->size);
	a->base = store->arena;
	a->tags = store->tags;
	a->top = store->top;
	return 0;
}

int arena_init(struct zs_arena *a, uint64_t max_bytes, uint64_t limit, const struct zs_store *store,
	       bool ages)
{
	int r;

	memset(a, 0, sizeof(*a));
	a->size = zs_arena_bytes(max_bytes);
	a->nr_pages = (uint32_t)(a->size / ZS_PAGE_SIZE);
	a->nr_extents = a->nr_pages / ZS_EXTENT_PAGES;
	a->free_zspage = ZS_NONE;
	pthread_mutex_init(&a->lock, NULL);
	arena_set_limit(a, limit);
	r = place(a, store);
	if (r == 0)
		r = reserve(&a->page_map, a->nr_pages * sizeof(*a->page_map));
	if (r == 0)
		r = reserve(&a->zspages, a->nr_pages * sizeof(*a->zspages));
	if (r == 0 && ages)
		r = reserve(&a->ages, a->nr_pages * sizeof(*a->ages));
	if (r == 0)
		r = reserve(&a->extents, a->nr_extents * sizeof(*a->extents));
	if (r == 0 && !store)
		r = arena_prepare(a);
	if (r < 0)
		arena_destroy(a);
	return r;
}

void arena_destroy(struct zs_arena *a)
{
	if (a->watches)
		headroom_destroy(&a->headroom);
	unreserve(a->extents, a->nr_extents * sizeof(*a->extents));
	unreserve(a->zspages, a->nr_pages * sizeof(*a->zspages));
	unreserve(a->ages, a->nr_pages * sizeof(*a->ages));
	unreserve(a->page_map, a->nr_pages * sizeof(*a->page_map));
	if (!a->tags)
		unreserve(a->base, a->size);
	memset(a, 0, sizeof(*a));
}

void arena_set_limit(struct zs_arena *a, uint64_t limit)
{
	pthread_mutex_lock(&a->lock);
	/* Read without the lock too. */
	store_relaxed(&a->limit,
		      limit ? (uint32_t)min_u64(limit / ZS_PAGE_SIZE, a->nr_pages) : a->nr_pages);
	a->ceiling = (uint32_t)max_u64(a->limit, a->pool + a->charged);
	/* What the limit forbids to use need not be kept. */
	store_relaxed(&a->reserve, (uint32_t)min_u64(a->reserve_asked, a->limit));
	pthread_mutex_unlock(&a->lock);
}

/* Pages that may yet be committed for zspages. */
static uint32_t allowed(const struct zs_arena *a)
{
	uint32_t has = a->pool + a->charged;

	return a->limit > has ? a->limit - has : 0;
}

bool arena_allows(struct zs_arena *a, unsigned int n)
{
	bool yes;

	pthread_mutex_lock(&a->lock);
	yes = n <= allowed(a);
	pthread_mutex_unlock(&a->lock);
	return yes;
}

bool arena_may_allow(struct zs_arena *a)
{
	bool yes;

	pthread_mutex_lock(&a->lock);
	yes = a->pool < a->limit;
	pthread_mutex_unlock(&a->lock);
	return yes;
}

static int find_run(struct zs_arena *a, unsigned int n, enum arena_source source,
		    uint32_t *ret_first)
{
	bool partly = source == ARENA_PARTLY;
	int64_t first = -1;

	if (source == ARENA_SPARE) {
		/* Near the limit a zspage cannot have all its pages at once, but may grow. */
		if (n <= allowed(a))
			first = pages_find(a, ZS_RUN_SPARE, n, false);
	} else if (source == ARENA_BARE) {
		first = pages_find(a, ZS_RUN_BARE, n, false);
	} else {
		first = pages_find(a, ZS_RUN_UNUSED, n, partly);
		if (first >= 0 && (uint64_t)first + n <= a->ready_map &&
		    pages_committed(a, (uint32_t)first, n) > allowed(a))
			first = pages_find(a, ZS_RUN_BARE, n, partly);
	}
	if (first < 0)
		return source == ARENA_SPARE ? -EAGAIN : -ENOSPC;
	*ret_first = (uint32_t)first;
	return (uint64_t)first + n <= a->ready_map ? 0 : -EAGAIN;
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
	if (index != ZS_NONE)
		a->free_zspage = a->zspages[index].next;
	else
		index = a->nr_zspages;
	if (index == a->nr_zspages)
		bump(&a->nr_zspages, 1);
	pages_use(a, first, n);
	z = &a->zspages[index];
	z->first = first;
	z->committed = (uint8_t)pages_prefix(a, first, n);
	*ret_zspage = index;
	return 0;
}

int arena_take(struct zs_arena *a, uint16_t klass, unsigned int n, enum arena_source source,
	       uint32_t *ret_zspage)
{
	int r;

	pthread_mutex_lock(&a->lock);
	r = take_locked(a, n, source, ret_zspage);
	if (r == 0) {
		store_relaxed(&a->zspages[*ret_zspage].klass, klass);
		arena_tag(a, a->zspages[*ret_zspage].first, klass + 1U);
		STEP("zspage: tagged");
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

void arena_put(struct zs_arena *a, uint32_t index, unsigned int n)
{
	struct zspage *z = &a->zspages[index];
	bool some;

	pthread_mutex_lock(&a->lock);
	arena_tag(a, z->first, 0);
	STEP("zspage: untagged");
	some = pages_committed(a, z->first, n) > 0;
	pages_unuse(a, z->first, n);
	store_relaxed(&z->klass, ZS_CLASS_FREE);
	z->next = a->free_zspage;
	a->free_zspage = index;
	pthread_mutex_unlock(&a->lock);
	/* Else whoever waits for memory would have the keeper try, fail, and wake him, again and again. */
	if (some)
		parking_notify(&a->returned_to, true);
}

bool arena_has_headroom(struct zs_arena *a, size_t size)
{
	return !load_relaxed(&a->modest) || headroom_pages(&a->headroom) >= size / ZS_PAGE_SIZE;
}

int arena_commit(struct zs_arena *a, void *at, size_t size)
{
	if (!arena_has_headroom(a, size))
		return -ENOMEM;
	return os_commit(at, size);
}

/* Take the memory of pages that nobody reaches meanwhile. */
static void release(struct zs_arena *a, uint32_t first, unsigned int n)
{
	void *at = arena_page(a, first);
	size_t size = (size_t)n * ZS_PAGE_SIZE;

	if (a->tags)
		os_release_shared(at, size);
	else
		os_release(at, size);
}

/* Commit pages that hold nothing yet. A part of them would be counted nowhere: give it back. */
static int commit_fresh(struct zs_arena *a, uint32_t first, unsigned int n)
{
	int r = arena_commit(a, arena_page(a, first), (size_t)n * ZS_PAGE_SIZE);

	if (r < 0)
		release(a, first, n);
	return r;
}

/* Which of the pages FROM .. TO - 1 of a zspage have no memory: bits. They are the pinner's alone. */
static uint32_t bare_pages(const struct zs_arena *a, uint32_t first, unsigned int from,
			   unsigned int to)
{
	const uint64_t *committed = a->extents[first / ZS_EXTENT_PAGES].committed;
	uint32_t bare = 0;

	for (unsigned int i = from; i < to; i++)
		if (!bitmap_test(committed, first % ZS_EXTENT_PAGES + i))
			bare |= UINT32_C(1) << i;
	return bare;
}

/* The lowest run of bits, which there is: where it starts, and its length. */
static unsigned int lowest_run(uint32_t bits, unsigned int *ret_n)
{
	unsigned int at = (unsigned int)__builtin_ctz(bits);

	*ret_n = (unsigned int)__builtin_ctz(~(bits >> at));
	return at;
}

/*
 * Commit these pages of a zspage, or none of them. The others are left alone: what has memory is
 * not to lose it because the kernel has no more.
 */
static int commit_bare(struct zs_arena *a, uint32_t first, uint32_t bare)
{
	uint32_t done = 0;
	unsigned int n;
	int r = 0;

	while (r == 0 && bare != done) {
		unsigned int at = lowest_run(bare & ~done, &n);

		r = commit_fresh(a, first + at, n);
		if (r == 0)
			done |= ((UINT32_C(1) << n) - 1) << at;
	}
	while (r < 0 && done) {
		unsigned int at = lowest_run(done, &n);

		os_release(arena_page(a, first + at), (size_t)n * ZS_PAGE_SIZE);
		done &= ~(((UINT32_C(1) << n) - 1) << at);
	}
	return r;
}

int arena_grow(struct zs_arena *a, uint32_t first, unsigned int n, unsigned int from,
	       unsigned int to)
{
	unsigned int more;
	uint32_t bare;
	int r = 0;

	pthread_mutex_lock(&a->lock);
	bare = bare_pages(a, first, from, to);
	more = (unsigned int)__builtin_popcount(bare);
	if (more > allowed(a))
		r = -ENOSPC;
	else
		bump(&a->charged, more);
	pthread_mutex_unlock(&a->lock);
	if (r < 0)
		return r;

	r = commit_bare(a, first, bare);
	pthread_mutex_lock(&a->lock);
	bump(&a->charged, -more);
	if (r == 0) {
		pages_commit(a, first + from, to - from);
		r = (int)pages_prefix(a, first, n);
	}
	pages_lower_ceiling(a);
	pthread_mutex_unlock(&a->lock);
	return r;
}

void arena_shrink(struct zs_arena *a, uint32_t first, unsigned int n)
{
	pthread_mutex_lock(&a->lock);
	pages_uncommit(a, first, n);
	pthread_mutex_unlock(&a->lock);
	STEP("trim: tail given up");
	release(a, first, n);
	STEP("trim: tail released");
	parking_notify(&a->returned_to, true);
}

/* The lowest bare pages, at most MAX, marked used, so that they are the caller's. How many. */
static unsigned int claim_bare(struct zs_arena *a, unsigned int max, uint32_t *ret_first)
{
	int64_t first = pages_find(a, ZS_RUN_BARE, 1, false);
	const struct zs_extent *e;
	unsigned int n = 0, at;

	if (first < 0 || first >= a->ready_map)
		return 0;
	e = &a->extents[first / ZS_EXTENT_PAGES];
	for (at = (unsigned int)first % ZS_EXTENT_PAGES; n < max && at < ZS_EXTENT_PAGES; at++, n++)
		if (!(extent_word(e, ZS_RUN_BARE, at / 64) >> (at % 64) & 1))
			break;
	*ret_first = (uint32_t)first;
	pages_use(a, *ret_first, n);
	a->busy += n;
	return n;
}

int arena_commit_spare(struct zs_arena *a, unsigned int max)
{
	uint32_t first;
	unsigned int n;
	int r = arena_prepare(a);

	if (r < 0)
		return r;
	pthread_mutex_lock(&a->lock);
	n = claim_bare(a, max, &first);
	pthread_mutex_unlock(&a->lock);
	if (n == 0)
		return -ENOSPC;

	r = commit_fresh(a, first, n);
	STEP("commit: spare");
	pthread_mutex_lock(&a->lock);
	a->busy -= n;
	pages_unuse(a, first, n);
	if (r == 0)
		pages_gain(a, first, n);
	pthread_mutex_unlock(&a->lock);
	return r;
}

unsigned int arena_release_spare(struct zs_arena *a, unsigned int max)
{
	uint32_t first;
	unsigned int n;

	pthread_mutex_lock(&a->lock);
	n = pages_find_top_spare(a, max, &first);
	if (n > 0) {
		pages_lose(a, first, n);
		pages_use(a, first, n);
		a->busy += n;
		pthread_mutex_unlock(&a->lock);
		STEP("release: spare given up");
		release(a, first, n);
		STEP("release: spare released");
		pthread_mutex_lock(&a->lock);
		a->busy -= n;
		pages_unuse(a, first, n);
	}
	pthread_mutex_unlock(&a->lock);
	return n;
}

uint64_t arena_fragmented(struct zs_arena *a)
{
	uint64_t n;

	pthread_mutex_lock(&a->lock);
	n = pages_fragmented(a);
	pthread_mutex_unlock(&a->lock);
	return n;
}

/* Extents that are looked at under one hold of the lock. */
#define LOOK_AT 256

int arena_close_sparsest(struct zs_arena *a, uint32_t *ret_extent)
{
	unsigned int least = ZS_EXTENT_PAGES + 1, used;
	uint64_t room;
	int r = -ENOENT;

	pthread_mutex_lock(&a->lock);
	for (uint32_t i = 0; i < a->top_extent; i++) {
		used = a->extents[i].nr_used;
		/* Of equals the highest, so that the arena stays dense at its low end. */
		if (used > 0 && used <= least) {
			least = used;
			*ret_extent = i;
		}
		if (i % LOOK_AT == LOOK_AT - 1) {
			pthread_mutex_unlock(&a->lock);
			pthread_mutex_lock(&a->lock);
		}
	}
	/*
	 * Zspages need runs, so not all room in the others is of use: twice what is moved. An
	 * extent that is more than half full costs more copying than it frees.
	 */
	used = least <= ZS_EXTENT_PAGES ? a->extents[*ret_extent].nr_used : 0;
	room = pages_fragmented(a) - (ZS_EXTENT_PAGES - used);
	if (used > 0 && used <= ZS_EXTENT_PAGES / 2 && room >= 2 * used) {
		a->extents[*ret_extent].closed = true;
		r = 0;
	}
	pthread_mutex_unlock(&a->lock);
	return r;
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
