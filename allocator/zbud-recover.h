/* SPDX-License-Identifier: BSD-3-Clause */
/* zbud recovered, and validated: see struct zs_allocator. */
#ifndef ZCRAM_ZBUD_RECOVER_H
#define ZCRAM_ZBUD_RECOVER_H

#include "allocator/check.h"
#include "allocator/recover.h"

struct zs_class *zbud_class_of_tag(struct zs_pool *pool, uint32_t tag);
void zbud_remake(struct zs_pool *pool, struct zspage *z, uint32_t tag);
bool zbud_holds(struct zs_pool *pool, struct zspage *z, zs_ref ref, size_t len);
int zbud_recover(struct recovery *k, struct zs_class *c, struct zspage *z);

const char *zbud_check(struct check *k, struct zs_class *c, struct zspage *z);
const char *zbud_check_lists(struct check *k, struct zs_class *c, uint64_t listed);

#endif
