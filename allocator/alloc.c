/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "allocator/allocator.h"
#include "allocator/worker.h"
#include "allocator/zspage.h"
#include "common/os.h"

/* Hand a cell of Z out, which is on a list. */
static zs_ref take(struct zs_pool *pool, struct zs_class *c, struct zspage *z, uint32_t owner)
{
	unsigned int cell = cell_take(pool, c, z, owner);

	zspage_regroup(pool, c, z);
	return cell_ref(c, z, cell);
}

/* What alloc_in() may do. */
enum alloc_mode {
	ALLOC_FALLBACK = 1, /* the object is one of a smaller class */
	ALLOC_OPEN = 2,	    /* a zspage may be made of spare pages */
};

/* A cell of the class. -EAGAIN: there is none with memory. */
static inline int alloc_in(struct zs_pool *pool, struct zs_class *c, uint32_t owner,
			   unsigned int mode, zs_ref *ret_ref)
{
	bool look = false, wants = false;
	struct zspage *z;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	z = zspage_fullest(pool, c);
	if (unlikely(!z)) {
		r = mode & ALLOC_OPEN ? zspage_make(pool, c, ARENA_SPARE, &z) : -EAGAIN;
		if (r == 0)
			zspage_unpin(pool, c, z);
		look = true;
	}
	if (likely(r == 0)) {
		if (mode & ALLOC_FALLBACK)
			zspage_mark_fallbacks(c, z);
		*ret_ref = take(pool, c, z, owner);
		wants = z->group == ZS_GROUP_TAIL;
		if (unlikely(wants))
			store_relaxed(&c->wants, true);
	}
	pthread_mutex_unlock(&c->lock);
	if (unlikely(look || wants))
		keeper_look(pool, wants);
	return r;
}

/* The object stands in a larger class than its own; both threads have something to mend. */
static void fell_back(struct zs_pool *pool, struct zs_class *c)
{
	store_relaxed(&c->wants, true);
	keeper_look(pool, true);
	mover_look(pool);
}

/*
 * The reserve may have pages all the same, but not as many in a row as a zspage of C takes: the
 * object is a fallback in the next larger class whose zspages are short enough, at last in a page of
 * its own, rather than that a write waits for the kernel. The keeper is told to have memory for C.
 */
static int alloc_shorter(struct zs_pool *pool, struct zs_class *c, uint32_t owner, zs_ref *ret_ref)
{
	struct zs_class *own = c;
	int r = -EAGAIN;

	/* Near the limit it is not for want of pages: there a zspage grows, which is denser. */
	if (c->shorter == ZS_CLASS_NONE || !load_relaxed(&pool->started) ||
	    load_relaxed(&pool->arena.reserve) == 0 || !arena_allows(&pool->arena, c->pages))
		return r;
	while (r == -EAGAIN && c->shorter != ZS_CLASS_NONE) {
		c = &pool->classes[c->shorter];
		r = alloc_in(pool, c, owner, ALLOC_FALLBACK | ALLOC_OPEN, ret_ref);
	}
	fell_back(pool, own);
	return r;
}

/*
 * With some hundred classes, the first object of each would take a zspage of up to 16 pages, and few
 * objects the whole reserve of a pool that cannot have more at once. Then the room of the next
 * larger classes is used up first, and what is opened is the shortest zspage among theirs.
 */
static bool is_scarce(struct zs_pool *pool)
{
	const struct zs_arena *a = &pool->arena;

	return load_relaxed(&a->modest) && load_relaxed(&pool->started) &&
	       load_relaxed(&a->spare) < load_relaxed(&a->reserve) / 2;
}

/* A cell in the class or in one whose cells are up to a half larger. */
static int alloc_scarce(struct zs_pool *pool, struct zs_class *own, uint32_t owner, zs_ref *ret_ref)
{
	const struct zs_class *end = &pool->classes[pool->raw_class];
	unsigned int most = own->cell + own->cell / 2;
	struct zs_class *c = own, *shortest = own;
	int r = alloc_in(pool, c, owner, 0, ret_ref);

	while (r == -EAGAIN && ++c < end && c->cell <= most) {
		if (c->pages < shortest->pages)
			shortest = c;
		/* Whether there is room is read without the lock: a hint. */
		if (load_relaxed(&c->room) > 0)
			r = alloc_in(pool, c, owner, ALLOC_FALLBACK, ret_ref);
	}
	if (r == -EAGAIN && shortest != own) {
		c = shortest;
		r = alloc_in(pool, c, owner, ALLOC_FALLBACK | ALLOC_OPEN, ret_ref);
	}
	if (c != own)
		fell_back(pool, own);
	return r;
}

