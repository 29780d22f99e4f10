/* SPDX-License-Identifier: BSD-3-Clause */
/* The kind of pools that zspages are of. */
#include "allocator/check.h"
#include "allocator/recover.h"
#include "allocator/zspage.h"

static uint64_t live(const struct zs_class *c, const struct zspage *z)
{
	return (uint64_t)z->used * c->cell;
}

static uint32_t tag(const struct zs_pool *pool, const struct zspage *z)
{
	return z->raw && z->used > 0 ? ZS_TAG_RAW | z->owner : z->klass + 1U;
}

const struct zs_allocator zspage_allocator = {
	.init = zs_classes_init,
	.layout = zspage_layout,
	.alloc = zspage_alloc,
	.cell_bytes = zspage_cell_bytes,
	.has_cell = zspage_has_cell,
	.put = zspage_put,
	.grow = zspage_grow,
	.work = zspage_work,
	.potential = zspage_potential,
	.compact_lightly = zspage_compact_lightly,
	.make_room = zspage_compact,
	.compact = zspage_compact,
	.migrate = zspage_migrate,
	.live = live,
	.tag = tag,
	.class_of_tag = zspage_class_of_tag,
	.remake = zspage_remake,
	.holds = zspage_holds,
	.recover = zspage_recover,
	.check = zspage_check,
	.check_lists = zspage_check_lists,
};
