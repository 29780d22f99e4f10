/* SPDX-License-Identifier: BSD-3-Clause */
/* Validation of zbud: B1 to B6 of zbud-types.h; what it shares with zspages is in validate.c. */
#include "allocator/zbud-recover.h"
#include "allocator/zbud.h"

static bool is_live(struct check *k, const struct zspage *z, enum zbud_buddy buddy)
{
	uint32_t owner = z->raw ? z->owner : *zbud_owner(k->pool, z, buddy);

	return !k->live || k->live(k->opaque, owner, zbud_ref(z, buddy));
}

const char *zbud_check(struct check *k, struct zs_class *c, struct zspage *z)
{
	unsigned int used = 0;

	if (z->raw)
		return z->used == 1 && z->group == ZS_GROUP_NONE && is_live(k, z, ZBUD_FIRST)
			       ? NULL
			       : "B4: a raw page is not its owner's, or is on a list";
	if (z->chunks[ZBUD_FIRST] + z->chunks[ZBUD_LAST] > ZBUD_CHUNKS)
		return "B2: a page's buddies overlap";
	for (unsigned int b = 0; b < ZBUD_BUDDIES; b++) {
		if (z->chunks[b] == 0)
			continue;
		used++;
		if (!is_live(k, z, (enum zbud_buddy)b))
			return "B4: a buddy's owner does not name it";
	}
	if (used == 0 || used != z->used)
		return "B1: used is not the number of buddies, or is 0";
	if (zbud_unbuddied(z) != (z->group != ZS_GROUP_NONE))
		return "B3: a page is on a list and has no room, or has some and is on none";
	return NULL;
}

/* Of list F the length, or UINT32_MAX: it is broken. */
static uint32_t check_list(const struct zs_pool *pool, unsigned int f)
{
	uint32_t prev = ZS_NONE, index = pool->zbud.heads[f], n = 0;

	for (; index != ZS_NONE; prev = index, index = pool->arena.zspages[index].next) {
		const struct zspage *z = &pool->arena.zspages[index];

		if (!zbud_unbuddied(z) || zbud_free_chunks(z) != f || z->prev != prev ||
		    n++ == pool->zbud.count[f])
			return UINT32_MAX;
	}
	return n;
}

/* Pages in the order of age, or UINT32_MAX: it is broken. */
static uint32_t check_ages(const struct zs_pool *pool, uint32_t pages)
{
	uint32_t older = ZS_NONE, index = pool->zbud.oldest, n = 0;

	for (; index != ZS_NONE; older = index, index = pool->arena.ages[index].newer)
		if (pool->arena.zspages[index].klass == ZS_CLASS_FREE ||
		    pool->arena.ages[index].older != older || n++ == pages)
			return UINT32_MAX;
	return older == pool->zbud.newest ? n : UINT32_MAX;
}

const char *zbud_check_lists(struct check *k, struct zs_class *c, uint64_t listed)
{
	const struct zbud *b = &k->pool->zbud;
	uint32_t unbuddied = 0;

	for (unsigned int f = 0; f < ZBUD_CHUNKS; f++) {
		if (check_list(k->pool, f) != b->count[f])
			return "B5: a list is broken, or miscounted";
		if ((b->filled[f / 64] >> f % 64 & 1) != (b->count[f] > 0))
			return "B5: the bit of a list is wrong";
		unbuddied += b->count[f];
	}
	for (uint32_t i = 0; i < k->pool->arena.nr_zspages; i++) {
		const struct zspage *z = &k->pool->arena.zspages[i];

		if (load_relaxed(&z->klass) != ZS_CLASS_FREE && zbud_unbuddied(z) &&
		    unbuddied-- == 0)
			return "B3: a page with room is on no list";
	}
	if (unbuddied != 0)
		return "B3: a page is on a list twice";
	return check_ages(k->pool, c->zspages) == c->zspages
		       ? NULL
		       : "B6: a page is missing in the order of age, or is there twice";
}
