/* SPDX-License-Identifier: BSD-3-Clause */
/* A picture of the arena: how much of it has memory, and how much of that is in use. */
#include <errno.h>
#include <stdlib.h>

#include "allocator/allocator.h"
#include "allocator/zspage.h"
#include "common/bitmap.h"

struct bucket {
	uint64_t held; /* pages */
	uint64_t live; /* bytes */
};

struct map {
	struct zs_pool *pool;
	uint64_t pages; /* of all buckets */
	unsigned int n;
	struct bucket *buckets;
};

/* Bucket I is of the pages from this one on. */
static uint64_t bucket_start(const struct map *m, unsigned int i)
{
	return m->pages * i / m->n;
}

/* The bucket that a page is in: the last one that starts no later. */
static unsigned int bucket_of(const struct map *m, uint64_t page)
{
	return (unsigned int)(((page + 1) * m->n - 1) / m->pages);
}

/* The extent that starts with page FIRST. */
static void add_extent(struct map *m, uint64_t first, const uint64_t *committed)
{
	unsigned int at = 0, end;

	for (unsigned int i = bucket_of(m, first); at < ZS_EXTENT_PAGES; i++, at = end) {
		end = (unsigned int)min_u64(bucket_start(m, i + 1) - first, ZS_EXTENT_PAGES);
		m->buckets[i].held += bitmap_count_range(committed, at, end - at);
	}
}

static void add_held(struct map *m)
{
	struct zs_arena *a = &m->pool->arena;

	for (uint32_t i = 0; i < m->pages / ZS_EXTENT_PAGES; i++) {
		uint64_t committed[ZS_EXTENT_PAGES / 64];

		pthread_mutex_lock(&a->lock);
		for (unsigned int w = 0; w < ZS_EXTENT_PAGES / 64; w++)
			committed[w] = a->extents[i].committed[w];
		pthread_mutex_unlock(&a->lock);
		add_extent(m, (uint64_t)i * ZS_EXTENT_PAGES, committed);
	}
}

/* The live cells of a zspage are taken to be spread evenly over its committed pages. */
static void add_zspage(struct map *m, const struct zs_class *c, const struct zspage *z)
{
	uint64_t live = m->pool->allocator->live(c, z);

	for (unsigned int i = 0; i < z->committed && z->first + i < m->pages; i++)
		m->buckets[bucket_of(m, z->first + i)].live +=
			live * (i + 1) / z->committed - live * i / z->committed;
}

static void add_live(struct map *m, uint32_t nr_zspages)
{
	for (uint32_t i = 0; i < nr_zspages; i++) {
		struct zspage *z = &m->pool->arena.zspages[i];
		uint16_t klass = load_relaxed(&z->klass);
		struct zs_class *c;

		if (klass == ZS_CLASS_FREE)
			continue;
		c = &m->pool->classes[klass];
		pthread_mutex_lock(&c->lock);
		if (load_relaxed(&z->klass) == klass)
			add_zspage(m, c, z);
		pthread_mutex_unlock(&c->lock);
	}
}

static uint8_t share(uint64_t part, uint64_t whole)
{
	return (uint8_t)min_u64(div_round_up(part * UINT8_MAX, whole), UINT8_MAX);
}

int zs_map(struct zs_pool *pool, unsigned int cells, uint8_t *ret_live, uint8_t *ret_held)
{
	struct map m = {.pool = pool};
	uint32_t nr_zspages;

	pthread_mutex_lock(&pool->arena.lock);
	m.pages = (uint64_t)pool->arena.top_extent * ZS_EXTENT_PAGES;
	nr_zspages = pool->arena.nr_zspages;
	pthread_mutex_unlock(&pool->arena.lock);
	m.n = (unsigned int)min_u64(cells, m.pages);
	if (m.n == 0)
		return 0;
	m.buckets = calloc(m.n, sizeof(*m.buckets));
	if (!m.buckets)
		return -ENOMEM;
	add_held(&m);
	add_live(&m, nr_zspages);
	for (unsigned int i = 0; i < m.n; i++) {
		uint64_t pages = bucket_start(&m, i + 1) - bucket_start(&m, i);

		ret_held[i] = share(m.buckets[i].held, pages);
		ret_live[i] = share(m.buckets[i].live, pages * ZS_PAGE_SIZE);
	}
	free(m.buckets);
	return (int)m.n;
}
