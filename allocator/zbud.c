/* SPDX-License-Identifier: BSD-3-Clause */
#include "allocator/zbud.h"

#include "common/step.h"

static struct zspage *page_of(struct zs_pool *pool, uint32_t index)
{
	return index == ZS_NONE ? NULL : &pool->arena.zspages[index];
}

static uint32_t index_of(const struct zs_pool *pool, const struct zspage *z)
{
	return (uint32_t)(z - pool->arena.zspages);
}

struct zspage *zbud_best(struct zs_pool *pool, unsigned int chunks)
{
	const struct zbud *b = &pool->zbud;
	uint64_t word;

	if (chunks >= ZBUD_CHUNKS)
		return NULL;
	word = b->filled[chunks / 64] & ~UINT64_C(0) << chunks % 64;
	for (unsigned int w = chunks / 64;; word = b->filled[w]) {
		if (word)
			return page_of(pool,
				       b->heads[w * 64 + (unsigned int)__builtin_ctzll(word)]);
		if (++w == ARRAY_SIZE(b->filled))
			return NULL;
	}
}

void zbud_enlist(struct zs_pool *pool, struct zspage *z)
{
	struct zbud *b = &pool->zbud;
	unsigned int f;

	if (!zbud_unbuddied(z))
		return;
	f = zbud_free_chunks(z);
	z->group = 0;
	z->prev = ZS_NONE;
	z->next = b->heads[f];
	if (z->next != ZS_NONE)
		page_of(pool, z->next)->prev = index_of(pool, z);
	b->heads[f] = index_of(pool, z);
	b->count[f]++;
	b->filled[f / 64] |= UINT64_C(1) << f % 64;
}

void zbud_unlist(struct zs_pool *pool, struct zspage *z)
{
	struct zbud *b = &pool->zbud;
	unsigned int f;

	if (!zbud_unbuddied(z))
		return;
	f = zbud_free_chunks(z);
	z->group = ZS_GROUP_NONE;
	if (z->prev != ZS_NONE)
		page_of(pool, z->prev)->next = z->next;
	else
		b->heads[f] = z->next;
	if (z->next != ZS_NONE)
		page_of(pool, z->next)->prev = z->prev;
	if (--b->count[f] == 0)
		b->filled[f / 64] &= ~(UINT64_C(1) << f % 64);
}

/* What a neighbour says of the page between: the end of the order says it where there is none. */
static void link_older(struct zs_pool *pool, uint32_t of, uint32_t older)
{
	*(of == ZS_NONE ? &pool->zbud.newest : &pool->arena.ages[of].older) = older;
}

static void link_newer(struct zs_pool *pool, uint32_t of, uint32_t newer)
{
	*(of == ZS_NONE ? &pool->zbud.oldest : &pool->arena.ages[of].newer) = newer;
}

static void age_unlink(struct zs_pool *pool, struct zspage *z)
{
	const struct zbud_age *age = &pool->arena.ages[index_of(pool, z)];

	link_newer(pool, age->older, age->newer);
	link_older(pool, age->newer, age->older);
}

void zbud_age_append(struct zs_pool *pool, struct zspage *z)
{
	uint32_t index = index_of(pool, z);

	pool->arena.ages[index] = (struct zbud_age){.older = pool->zbud.newest, .newer = ZS_NONE};
	link_newer(pool, pool->zbud.newest, index);
	pool->zbud.newest = index;
}

void zbud_renew(struct zs_pool *pool, struct zspage *z)
{
	if (pool->zbud.newest == index_of(pool, z))
		return;
	age_unlink(pool, z);
	zbud_age_append(pool, z);
}

void zbud_inherit(struct zs_pool *pool, struct zspage *z, struct zspage *of)
{
	uint32_t index = index_of(pool, z);
	struct zbud_age *age = &pool->arena.ages[index];

	age_unlink(pool, z);
	*age = pool->arena.ages[index_of(pool, of)];
	link_newer(pool, age->older, index);
	link_older(pool, age->newer, index);
	zbud_age_append(pool, of);
}

int zbud_make(struct zs_pool *pool, enum arena_source source, struct zspage **ret_page)
{
	struct zs_arena *a = &pool->arena;
	struct zspage *z;
	uint32_t index;
	/* Its tag is that of class 0 then, ZBUD_TAG: there are no buddies. */
	int r = arena_take(a, 0, 1, source, &index);

	if (r < 0)
		return r;
	z = &a->zspages[index];
	z->used = 0;
	z->raw = 0;
	z->pinned = 0;
	z->fallbacks = 0;
	z->group = ZS_GROUP_NONE;
	z->chunks[ZBUD_FIRST] = z->chunks[ZBUD_LAST] = 0;
	zbud_class(pool)->zspages++;
	zbud_age_append(pool, z);
	/* Migration looks at the map without the class lock, and then again with it. */
	store_relaxed(&a->page_map[z->first], index + 1);
	*ret_page = z;
	return 0;
}

void zbud_destroy(struct zs_pool *pool, struct zspage *z)
{
	age_unlink(pool, z);
	zbud_class(pool)->zspages--;
	store_relaxed(&pool->arena.page_map[z->first], 0);
	arena_put(&pool->arena, index_of(pool, z), 1);
}

uint32_t zbud_tag(const struct zs_pool *pool, const struct zspage *z)
{
	if (z->raw)
		return ZS_TAG_RAW | z->owner;
	return ZBUD_TAG | (uint32_t)z->chunks[ZBUD_FIRST] << 1 |
	       (uint32_t)z->chunks[ZBUD_LAST] << 12;
}

static void count(struct zs_pool *pool, struct zspage *z, int n)
{
	z->used = (uint16_t)(z->used + n);
	bump(&zbud_class(pool)->used, n);
}

void zbud_take_buddy(struct zs_pool *pool, struct zspage *z, enum zbud_buddy buddy,
		     unsigned int chunks, uint32_t owner)
{
	z->chunks[buddy] = (uint16_t)chunks;
	*zbud_owner(pool, z, buddy) = owner;
	STEP("buddy: owner written");
	arena_tag(&pool->arena, z->first, zbud_tag(pool, z));
	count(pool, z, 1);
}

void zbud_take_raw(struct zs_pool *pool, struct zspage *z, uint32_t owner)
{
	z->raw = 1;
	z->owner = owner;
	arena_tag(&pool->arena, z->first, zbud_tag(pool, z));
	count(pool, z, 1);
}

void zbud_put_buddy(struct zs_pool *pool, struct zspage *z, enum zbud_buddy buddy)
{
	if (z->raw) {
		z->raw = 0;
		z->chunks[ZBUD_FIRST] = z->chunks[ZBUD_LAST] = 0;
	} else {
		z->chunks[buddy] = 0;
	}
	arena_tag(&pool->arena, z->first, zbud_tag(pool, z));
	STEP("buddy: put");
	count(pool, z, -1);
}
