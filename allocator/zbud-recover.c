/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery of zbud's pages: see recover.c. The tag says which buddies there are, the slots whose. */
#include "allocator/zbud-recover.h"

#include "allocator/zbud.h"
#include "common/bitmap.h"

static unsigned int tag_chunks(uint32_t tag, enum zbud_buddy buddy)
{
	return buddy == ZBUD_FIRST ? tag >> 1 & 0x7ff : tag >> 12;
}

struct zs_class *zbud_class_of_tag(struct zs_pool *pool, uint32_t tag)
{
	if (tag & ZS_TAG_RAW)
		return zbud_class(pool);
	return tag & ZBUD_TAG && tag_chunks(tag, ZBUD_FIRST) + tag_chunks(tag, ZBUD_LAST) <=
					 ZBUD_CHUNKS
		       ? zbud_class(pool)
		       : NULL;
}

void zbud_remake(struct zs_pool *pool, struct zspage *z, uint32_t tag)
{
	z->raw = !!(tag & ZS_TAG_RAW);
	if (z->raw) {
		z->owner = tag & ~ZS_TAG_RAW;
		return;
	}
	for (unsigned int b = 0; b < ZBUD_BUDDIES; b++)
		z->chunks[b] = (uint16_t)tag_chunks(tag, (enum zbud_buddy)b);
}

bool zbud_holds(struct zs_pool *pool, struct zspage *z, zs_ref ref, size_t len)
{
	enum zbud_buddy buddy = zbud_buddy_at(ref);

	if (z->raw != (len > ZS_MAX_SMALL))
		return false;
	if (z->raw)
		return ref == zbud_ref(z, ZBUD_FIRST);
	return ref == zbud_ref(z, buddy) && zbud_chunks(len) == z->chunks[buddy];
}

/* Is the object claimed by its owner? */
static bool claim(struct recovery *k, const struct zspage *z, enum zbud_buddy buddy)
{
	uint32_t owner;

	/* Nothing is known of the page's content: then no slot names what is in it. */
	if (!bitmap_test(k->readable, z->first % ZS_EXTENT_PAGES))
		return false;
	owner = z->raw ? z->owner : *zbud_owner(k->pool, z, buddy);
	return owner < ZS_OWNER_MAX && k->claim(k->opaque, owner, zbud_ref(z, buddy));
}

int zbud_recover(struct recovery *k, struct zs_class *c, struct zspage *z)
{
	for (unsigned int b = 0; b < ZBUD_BUDDIES; b++) {
		bool live;

		if (z->raw ? b != ZBUD_FIRST : z->chunks[b] == 0)
			continue;
		live = claim(k, z, (enum zbud_buddy)b);
		z->used = (uint16_t)(z->used + live);
		k->found.freed += !live;
		if (!live && !z->raw)
			z->chunks[b] = 0;
	}
	k->found.objects += z->used;
	if (z->used == 0)
		return 0;
	/* What a slot names has memory, though it may be swapped out. */
	bitmap_set_range(k->committed, z->first % ZS_EXTENT_PAGES, 1);
	z->committed = 1;
	arena_tag(&k->pool->arena, z->first, zbud_tag(k->pool, z));
	zbud_age_append(k->pool, z);
	zbud_enlist(k->pool, z);
	return 0;
}
