/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool from inside. What outlives the process, when there is a store, is the arena and a *tag*
 * for each of its pages; all else is derived from these and the slots (recover.c).
 *
 * Vocabulary
 *	page		4096 bytes of the arena, numbered from 0
 *	extent		512 pages; no zspage crosses its end
 *	run		pages in a row within an extent
 *	used		a page that belongs to a zspage
 *	committed	a page that has memory; touching it never faults
 *	spare		a page that is committed and not used: the reserve, and what awaits release
 *	cell		class->cell bytes of a zspage: 4 bytes of owner or free link, then the payload
 *	live		a cell that zs_alloc() handed out and zs_free() did not take back
 *	fresh		a cell never handed out since the zspage was made, or squeezed
 *	hole		a cell that was live, is not now, and is not fresh
 *	tail		pages of a zspage beyond its committed ones
 *	fallback	an object in a cell of a larger class than its own, for want of pages in a row
 *
 * Invariants; zs_validate() checks each, by its number.
 * Of a zspage z of class c, at rest (no lock held):
 *	Z1	page_map[z.first .. z.first + c.pages - 1] == index of z, + 1
 *	Z2	z.used = number of live cells; 0 < z.used or z is pinned or has just been refilled
 *	Z3	z.used <= z.fresh <= room(z) <= c.cells,
 *		room(z) = min(c.cells, z.committed * 4096 / c.cell)
 *	Z4	the free list holds each hole once: its length is z.fresh - z.used
 *	Z5	the first z.committed pages of z are committed
 *	Z6	z is on the list group(z) of its class, and on no list when it is pinned
 *	Z7	every live cell's owner names it (asked of the owner)
 * Of a class c:
 *	C1	c.zspages = number of its zspages;  c.used = sum z.used;
 *		c.room = sum (room(z) - z.used), of pinned ones too, whose room nobody may use;
 *		c.fallbacks = number of its zspages that are marked as having fallbacks
 *	C2	bit g of c.groups is set = list g is not empty
 * Of the arena a:
 *	A1	a.used = sum over zspages c.pages, + a.busy, = number of used bits
 *	A2	a.spare = number of bits that are committed and not used
 *	A3	a.pool = number of bits that are committed and used; a.pool + a.charged <= a.limit,
 *		or = a.ceiling when the limit was lowered below what is held; a.ceiling = a.limit else
 *	A4	each extent's counts are those of its bits
 *	A5	if e.absent[k] = n > 0, extent e has no run of n pages of kind k
 *	A6	no extent below a.hint[k][n] that is open may have one: its absent[k] is in 1..n
 *	A7	a.partly = number of extents with used pages
 *	A8	with a store: tag[p] is z.klass + 1 where a zspage z starts at page p, or, of a raw
 *		page that is live, ZS_TAG_RAW | z.owner; 0 elsewhere
 *
 * The order of stores, for whoever looks after the process was killed
 *
 * A kill ends each thread between two of its instructions: all that it stored before is seen, and
 * nothing of what comes after. Threads are not stopped at one instant, but if one has seen what
 * another stored, by a lock or an acquiring load, that store is seen afterwards too. So it takes no
 * fence of the CPU, only stores that the compiler leaves in their order: across a lock, an
 * atomic of release or stronger, or a system call it does.
 *
 *	1. tag set, *then* a cell handed out, *then* named. A slot never names a cell in a zspage
 *	   that nobody would find.				arena_take(), before the lock is dropped
 *	2. owner written, *then* the slot names the cell. Recovery believes a slot only if the cell
 *	   says the same.					cell_take(); the slot's exchange
 *	3. the slot ceases to name the cell, *then* the owner is replaced by a hole's link, *then* the
 *	   cell is another's. While two slots could say that a cell is theirs, one of them does.
 *								the slot's exchange; cell_put()
 *	4. the last cell put, *then* the tag cleared, *then* the pages are another's, whose tag comes
 *	   after. So no two tags overlap.			arena_put(), under the arena lock
 *	5. a cell is out of use, *then* its page is released. Which pages have memory is asked of the
 *	   kernel, so no word of ours can be wrong about it.	arena_shrink(), arena_release_spare()
 *	6. top raised, *then* a page of the extent is used or committed.	pages_use()
 *
 * What may be left: a zspage without objects (1, 4), a cell with an owner that names another or
 * nothing (2, 3), committed pages of nobody. Recovery frees the first two and finds the third spare.
 * An owner in a cell that was never handed out is what stood there before: bytes of any kind. It is
 * not believed, since a slot that named the cell would have kept it in use.
 */
