/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zbud: two objects a page.
 *
 * Its seed is the kernel's zbud: a page has two buddies, the first at its front and the last at its
 * end; what is free between them is in one piece, and pages with one buddy are listed by it. It
 * stores less in a page than zspages do, and in return what it costs to free a page is known: at
 * most two objects are copied, and none but them are waited for.
 *
 * The kernel's needs a header in each page, a handle for each object (the tree of a patch series of
 * 2013, which was to let objects migrate) and a count of who has it mapped. Here the slot does all
 * three: it is the handle, and moving an object swaps its word; its lock bit pins the object, which
 * nobody frees or moves while it is read.
 *
 * The first page that was given an object goes first when pages are emptied. One that cannot be,
 * because there is no room for its objects, or because they are busy, has its turn after all others.
 *
 * A pool of zbud has one class: 0, of single pages, whose lock is that of all below. A page's
 * descriptor is a struct zspage: chunks[], or for a raw page owner; prev and next are of its list.
 *
 * Vocabulary
 *	chunk		ZBUD_CHUNK bytes, in which sizes are counted
 *	buddy		one of a page's two cells: 4 bytes of owner, then the payload, in whole chunks
 *	unbuddied	of a page: it has one buddy, and room for another
 *
 * Invariants; zs_validate() checks each, by its number.
 * Of a page z at rest, that is not raw:
 *	B1	0 < z.used = number of z.chunks[] that are not 0
 *	B2	z.chunks[0] + z.chunks[1] <= ZBUD_CHUNKS
 *	B3	z is on the list of its free chunks if it is unbuddied, and on none else
 *	B4	every buddy's owner names it (asked of the owner)
 *	and of a raw page: z.used = 1, it is on no list, B4
 * Of all:
 *	B5	count[f] = length of list f, and bit f of filled is set = it is not 0
 *	B6	from oldest to newest every page stands once
 *	C1	c.zspages = number of pages; c.used = sum z.used
 *	Z1	page_map[z.first] == index of z, + 1
 *	Z5	the page is committed
 *	A1..A7	those of the arena: zs-types.h
 *	A8	with a store: tag[z.first] is ZS_TAG_RAW | z.owner of a raw page, of another
 *		ZBUD_TAG | z.chunks[0] << 1 | z.chunks[1] << 12; 0 elsewhere
 *
 * The order of stores is that of zs-types.h. Which buddies there are, and how long, the tag says:
 *	1. owner written, *then* the tag says that there is a buddy, *then* the slot names it.
 *								buddy_take(); the slot's exchange
 *	2. the slot ceases to name it, *then* the tag no longer says that it is there, *then* its
 *	   place is another's.					the slot's exchange; buddy_put()
 * What may be left is a buddy whose owner names another, or nothing: it is freed.
 */
#ifndef ZCRAM_ZBUD_TYPES_H
#define ZCRAM_ZBUD_TYPES_H

#include <stdint.h>

#define ZBUD_CHUNK  64
#define ZBUD_CHUNKS (4096 / ZBUD_CHUNK) /* of a page */

#define ZBUD_TAG    UINT32_C(1)

/* Of a page's descriptor: its neighbours in the order of age. */
struct zbud_age {
	uint32_t older, newer;
};

struct zbud {
	/* Class lock. */
	uint32_t heads[ZBUD_CHUNKS], count[ZBUD_CHUNKS]; /* of unbuddied pages, by free chunks */
	uint64_t filled[(ZBUD_CHUNKS + 63) / 64];
	uint32_t oldest, newest;
};

#endif
