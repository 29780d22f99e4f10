/* SPDX-License-Identifier: BSD-3-Clause */
/* recover: what the walk through a store and the kinds of pools tell each other. One thread. */
#ifndef ZCRAM_RECOVER_H
#define ZCRAM_RECOVER_H

#include "allocator/allocator.h"

struct recovery {
	struct zs_pool *pool;
	bool (*claim)(void *opaque, uint32_t owner, zs_ref ref);
	void *opaque;
	struct zs_recovered found;
	/* Of the extent at hand: pages that may be read; that have memory for sure. */
	uint64_t readable[ZS_EXTENT_PAGES / 64];
	uint64_t *committed;
};

/* Zspages: see struct zs_allocator. */
struct zs_class *zspage_class_of_tag(struct zs_pool *pool, uint32_t tag);
void zspage_remake(struct zs_pool *pool, struct zspage *z, uint32_t tag);
bool zspage_holds(struct zs_pool *pool, struct zspage *z, zs_ref ref, size_t len);
int zspage_recover(struct recovery *k, struct zs_class *c, struct zspage *z);

#endif
