/* SPDX-License-Identifier: BSD-3-Clause */
/* check: what validation and the kinds of pools tell each other. Under a class lock. */
#ifndef ZCRAM_CHECK_H
#define ZCRAM_CHECK_H

#include "allocator/allocator.h"

struct check {
	struct zs_pool *pool;
	bool (*live)(void *opaque, uint32_t owner, zs_ref ref);
	void *opaque;
	uint64_t zspages, used, room, fallbacks; /* sums over the zspages of one class */
};

/* Zspages: see struct zs_allocator. */
const char *zspage_check(struct check *k, struct zs_class *c, struct zspage *z);
const char *zspage_check_lists(struct check *k, struct zs_class *c, uint64_t listed);

#endif