int zspage_alloc(struct zs_pool *pool, uint32_t owner, size_t len, zs_ref *ret_ref)
{
	struct zs_class *c = zs_class_of(pool, len);
	int r = -EAGAIN;

	if (unlikely(is_scarce(pool)))
		r = alloc_scarce(pool, c, owner, ret_ref);
	if (likely(r == -EAGAIN))
		r = alloc_in(pool, c, owner, ALLOC_OPEN, ret_ref);
	return unlikely(r == -EAGAIN) ? alloc_shorter(pool, c, owner, ret_ref) : r;
}

size_t zspage_cell_bytes(struct zs_pool *pool, size_t len)
{
	return zs_class_of(pool, len)->cell;
}

bool zspage_has_cell(struct zs_pool *pool, size_t len)
{
	struct zs_class *c = zs_class_of(pool, len);
	bool has;

	pthread_mutex_lock(&c->lock);
	has = zspage_fullest(pool, c) != NULL;
	pthread_mutex_unlock(&c->lock);
	return has;
}

int zs_alloc(struct zs_pool *pool, uint32_t owner, size_t len, zs_ref *ret_ref)
{
	return pool->allocator->alloc(pool, owner, len, ret_ref);
}

size_t zs_cell_bytes(struct zs_pool *pool, size_t len)
{
	return pool->allocator->cell_bytes(pool, len);
}

/*
 * How many pages a zspage that is to grow should have in the end: about 1.5% of its class more; at
 * the least (ret_need) what its next fresh cell needs. Class lock.
 */
static unsigned int growth(const struct zs_class *c, const struct zspage *z, unsigned int *ret_need)
{
	uint64_t goal = z->committed + (uint64_t)c->zspages * c->pages / 64;

	*ret_need = zspage_pages(c, z->fresh + 1U);
	return (unsigned int)min_u64(max_u64(goal, *ret_need), c->pages);
}

/* A zspage of the class that memory can be committed to, pinned. Errors of arena_take(). */
static int refill_candidate(struct zs_pool *pool, struct zs_class *c, enum arena_source source,
			    struct zspage **ret_zspage)
{
	*ret_zspage = zspage_first(pool, c, ZS_GROUP_TAIL);
	if (!*ret_zspage)
		return zspage_make(pool, c, source, ret_zspage);
	zspage_pin(pool, c, *ret_zspage);
	return 0;
}

/* Commit pages to Z, pinned, up to GOAL, or, near the limit, to NEED. How many it has then. */
static int grow(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int need,
		unsigned int goal)
{
	struct zs_arena *a = &pool->arena;
	unsigned int has = z->committed; /* the pinner's alone to change */
	int r = (int)has;

	/* When a new zspage's run was spare in part, it has room as it is. */
	if (need > has) {
		r = arena_grow(a, z->first, c->pages, has, goal);
		if (r == -ENOSPC && goal > need)
			r = arena_grow(a, z->first, c->pages, has, need);
	}
	return r;
}

int zspage_grow(struct zs_pool *pool, struct zs_class *c, enum arena_source source)
{
	unsigned int need = 0, goal = 0;
	struct zspage *z;
	int r;

	pthread_mutex_lock(&c->lock);
	r = zspage_fullest(pool, c) ? 1 : refill_candidate(pool, c, source, &z);
	if (r == 0)
		goal = growth(c, z, &need);
	pthread_mutex_unlock(&c->lock);
	if (r != 0)
		return r > 0 || r == -EAGAIN ? 0 : r; /* another thread was first: try again */

	r = grow(pool, c, z, need, goal);
	pthread_mutex_lock(&c->lock);
	if (r > 0)
		zspage_set_committed(c, z, (unsigned int)r);
	bump(&c->opened, 1);
	zspage_unpin(pool, c, z);
	if (z->used == 0 && zspage_room(c, z) == 0) {
		zspage_unlist(pool, c, z);
		zspage_destroy(pool, c, z);
	}
	pthread_mutex_unlock(&c->lock);
	keeper_look(pool, false);
	return r < 0 ? r : 0;
}

static int refill(struct zs_pool *pool, struct zs_class *c)
{
	int r = arena_prepare(&pool->arena);

	return r < 0 ? r : pool->allocator->grow(pool, c, ARENA_ANY);
}

