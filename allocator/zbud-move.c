/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zbud moves objects: the oldest pages are emptied into unbuddied ones, which is its compaction; and a page
 * goes to another extent. Which two have to leave the pool for a page to come free, is asked here too.
 */
#include "allocator/move.h"
#include "allocator/worker.h"
#include "allocator/zbud.h"
#include "common/step.h"

/* What is done under one hold of the lock: a move counts as so many looks at a page. */
#define LOOKS_PER_STEP 32
#define LOOKS_PER_MOVE (LOOKS_PER_STEP / MOVES_PER_STEP)

/*
 * Move what is in a buddy of SRC, or raw, to a buddy of DST; both are on no list. False: its owner
 * was busy.
 */
static bool move_buddy(struct zs_pool *pool, struct zspage *src, enum zbud_buddy from,
		       struct zspage *dst, enum zbud_buddy to)
{
	uint32_t owner = src->raw ? src->owner : *zbud_owner(pool, src, from);

	if (src->raw)
		zbud_take_raw(pool, dst, owner);
	else
		zbud_take_buddy(pool, dst, to, src->chunks[from], owner);
	STEP("buddy: taken");
	/* Slot locks are only tried here: their holders may be waiting for this class's lock. */
	if (pool->owner.relocate(pool->owner.opaque, owner, zbud_ref(src, from),
				 zbud_ref(dst, to))) {
		zbud_put_buddy(pool, src, from);
		STEP("buddy: moved");
		return true;
	}
	zbud_put_buddy(pool, dst, to);
	return false;
}

/* Move a buddy of SRC, on no list, to an unbuddied page that has room for it. */
static bool move_into(struct zs_pool *pool, struct zspage *src, enum zbud_buddy from,
		      struct zspage *dst)
{
	bool moved;

	zbud_unlist(pool, dst);
	moved = move_buddy(pool, src, from, dst, dst->chunks[ZBUD_FIRST] ? ZBUD_LAST : ZBUD_FIRST);
	zbud_enlist(pool, dst);
	return moved;
}

/*
 * Pages for both buddies, the one for the longer first; for the only one. False: there is no room
 * for all. Z is not raw, and on no list.
 */
static bool find_room(struct zs_pool *pool, const struct zspage *z,
		      struct zspage *ret_to[ZBUD_BUDDIES])
{
	bool last = z->chunks[ZBUD_FIRST] < z->chunks[ZBUD_LAST];
	enum zbud_buddy longer = last ? ZBUD_LAST : ZBUD_FIRST;
	enum zbud_buddy shorter = last ? ZBUD_FIRST : ZBUD_LAST;

	ret_to[longer] = zbud_best(pool, z->chunks[longer]);
	ret_to[shorter] = NULL;
	if (!ret_to[longer])
		return false;
	if (z->chunks[shorter] == 0)
		return true;
	/* A page has room for one. */
	zbud_unlist(pool, ret_to[longer]);
	ret_to[shorter] = zbud_best(pool, z->chunks[shorter]);
	zbud_enlist(pool, ret_to[longer]);
	return ret_to[shorter] != NULL;
}

/*
 * Move all that is in Z elsewhere, if there is room for it; it is given back then. Returns the
 * number of objects moved.
 */
static unsigned int empty_page(struct zs_pool *pool, struct zspage *z)
{
	struct zspage *to[ZBUD_BUDDIES];
	unsigned int moved = 0;

	if (z->raw)
		return 0;
	zbud_unlist(pool, z);
	if (find_room(pool, z, to)) {
		for (unsigned int b = 0; b < ZBUD_BUDDIES; b++)
			if (to[b])
				moved += move_into(pool, z, (enum zbud_buddy)b, to[b]);
	}
	if (z->used > 0) {
		zbud_enlist(pool, z);
		return moved;
	}
	STEP("buddy: page emptied");
	add_relaxed(&pool->pages_compacted, 1);
	zbud_destroy(pool, z);
	return moved;
}

uint32_t zbud_reclaim(struct zs_pool *pool, uint32_t pages)
{
	struct zs_class *c = zbud_class(pool);
	uint32_t before, freed = 0, tries;
	unsigned int moved, looks = 0;
	uint64_t objects = 0;

	pthread_mutex_lock(&c->lock);
	for (tries = c->zspages; tries > 0 && freed < pages && c->zspages > 0; tries--) {
		struct zspage *z = &pool->arena.zspages[pool->zbud.oldest];

		before = c->zspages;
		moved = empty_page(pool, z);
		if (c->zspages < before)
			freed++;
		else
			zbud_renew(pool, z);
		objects += moved;
		looks += 1 + moved * LOOKS_PER_MOVE;
		if (looks < LOOKS_PER_STEP)
			continue;
		if (load_relaxed(&pool->mover.stop))
			break;
		move_pause(c);
		looks = 0;
	}
	pthread_mutex_unlock(&c->lock);
	add_relaxed(&pool->objects_compacted, objects);
	return freed;
}

