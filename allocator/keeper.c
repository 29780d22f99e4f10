/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: memory is committed and released here, so that the I/O path need not. It refills the
 * reserve, has the next page of a zspage ready when its last cell with memory is taken, gives back
 * what has been spare for a while, and the pages of half-filled zspages that no cell has reached.
 */
#include <errno.h>

#include "allocator/allocator.h"
#include "allocator/worker.h"
#include "allocator/zspage.h"
#include "common/os.h"

/* How long memory must have been of no use before it is given back. */
#define TICK_MS 250

/*
 * Ticks for which a class must have been quiet for its zspages to be trimmed: to one cell more than
 * it has, so that a trickle of writes always finds one; and to the last.
 */
#define QUIET_ONE_MORE 2
#define QUIET_LAST     20

/* Pages committed by one call of the kernel at most: some 0.1 ms. */
#define BATCH 128

/* The same while the reserve is low, when somebody may be waiting for it, and memory be scarce. */
#define SMALL_BATCH 16

/* When the kernel has no memory at hand, and the reserve is low: how soon it is asked again. */
#define ASK_AGAIN_MS 2

/*
 * Memory that is taken from a process is unmapped on all CPUs that it runs on, which interrupts each
 * for some microseconds; hundreds of such calls in a row were what made one in a thousand reads four
 * times slower while compaction ran, and nothing else did. So there are this many in a row at most,
 * and where there is no hurry more only after a pause.
 */
#define BURST	 32
#define PAUSE_MS 5

/* Spare pages beyond the reserve that are not worth a system call. */
#define SLACK 64

static uint32_t spare(struct zs_pool *pool)
{
	return load_relaxed(&pool->arena.spare);
}

static uint32_t reserve(struct zs_pool *pool)
{
	return load_relaxed(&pool->arena.reserve);
}

/* Pages of the reserve, or descriptors for as many zspages of one page each, are getting few. */
static bool is_low(struct zs_pool *pool)
{
	const struct zs_arena *a = &pool->arena;
	uint32_t enough = reserve(pool) - reserve(pool) / 4;

	return spare(pool) < enough ||
	       load_relaxed(&a->ready_zspages) - load_relaxed(&a->nr_zspages) < enough;
}

bool zs_reserve_is_low(struct zs_pool *pool)
{
	return is_low(pool);
}

bool zs_is_starving(struct zs_pool *pool)
{
	return load_relaxed(&pool->starving);
}

void keeper_look(struct zs_pool *pool, bool now)
{
	/*
	 * Read by writing: either this comes after the keeper's own write in tidy(), and sees that
	 * it is idle, or before, and then the keeper sees what was changed.
	 */
	if (__atomic_fetch_add(&pool->keeper_idle, 0, __ATOMIC_SEQ_CST) || now || is_low(pool))
		worker_poke(&pool->keeper);
}

/* N pages more of the reserve; where the kernel has not as many at hand, one. */
static int commit_some(struct zs_pool *pool, unsigned int n)
{
	int r = arena_commit_spare(&pool->arena, n);

	return r == -ENOMEM && n > 1 ? arena_commit_spare(&pool->arena, 1) : r;
}

int keeper_fill(struct zs_pool *pool)
{
	uint32_t have;
	int r = arena_prepare(&pool->arena);

	while (r == 0 && (have = spare(pool)) < reserve(pool) &&
	       !load_relaxed(&pool->keeper.stop)) {
		unsigned int most = have < reserve(pool) / 2 ? SMALL_BATCH : BATCH;

		r = commit_some(pool, (unsigned int)min_u64(reserve(pool) - have, most));
		if (r == 0)
			parking_notify(&pool->arena.returned_to, true);
	}
	return r;
}

/* Have memory for the next cell of the classes that have just taken the last that had some. */
static void feed(struct zs_pool *pool)
{
	for (uint32_t i = 0; i < pool->nr_classes; i++) {
		struct zs_class *c = &pool->classes[i];

		/* A failure leaves it to the write, which has the reserve and can report it. */
		if (load_relaxed(&c->wants) &&
		    __atomic_exchange_n(&c->wants, false, __ATOMIC_SEQ_CST) &&
		    pool->allocator->grow(pool, c, ARENA_BARE) == 0)
			parking_notify(&pool->arena.returned_to, true);
	}
}

/* Release what has been spare beyond the reserve since the last call. */
static void release(struct zs_pool *pool)
{
	struct zs_arena *a = &pool->arena;
	uint32_t low, n;

	pthread_mutex_lock(&a->lock);
	low = a->spare_low;
	a->spare_low = a->spare;
	pthread_mutex_unlock(&a->lock);
	if (low <= reserve(pool) + SLACK)
		return;
	n = low - reserve(pool);
	for (unsigned int calls = 0; n > 0 && calls < BURST; calls++) {
		uint32_t done = arena_release_spare(a, n);

		if (done == 0)
			break;
		n -= done;
	}
}

/* Calls that have taken memory, and what had been served before the last one. */
struct pace {
	unsigned int calls;
	uint64_t served;
};

/* Before one more call that takes memory: pause if there is anybody whom it would slow down. */
static void keep_pace(struct zs_pool *pool, struct pace *pace)
{
	uint64_t served = pool->owner.served(pool->owner.opaque);

	if (pace->calls++ >= BURST && served != pace->served)
		os_wait(&pool->mover.stop, 0, PAUSE_MS);
	pace->served = served;
}

void keeper_release_gently(struct zs_pool *pool)
{
	struct pace pace = {0};
	uint32_t have;

	while ((have = spare(pool)) > reserve(pool)) {
		keep_pace(pool, &pace);
		if (arena_release_spare(&pool->arena, have - reserve(pool)) == 0)
			break;
	}
}