#ifndef ZCRAM_ZS_TYPES_H
#define ZCRAM_ZS_TYPES_H

#include <pthread.h>

#include "allocator/zbud-types.h"
#include "allocator/zs.h"
#include "common/headroom.h"
#include "common/parking.h"
#include "common/util.h"

/*
 * Cells are multiples of ZS_STEP; a zspage has up to ZS_MAX_PAGES pages. design.md's 16 bytes and
 * zsmalloc's 8 pages lose more to rounding than finer classes lose to half-filled zspages, now that
 * a zspage is committed as it fills (zs.h): bench/ has the figures.
 */
#define ZS_STEP	       8
#define ZS_MAX_PAGES   16
#define ZS_MIN_CELL    24
#define ZS_MAX_CLASSES 320

/*
 * Lists of a class. A zspage with room is in the group of its fullness in tenths, 0..9; one whose
 * only room is its tail in ZS_GROUP_TAIL; one without any in ZS_GROUP_FULL.
 */
enum {
	ZS_GROUP_ROOM = 10, /* groups below this have room */
	ZS_GROUP_TAIL = 10,
	ZS_GROUP_FULL = 11,
	ZS_GROUPS,
	ZS_GROUP_NONE = 15, /* on no list */
};

#define ZS_NONE UINT32_MAX /* no zspage */

/*
 * A zspage's descriptor. Class lock; klass and first are constant while it has a live cell or is
 * pinned, so that whoever holds an object may read them without. A free descriptor is linked by
 * next, under the arena lock, with klass = ZS_CLASS_FREE.
 */
struct zspage {
	uint32_t first; /* page */
	uint32_t prev, next;
	uint16_t klass; /* index of its size class; also under the arena lock */
	uint16_t used;	/* live cells */
	union {
		struct {
			uint16_t fresh;	    /* cells from this one on are fresh */
			uint16_t free_head; /* first hole, or ZS_CELL_NONE */
		};
		uint32_t owner;	    /* of the raw page */
		uint16_t chunks[2]; /* of a page of zbud: of its first and its last buddy */
	};
	uint8_t committed; /* pages, from the first on */
	uint8_t group : 4;
	uint8_t pinned : 1;    /* a thread works on it without the class lock; refuses new cells */
	uint8_t raw : 1;       /* of the class of raw pages: owner stands in the descriptor */
	uint8_t fallbacks : 1; /* may have fallbacks */
};

#define ZS_CLASS_FREE UINT16_MAX
#define ZS_CLASS_NONE UINT16_MAX
#define ZS_CELL_NONE  UINT16_MAX

/* The first word of a cell: the owner, or this bit and the next hole's number. */
#define ZS_HOLE (UINT32_C(1) << 31)

/*
 * Tags. The first page of a zspage has its class + 1, or, when it is a live raw page, this bit and the
 * owner; all others have 0.
 */
#define ZS_TAG_RAW ZS_OWNER_MAX

struct zs_class {
	/* Constant. */
	uint32_t cell;	     /* bytes */
	uint32_t reciprocal; /* 2^32 / cell, rounded up */
	uint16_t cells;	     /* of a whole zspage */
	uint8_t pages;
	uint16_t shorter; /* the next larger class whose zspages have fewer pages, or none */
	/* Class lock. */
	pthread_mutex_t lock __attribute__((aligned(CACHE_LINE)));
	uint32_t groups; /* bit g: list g is not empty */
	uint32_t heads[ZS_GROUPS];
	uint32_t zspages, fallbacks;
	uint64_t used, room; /* cells */
	bool wants;	     /* atomic: it has just taken the last cell that has memory */
	uint32_t frees;	     /* since the mover was last told */
	uint32_t opened;     /* times that pages were added to a zspage of it, or left by cells */
	/* Keeper lock. */
	uint64_t used_seen; /* used, a tick ago */
	uint32_t trimmed;   /* opened, when it was last trimmed to its last cell */
	uint8_t quiet;	    /* ticks since used has changed */
};