/* What hinders a write although there is something for it, such as migration, is over soon. */
#define MOMENT_MS 2

/*
 * Wait until the keeper has committed something, or something has been freed: it may be all that there will be.
 * -ENOMEM: in WAITED nanoseconds nothing was for this write.
 */
static int await_keeper(struct zs_pool *pool, size_t len, uint64_t *waited)
{
	struct parking *parking = &pool->arena.returned_to;
	uint64_t start = os_now(), patience = pool->patience * NS_PER_MS, left;
	uint32_t sequence;
	bool some;

	if (*waited >= patience)
		return -ENOMEM;
	left = div_round_up(patience - *waited, NS_PER_MS);
	store_relaxed(&zs_class_of(pool, len)->wants, true);
	sequence = parking_enter(parking);
	/* What came free before was announced to nobody. */
	some = load_relaxed(&pool->arena.spare) > 0 || pool->allocator->has_cell(pool, len);
	keeper_look(pool, true);
	parking_wait_for(parking, sequence, some ? MOMENT_MS : (int)left);
	*waited += os_now() - start;
	return 0;
}

static bool is_served_by_keeper(const struct zs_pool *pool)
{
	return load_relaxed(&pool->arena.modest) && load_relaxed(&pool->started) &&
	       load_relaxed(&pool->arena.reserve) > 0;
}

/* Is the memory that a write lacks the keeper's to have? */
static bool is_keepers(struct zs_pool *pool, const struct zs_class *c)
{
	return is_served_by_keeper(pool) && arena_allows(&pool->arena, c->pages);
}

int zs_refill(struct zs_pool *pool, size_t len, uint64_t *waited)
{
	struct zs_class *c = zs_class_of(pool, len);
	int r;

	add_relaxed(&pool->refills, 1);
	if (is_keepers(pool, c))
		return await_keeper(pool, len, waited);
	r = refill(pool, c);
	/*
	 * At the limit, with room for a tail that would have to grow, and nothing spare for it: it is the
	 * keeper that takes memory, so what is to be waited for is room, and then the keeper.
	 */
	if (r == -ENOMEM && is_served_by_keeper(pool))
		return -ENOSPC;
	return r;
}

/* Frees that a class sees before the mover is asked whether compaction has become worth it. */
#define FREES_PER_LOOK 128

bool zspage_put(struct zs_pool *pool, struct zs_class *c, struct zspage *z, zs_ref ref)
{
	cell_put(pool, c, z, cell_of(c, z, ref));
	if (z->pinned)
		return false;
	if (z->used > 0) {
		zspage_regroup(pool, c, z);
		return false;
	}
	zspage_unlist(pool, c, z);
	zspage_destroy(pool, c, z);
	return true;
}

void zs_free(struct zs_pool *pool, zs_ref ref)
{
	struct zs_arena *a = &pool->arena;
	uint32_t page = (uint32_t)(ref * ZS_REF_UNIT / ZS_PAGE_SIZE);
	/* The cell is the caller's: its zspage can neither go nor change class. */
	struct zspage *z = &a->zspages[load_relaxed(&a->page_map[page]) - 1];
	struct zs_class *c = &pool->classes[load_relaxed(&z->klass)];
	bool emptied, look;

	pthread_mutex_lock(&c->lock);
	emptied = pool->allocator->put(pool, c, z, ref);
	look = ++c->frees >= FREES_PER_LOOK;
	if (look)
		c->frees = 0;
	pthread_mutex_unlock(&c->lock);
	if (unlikely(look))
		mover_look(pool);
	if (unlikely(emptied))
		keeper_look(pool, false);
	/* Somebody is near the limit: there may be something to compact. */
	if (unlikely(load_relaxed(&pool->freed) < ZS_FREED_MAX))
		add_relaxed(&pool->freed, 1);
	parking_notify(&a->returned_to, true);
}

void *zs_payload(const struct zs_pool *pool, zs_ref ref, size_t len)
{
	return pool->arena.base + ref * ZS_REF_UNIT + (len > ZS_MAX_SMALL ? 0 : ZS_OWNER_SIZE);
}

void zs_prefetch(const struct zs_pool *pool, zs_ref ref)
{
	__builtin_prefetch(pool->arena.base + ref * ZS_REF_UNIT, 1);
	__builtin_prefetch(&pool->arena.page_map[ref * ZS_REF_UNIT / ZS_PAGE_SIZE]);
}