/* Pages of Z that are worth keeping: those of its cells, and of one more if that is asked. */
static unsigned int wanted_pages(const struct zs_class *c, const struct zspage *z, bool one_more)
{
	unsigned int cells = z->fresh + (one_more && z->fresh < c->cells);

	if (z->raw)
		return z->used;
	return z->used == 0 ? 0 : zspage_pages(c, cells);
}

/* Give the pages of Z behind its first KEEP back, and Z itself if it is empty. Class lock, dropped.
 */
static void trim_zspage(struct zs_pool *pool, struct zs_class *c, struct zspage *z,
			unsigned int keep)
{
	unsigned int had = z->committed;

	/* Pinned: the cells there are nobody's, and nobody will be given one. */
	zspage_pin(pool, c, z);
	zspage_set_committed(c, z, keep);
	pthread_mutex_unlock(&c->lock);
	arena_shrink(&pool->arena, z->first + keep, had - keep);
	pthread_mutex_lock(&c->lock);
	zspage_unpin(pool, c, z);
	if (z->used == 0) {
		zspage_unlist(pool, c, z);
		zspage_destroy(pool, c, z);
	}
}

/* What a tick finds of a class. */
enum trim { TRIM_NOT, TRIM_ONE_MORE, TRIM_LAST };

static enum trim look_at(struct zs_class *c, enum trim_mode mode)
{
	uint64_t used = load_relaxed(&c->used);

	if (load_relaxed(&c->opened) == c->trimmed)
		return TRIM_NOT;
	if (used != c->used_seen)
		c->quiet = 0;
	else if (c->quiet < QUIET_LAST)
		c->quiet++;
	c->used_seen = used;
	if (mode != TRIM_QUIET || c->quiet == QUIET_LAST)
		return TRIM_LAST;
	return c->quiet == QUIET_ONE_MORE ? TRIM_ONE_MORE : TRIM_NOT;
}

/* True: memory was taken. */
static bool trim_at(struct zs_pool *pool, uint32_t index, const uint8_t trims[])
{
	struct zspage *z = &pool->arena.zspages[index];
	uint16_t klass = load_relaxed(&z->klass);
	bool trimmed = false;
	struct zs_class *c;
	unsigned int keep;

	if (klass == ZS_CLASS_FREE || trims[klass] == TRIM_NOT)
		return false;
	c = &pool->classes[klass];
	pthread_mutex_lock(&c->lock);
	if (load_relaxed(&z->klass) == klass && !z->pinned) {
		keep = wanted_pages(c, z, trims[klass] == TRIM_ONE_MORE);
		trimmed = keep < z->committed;
		if (trimmed)
			trim_zspage(pool, c, z, keep);
	}
	pthread_mutex_unlock(&c->lock);
	return trimmed;
}

bool keeper_trim(struct zs_pool *pool, enum trim_mode mode)
{
	uint8_t trims[ZS_MAX_CLASSES];
	bool any = false, done = true;
	struct pace pace = {0};
	uint32_t nr_zspages;

	/* What a modest pool gives back it may not have again when it is in want of it itself. */
	if (load_relaxed(&pool->arena.modest) && is_low(pool))
		return false;
	pthread_mutex_lock(&pool->keeper_lock);
	for (uint32_t i = 0; i < pool->nr_classes; i++) {
		struct zs_class *c = &pool->classes[i];
		uint32_t opened = load_relaxed(&c->opened);

		trims[i] = (uint8_t)look_at(c, mode);
		any = any || trims[i] != TRIM_NOT;
		if (trims[i] == TRIM_LAST)
			c->trimmed = opened;
		done = done && c->trimmed == opened;
	}
	pthread_mutex_unlock(&pool->keeper_lock);
	pthread_mutex_lock(&pool->arena.lock);
	nr_zspages = pool->arena.nr_zspages;
	pthread_mutex_unlock(&pool->arena.lock);
	for (uint32_t i = 0; any && i < nr_zspages; i++)
		if (trim_at(pool, i, trims) && mode == TRIM_GENTLY)
			keep_pace(pool, &pace);
	return done;
}

/* What is done once a tick. False: there is nothing left to wait for. */
static bool tidy(struct zs_pool *pool)
{
	bool done;

	/* Idle first, and then look: what changes after the look wakes us (keeper_look). */
	__atomic_exchange_n(&pool->keeper_idle, 1, __ATOMIC_SEQ_CST);
	release(pool);
	done = keeper_trim(pool, TRIM_QUIET);
	if (done && spare(pool) >= reserve(pool) && spare(pool) <= reserve(pool) + SLACK)
		return false;
	store_relaxed(&pool->keeper_idle, 0);
	return true;
}

/* Until when to sleep, in milliseconds, -1: until it is poked. */
static int rest(struct zs_pool *pool, int filled, bool more)
{
	if (filled == -ENOMEM && load_relaxed(&pool->arena.modest) && is_low(pool))
		return ASK_AGAIN_MS;
	return more ? TICK_MS : -1;
}

void *keeper_main(void *opaque)
{
	struct zs_pool *pool = opaque;
	uint64_t tick = os_now();
	bool poked, more = true;
	int filled = 0;

	/* As urgent as the writers, who have to do its work, or wait, when it is late. */
	os_thread_name("zs-keeper");
	while (worker_sleep(&pool->keeper, rest(pool, filled, more), &poked)) {
		store_relaxed(&pool->keeper_idle, 0);
		filled = keeper_fill(pool); /* what fails is tried again */
		store_relaxed(&pool->starving, filled == -ENOMEM && is_low(pool));
		feed(pool);
		more = true;
		if (os_now() - tick < TICK_MS * UINT64_C(1000000))
			continue;
		tick = os_now();
		more = tidy(pool);
	}
	return NULL;
}
