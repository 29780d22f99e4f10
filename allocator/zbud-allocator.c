/* SPDX-License-Identifier: BSD-3-Clause */
/* zbud for those who allocate and free: see struct zs_allocator. */
#include <errno.h>

#include "allocator/worker.h"
#include "allocator/zbud-recover.h"
#include "allocator/zbud.h"
#include "common/fnv1a.h"

static void init(struct zs_pool *pool)
{
	struct zs_class *c = zbud_class(pool);

	pool->nr_classes = 1;
	c->cell = ZS_PAGE_SIZE;
	c->cells = ZBUD_BUDDIES;
	c->pages = 1;
	c->shorter = ZS_CLASS_NONE;
	zs_class_lock_init(c);
	for (unsigned int f = 0; f < ZBUD_CHUNKS; f++)
		pool->zbud.heads[f] = ZS_NONE;
	pool->zbud.oldest = pool->zbud.newest = ZS_NONE;
}

static uint64_t layout(void)
{
	return fnv1a_u64(fnv1a_u64(FNV1A_START, ZS_OWNER_SIZE), ZBUD_CHUNK);
}

static int alloc(struct zs_pool *pool, uint32_t owner, size_t len, zs_ref *ret_ref)
{
	struct zs_class *c = zbud_class(pool);
	enum zbud_buddy buddy = ZBUD_FIRST;
	bool raw = len > ZS_MAX_SMALL;
	struct zspage *z = NULL;
	bool made = false;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	if (!raw)
		z = zbud_best(pool, zbud_chunks(len));
	if (z) {
		zbud_unlist(pool, z);
		zbud_renew(pool, z);
		buddy = z->chunks[ZBUD_FIRST] ? ZBUD_LAST : ZBUD_FIRST;
	} else {
		r = zbud_make(pool, ARENA_SPARE, &z);
		made = true;
	}
	if (likely(r == 0)) {
		if (raw)
			zbud_take_raw(pool, z, owner);
		else
			zbud_take_buddy(pool, z, buddy, zbud_chunks(len), owner);
		zbud_enlist(pool, z);
		*ret_ref = zbud_ref(z, buddy);
	}
	pthread_mutex_unlock(&c->lock);
	if (made)
		keeper_look(pool, false);
	return r;
}

static size_t cell_bytes(struct zs_pool *pool, size_t len)
{
	return len > ZS_MAX_SMALL ? ZS_PAGE_SIZE : zbud_chunks(len) * (size_t)ZBUD_CHUNK;
}

static bool has_cell(struct zs_pool *pool, size_t len)
{
	struct zs_class *c = zbud_class(pool);
	bool has;

	pthread_mutex_lock(&c->lock);
	has = len <= ZS_MAX_SMALL && zbud_best(pool, zbud_chunks(len)) != NULL;
	pthread_mutex_unlock(&c->lock);
	return has;
}

static bool put(struct zs_pool *pool, struct zs_class *c, struct zspage *z, zs_ref ref)
{
	zbud_unlist(pool, z);
	zbud_put_buddy(pool, z, zbud_buddy_at(ref));
	if (z->used > 0) {
		zbud_enlist(pool, z);
		return false;
	}
	zbud_destroy(pool, z);
	return true;
}

/* One spare page more, which the limit allows to use; whoever is first has it. */
static int grow(struct zs_pool *pool, struct zs_class *c, enum arena_source source)
{
	return arena_allows(&pool->arena, 1) ? arena_commit_spare(&pool->arena, 1) : -ENOSPC;
}

static uint64_t live(const struct zs_class *c, const struct zspage *z)
{
	return z->raw ? ZS_PAGE_SIZE : (ZBUD_CHUNKS - zbud_free_chunks(z)) * (uint64_t)ZBUD_CHUNK;
}

const struct zs_allocator zbud_allocator = {
	.ages = true,
	.init = init,
	.layout = layout,
	.alloc = alloc,
	.cell_bytes = cell_bytes,
	.has_cell = has_cell,
	.put = put,
	.grow = grow,
	.work = zbud_work,
	.potential = zbud_potential,
	.compact_lightly = zbud_compact_lightly,
	.make_room = zbud_make_room,
	.compact = zbud_compact,
	.buddy = zbud_buddy_of,
	.migrate = zbud_migrate,
	.live = live,
	.tag = zbud_tag,
	.class_of_tag = zbud_class_of_tag,
	.remake = zbud_remake,
	.holds = zbud_holds,
	.recover = zbud_recover,
	.check = zbud_check,
	.check_lists = zbud_check_lists,
};