/* Kinds of pages that runs are looked for of. */
enum zs_run {
	ZS_RUN_SPARE,  /* committed, not used */
	ZS_RUN_UNUSED, /* not used */
	ZS_RUN_BARE,   /* neither committed nor used */
	ZS_RUNS
};

struct zs_extent {
	uint64_t used[ZS_EXTENT_PAGES / 64];
	uint64_t committed[ZS_EXTENT_PAGES / 64];
	uint16_t nr_used, nr_committed, nr_spare;
	uint16_t absent[ZS_RUNS]; /* there is no run so long of the kind; 0: not known */
	bool closed;		  /* being emptied by migration: takes no new runs */
};

struct zs_arena {
	/* Constant. */
	uint8_t *base;
	uint64_t size;	   /* bytes */
	uint32_t nr_pages; /* a multiple of ZS_EXTENT_PAGES */
	uint32_t nr_extents;
	uint32_t reserve_asked; /* spare pages that the keeper is to keep if the limit allows */
	struct zspage *zspages; /* see there; addressed by index */
	struct zbud_age *ages;	/* of each, with zbud; NULL: there is none. Its class lock */
	/* In the store; NULL: there is none. The arena lock; a live raw page's tag: the class lock. */
	uint32_t *tags;
	uint64_t *top;	    /* top_extent, and its complement in the upper half */
	uint32_t *page_map; /* of each page its zspage's index + 1, or 0; the zspage's class lock */
	struct headroom headroom;
	bool watches; /* HEADROOM is there */

	/* Who waits for pages or cells to come back, or for the keeper to commit some. */
	struct parking returned_to;

	/* Atomic. */
	bool modest; /* memory is taken only while the kernel has some at hand */

	/* Arena lock. */
	pthread_mutex_t lock __attribute__((aligned(CACHE_LINE)));
	struct zs_extent *extents;
	uint32_t hint[ZS_RUNS][ZS_MAX_PAGES + 1];
	uint32_t used, spare, pool, pool_max, limit, ceiling; /* pages */
	uint32_t reserve;	/* spare pages that the keeper keeps */
	uint32_t busy;		/* used pages that are being committed or released, and nobody's */
	uint32_t charged;	/* pages that are being committed for a zspage */
	uint32_t spare_low;	/* lowest spare since the keeper last looked */
	uint32_t top_extent;	/* extents from here on were never used */
	uint32_t top_spare;	/* extents from here on have no spare pages */
	uint32_t partly;	/* extents that have used pages */
	uint32_t nr_zspages;	/* descriptors from here on were never used */
	uint32_t free_zspage;	/* first free descriptor below that */
	uint32_t ready_zspages; /* descriptors below this are committed */
	uint32_t ready_map;	/* page_map entries below this are */
	uint64_t returned;	/* pages that have ceased to be of the pool, in all */
};

/* A thread that sleeps until it is poked. */
struct zs_worker {
	pthread_t thread;
	bool running;
	uint32_t poked; /* futex; atomic */
	uint32_t stop;	/* futex; atomic */
};

struct zs_pool {
	struct zs_arena arena;
	const struct zs_allocator *allocator; /* allocator.h */
	struct zs_owner_ops owner;
	bool auto_compact; /* atomic */
	bool started;	   /* atomic: the threads run, there are others to be served meanwhile */
	uint32_t patience; /* milliseconds that a write waits for the keeper of a modest pool */
	uint32_t nr_classes;
	uint32_t raw_class;			       /* the last: one raw page */
	uint16_t class_of[ZS_PAGE_SIZE / ZS_STEP + 1]; /* by cell size in steps */
	struct zs_worker keeper, mover;
	bool starving;	      /* atomic: as the keeper has found last */
	uint32_t keeper_idle; /* atomic: it sleeps until it is poked */
	pthread_mutex_t mover_lock, keeper_lock;
	uint32_t freed; /* cells since zs_watch(), up to ZS_FREED_MAX; atomic */
	/* Statistics: relaxed atomics. */
	uint64_t objects_compacted, pages_compacted, objects_migrated, extents_migrated, refills;
	struct zbud zbud;
	struct zs_class classes[ZS_MAX_CLASSES];
};

#endif
