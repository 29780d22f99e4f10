/* SPDX-License-Identifier: BSD-3-Clause */
/* Validation of zspages and their lists: Z2 to Z4, Z6, Z7, C2. */
#include <string.h>

#include "allocator/check.h"
#include "allocator/zspage.h"

static const char *check_cells(struct check *k, struct zs_class *c, struct zspage *z)
{
	unsigned int live = 0;

	for (unsigned int cell = 0; cell < c->cells; cell++) {
		uint32_t owner;

		if (!cell_live(k->pool, c, z, cell, &owner))
			continue;
		live++;
		if (k->live && !k->live(k->opaque, owner, cell_ref(c, z, cell)))
			return "Z7: a live cell's owner does not name it";
	}
	return live == z->used ? NULL : "Z2: used is not the number of live cells";
}

static const char *check_free_list(struct check *k, struct zs_class *c, struct zspage *z)
{
	unsigned int n = 0, cell = z->free_head;

	for (; cell != ZS_CELL_NONE; n++) {
		const char *at = (char *)arena_page(&k->pool->arena, z->first) + cell * c->cell;
		uint32_t word;

		if (cell >= z->fresh || n > z->fresh)
			return "Z4: the free list leaves the zspage, or is a circle";
		memcpy(&word, at, sizeof(word));
		if (!(word & ZS_HOLE))
			return "Z4: a live cell is on the free list";
		cell = word & UINT16_MAX;
	}
	return n + z->used == z->fresh ? NULL : "Z4: a hole is not on the free list";
}

static const char *check_group(struct check *k, struct zs_class *c, struct zspage *z)
{
	unsigned int room = zspage_room(c, z), g = ZS_GROUP_FULL;

	if (z->used > room || (!z->raw && (z->used > z->fresh || z->fresh > room)))
		return "Z3: more cells in use than there are";
	if (z->pinned)
		return z->group == ZS_GROUP_NONE ? NULL : "Z6: a pinned zspage is on a list";
	if (z->used < room)
		g = z->used * ZS_GROUP_ROOM / c->cells;
	else if (room < c->cells)
		g = ZS_GROUP_TAIL;
	if (z->group != g)
		return "Z6: a zspage is on another list than that of its fullness";
	return NULL;
}

const char *zspage_check(struct check *k, struct zs_class *c, struct zspage *z)
{
	const char *error = check_group(k, c, z);

	if (!error)
		error = check_cells(k, c, z);
	if (!error && !z->raw)
		error = check_free_list(k, c, z);
	k->fallbacks += z->fallbacks;
	k->room += zspage_room(c, z) - z->used;
	return error;
}

/* The lists of a class hold its zspages that are not pinned, each once. */
const char *zspage_check_lists(struct check *k, struct zs_class *c, uint64_t listed)
{
	uint64_t n = 0;

	for (unsigned int g = 0; g < ZS_GROUPS; g++) {
		uint32_t prev = ZS_NONE, index = c->heads[g];

		if ((c->groups >> g & 1) != (index != ZS_NONE))
			return "C2: the class's bit of a list is wrong";
		for (; index != ZS_NONE; prev = index, index = k->pool->arena.zspages[index].next) {
			struct zspage *z = &k->pool->arena.zspages[index];

			if (z->group != g || z->prev != prev || ++n > c->zspages)
				return "Z6: a list is broken";
		}
	}
	return n == listed ? NULL : "Z6: a zspage is on no list";
}
