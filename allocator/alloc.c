/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "allocator/arena.h"
#include "allocator/worker.h"
#include "allocator/zspage.h"

/* Hand a cell of Z out, which is on a list. */
static zs_ref take(struct zs_pool *pool, struct zs_class *c, struct zspage *z, uint32_t owner)
{
	unsigned int cell = cell_take(pool, c, z, owner);

	zspage_regroup(pool, c, z);
	return cell_ref(c, z, cell);
}

int zs_alloc(struct zs_pool *pool, uint32_t owner, size_t len, zs_ref *ret_ref)
{
	struct zs_class *c = zs_class_of(pool, len);
	bool opened = false;
	struct zspage *z;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	z = zspage_fullest(pool, c);
	if (unlikely(!z)) {
		r = zspage_make(pool, c, ARENA_SPARE, &z);
		opened = r == 0;
		if (opened)
			zspage_unpin(pool, c, z);
	}
	if (likely(r == 0))
		*ret_ref = take(pool, c, z, owner);
	pthread_mutex_unlock(&c->lock);
	if (unlikely(opened || r < 0))
		keeper_look(pool);
	return r;
}

/* How many pages to commit at once to a zspage that grows: about 1.5% of what its class has. */
static unsigned int growth(const struct zs_class *c, const struct zspage *z)
{
	uint64_t n = max_u64((uint64_t)c->zspages * c->pages / 64, zspage_pages(c, 1));

	return (unsigned int)min_u64(n, (uint64_t)c->pages - z->committed);
}

/* A zspage of the class that memory can be committed to, pinned. Errors of arena_take(). */
static int refill_candidate(struct zs_pool *pool, struct zs_class *c, struct zspage **ret_zspage)
{
	struct zspage *z = zspage_first(pool, c, ZS_GROUP_TAIL);

	if (!z)
		return zspage_make(pool, c, ARENA_ANY, ret_zspage);
	zspage_pin(pool, c, z);
	bump(&c->opened, 1);
	*ret_zspage = z;
	return 0;
}

/*
 * Commit the pages of Z, pinned, that its next fresh cell needs, and some more; near the limit just
 * those. ret_pages: how many; none, when the run was spare in part and has room as it is.
 */
static int grow(struct zs_pool *pool, struct zs_class *c, struct zspage *z, unsigned int *ret_pages)
{
	unsigned int need = zspage_pages(c, z->fresh + 1U), n = growth(c, z);
	int r;

	*ret_pages = 0;
	if (need <= z->committed)
		return 0;
	need -= z->committed;
	n = n > need ? n : need;
	r = arena_grow(&pool->arena, z->first + z->committed, n);
	if (r == -ENOSPC && n > need) {
		n = need;
		r = arena_grow(&pool->arena, z->first + z->committed, n);
	}
	*ret_pages = n;
	return r;
}

static int refill(struct zs_pool *pool, struct zs_class *c)
{
	unsigned int n = 0;
	struct zspage *z;
	int r = arena_prepare(&pool->arena);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	r = zspage_fullest(pool, c) ? 1 : refill_candidate(pool, c, &z);
	pthread_mutex_unlock(&c->lock);
	if (r > 0 || r == -EAGAIN)
		return 0; /* another thread was first: let the caller try again */
	if (r < 0)
		return r;

	r = grow(pool, c, z, &n);
	pthread_mutex_lock(&c->lock);
	if (r == 0)
		zspage_set_committed(c, z, z->committed + n);
	zspage_unpin(pool, c, z);
	if (z->used == 0 && zspage_room(c, z) == 0) {
		zspage_unlist(pool, c, z);
		zspage_destroy(pool, c, z);
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

int zs_refill(struct zs_pool *pool, size_t len)
{
	struct zs_class *c = zs_class_of(pool, len);
	int r = refill(pool, c);

	add_relaxed(&pool->refills, 1);
	if (r != -ENOSPC)
		return r;
	/* At the limit, pages that no cell of another class has reached are better used here. */
	keeper_trim(pool, true);
	return refill(pool, c);
}

/* Frees that a class sees before the mover is asked whether compaction has become worth it. */
#define FREES_PER_LOOK 128

void zs_free(struct zs_pool *pool, zs_ref ref)
{
	struct zs_arena *a = &pool->arena;
	uint32_t page = (uint32_t)(ref * ZS_REF_UNIT / ZS_PAGE_SIZE);
	/* The cell is the caller's: its zspage can neither go nor change class. */
	struct zspage *z = &a->zspages[load_relaxed(&a->page_map[page]) - 1];
	struct zs_class *c = &pool->classes[load_relaxed(&z->klass)];
	bool emptied = false, look;

	pthread_mutex_lock(&c->lock);
	cell_put(pool, c, z, cell_of(c, z, ref));
	if (!z->pinned) {
		emptied = z->used == 0;
		if (emptied) {
			zspage_unlist(pool, c, z);
			zspage_destroy(pool, c, z);
		} else {
			zspage_regroup(pool, c, z);
		}
	}
	look = ++c->frees >= FREES_PER_LOOK;
	if (look)
		c->frees = 0;
	pthread_mutex_unlock(&c->lock);
	if (unlikely(look))
		mover_look(pool);
	if (unlikely(emptied))
		keeper_look(pool);
}

void *zs_payload(const struct zs_pool *pool, zs_ref ref, size_t len)
{
	return pool->arena.base + ref * ZS_REF_UNIT + (len == ZS_PAGE_SIZE ? 0 : ZS_OWNER_SIZE);
}