/*
 * The pages that would come free if unbuddied ones were paired as well as can be: the longest
 * object with the shortest that is left, if it fits; if not, it fits with none.
 */
uint64_t zbud_potential(struct zs_pool *pool)
{
	struct zs_class *c = zbud_class(pool);
	uint32_t count[ZBUD_CHUNKS];
	unsigned int least = 1, most = ZBUD_CHUNKS - 1;
	uint64_t n = 0;

	pthread_mutex_lock(&c->lock);
	for (unsigned int f = 0; f < ZBUD_CHUNKS; f++)
		count[f] = pool->zbud.count[f];
	pthread_mutex_unlock(&c->lock);
	/* With least chunks free the object is the longest, with most the shortest. */
	while (least < most) {
		uint32_t both = (uint32_t)min_u64(count[least], count[most]);

		if (least + most < ZBUD_CHUNKS || count[least] == 0) {
			least++;
			continue;
		}
		n += both;
		count[least] -= both;
		count[most] -= both;
		most -= count[most] == 0;
	}
	return least == most && 2 * least >= ZBUD_CHUNKS ? n + count[least] / 2 : n;
}

void zbud_work(struct zs_pool *pool, bool settled)
{
	if (settled || zbud_potential(pool) > mover_worth(pool, settled))
		zbud_reclaim(pool, UINT32_MAX);
	migrate_if_worth(pool, settled);
}

void zbud_compact(struct zs_pool *pool)
{
	zbud_reclaim(pool, UINT32_MAX);
	migrate_pass(pool);
}

void zbud_compact_lightly(struct zs_pool *pool)
{
	zbud_reclaim(pool, (uint32_t)zbud_potential(pool));
}

void zbud_make_room(struct zs_pool *pool)
{
	zbud_reclaim(pool, UINT32_MAX);
}

uint32_t zbud_buddy_of(struct zs_pool *pool, zs_ref ref)
{
	enum zbud_buddy other = zbud_buddy_at(ref) == ZBUD_FIRST ? ZBUD_LAST : ZBUD_FIRST;
	struct zs_class *c = zbud_class(pool);
	struct zs_arena *a = &pool->arena;
	uint32_t entry, owner = ZS_OWNER_MAX;

	pthread_mutex_lock(&c->lock);
	entry = a->page_map[ref * ZS_REF_UNIT / ZS_PAGE_SIZE];
	if (entry) {
		const struct zspage *z = &a->zspages[entry - 1];

		if (!z->raw && z->chunks[other])
			owner = *zbud_owner(pool, z, other);
	}
	pthread_mutex_unlock(&c->lock);
	return owner;
}

/* A page in another extent, empty, with memory. Class lock, dropped meanwhile. NULL: none is had. */
static struct zspage *make_copy(struct zs_pool *pool, struct zs_class *c)
{
	struct zspage *copy;
	int r = zbud_make(pool, ARENA_PARTLY, &copy);

	if (r < 0)
		return NULL;
	if (copy->committed == 0) {
		/* It is on no list, so nobody else comes upon it but the movers, who are us. */
		pthread_mutex_unlock(&c->lock);
		r = arena_grow(&pool->arena, copy->first, 1, 0, 1);
		pthread_mutex_lock(&c->lock);
	}
	if (r >= 0) {
		copy->committed = 1;
		return copy;
	}
	zbud_destroy(pool, copy);
	return NULL;
}

/* Move what is in Z to an empty page. Returns the number of objects moved. */
static unsigned int move_page(struct zs_pool *pool, struct zspage *z, struct zspage *copy)
{
	unsigned int moved = 0;

	zbud_unlist(pool, z);
	if (z->raw)
		moved = move_buddy(pool, z, ZBUD_FIRST, copy, ZBUD_FIRST);
	for (unsigned int b = 0; b < ZBUD_BUDDIES && !z->raw && z->used > 0; b++)
		if (z->chunks[b])
			moved += move_buddy(pool, z, (enum zbud_buddy)b, copy, (enum zbud_buddy)b);
	if (moved > 0)
		zbud_inherit(pool, copy, z);
	return moved;
}

static void enlist_or_destroy(struct zs_pool *pool, struct zspage *z)
{
	if (z->used > 0)
		zbud_enlist(pool, z);
	else
		zbud_destroy(pool, z);
}

bool zbud_migrate(struct zs_pool *pool, uint32_t page)
{
	struct zs_class *c = zbud_class(pool);
	struct zs_arena *a = &pool->arena;
	struct zspage *copy, *z;
	uint32_t entry;

	pthread_mutex_lock(&c->lock);
	copy = make_copy(pool, c);
	/* Now, for it may have been freed meanwhile. */
	entry = a->page_map[page];
	if (copy && entry) {
		z = &a->zspages[entry - 1];
		add_relaxed(&pool->objects_migrated, move_page(pool, z, copy));
		STEP("buddy: page migrated");
		enlist_or_destroy(pool, z);
	}
	if (copy)
		enlist_or_destroy(pool, copy);
	entry = a->page_map[page];
	pthread_mutex_unlock(&c->lock);
	return entry == 0;
}
