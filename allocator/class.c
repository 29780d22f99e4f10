/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Size classes. For every cell size the number of pages is chosen that wastes the smallest part of
 * the zspage; sizes that would cut a zspage alike are merged (zsmalloc does both), and so is a
 * size whose objects would take no less memory each than a bigger one's.
 */
#include <assert.h>

#include "allocator/allocator.h"
#include "allocator/zspage.h"
#include "common/fnv1a.h"

struct cut {
	uint32_t cell;
	uint8_t pages;
	uint16_t cells;
};

static struct cut best_cut(uint32_t cell)
{
	struct cut best = {.cell = cell};

	for (unsigned int pages = 1; pages <= ZS_MAX_PAGES; pages++) {
		unsigned int cells = pages * ZS_PAGE_SIZE / cell;

		/* cells / pages is higher; of equals the shorter */
		if (cells * best.pages > best.cells * pages || !best.pages)
			best = (struct cut){cell, (uint8_t)pages, (uint16_t)cells};
	}
	/* The largest cell that cuts the zspage so. */
	best.cell = (uint32_t)best.pages * ZS_PAGE_SIZE / best.cells / ZS_STEP * ZS_STEP;
	return best;
}

void zs_class_lock_init(struct zs_class *c)
{
	pthread_mutexattr_t spin_first;

	pthread_mutexattr_init(&spin_first);
	pthread_mutexattr_settype(&spin_first, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&c->lock, &spin_first);
	pthread_mutexattr_destroy(&spin_first);
}

static void add_class(struct zs_pool *pool, struct cut cut)
{
	struct zs_class *c = &pool->classes[pool->nr_classes++];

	assert(pool->nr_classes <= ZS_MAX_CLASSES);
	c->cell = cut.cell;
	c->cells = cut.cells;
	c->pages = cut.pages;
	c->reciprocal = (uint32_t)(((UINT64_C(1) << 32) + cut.cell - 1) / cut.cell);
	zs_class_lock_init(c);
	for (unsigned int g = 0; g < ZS_GROUPS; g++)
		c->heads[g] = ZS_NONE;
}

/* Where objects of a class may go when its zspages find no pages in a row. */
static void find_shorter(struct zs_pool *pool)
{
	for (uint32_t i = 0; i < pool->nr_classes; i++) {
		struct zs_class *c = &pool->classes[i];

		c->shorter = ZS_CLASS_NONE;
		for (uint32_t k = i + 1; k < pool->raw_class && c->shorter == ZS_CLASS_NONE; k++)
			if (pool->classes[k].pages < c->pages)
				c->shorter = (uint16_t)k;
	}
}

/* The best of each size, in steps: looked for once, for each is asked for again and again. */
struct cuts {
	struct cut best[ZS_PAGE_SIZE / ZS_STEP + 1];
};

static void find_cuts(struct cuts *ret)
{
	for (uint32_t size = ZS_MIN_CELL; size <= ZS_PAGE_SIZE; size += ZS_STEP)
		ret->best[size / ZS_STEP] = best_cut(size);
}

/* The cut for a size: a cut no better than the one of a bigger cell is skipped for that one. */
static struct cut class_cut(const struct cuts *cuts, uint32_t size)
{
	struct cut cut = cuts->best[size / ZS_STEP];

	for (uint32_t bigger = cut.cell + ZS_STEP; bigger <= ZS_PAGE_SIZE; bigger += ZS_STEP) {
		struct cut other = cuts->best[bigger / ZS_STEP];

		if (other.cells * cut.pages >= cut.cells * other.pages)
			cut = other;
	}
	return cut;
}

uint64_t zspage_layout(void)
{
	uint64_t hash = fnv1a_u64(FNV1A_START, ZS_OWNER_SIZE);
	struct cuts cuts;

	find_cuts(&cuts);
	for (uint32_t size = ZS_MIN_CELL; size <= ZS_PAGE_SIZE;) {
		struct cut cut = class_cut(&cuts, size);

		hash = fnv1a_u64(hash,
				 (uint64_t)cut.cell << 32 | (uint64_t)cut.pages << 16 | cut.cells);
		size = cut.cell + ZS_STEP;
	}
	return hash;
}

/* From the smallest cell up: a class, then the next behind the largest cell that is cut like it. */
void zs_classes_init(struct zs_pool *pool)
{
	uint32_t size = ZS_MIN_CELL, filled = 0;
	struct cuts cuts;

	find_cuts(&cuts);
	while (size <= ZS_PAGE_SIZE) {
		struct cut cut = class_cut(&cuts, size);

		for (; filled <= cut.cell / ZS_STEP; filled++)
			pool->class_of[filled] = (uint16_t)pool->nr_classes;
		add_class(pool, cut);
		size = cut.cell + ZS_STEP;
	}
	pool->raw_class = pool->nr_classes;
	add_class(pool, (struct cut){ZS_PAGE_SIZE, 1, 1});
	find_shorter(pool);
}
