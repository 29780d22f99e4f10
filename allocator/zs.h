/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zs: the pool, an allocator for compressed pages.
 *
 * Its seed is the kernel's zsmalloc: zspages of one size class, fullness groups, allocation from
 * the fullest, compaction from the emptiest, and a lock that readers may be preempted under and
 * that movers only try. It differs where user space and a block device allow better:
 *
 *  - No handles. An object carries its *owner*, the number of the slot that names it, and the slot
 *    names the object. zsmalloc pays 8 bytes in the object and 16 in a handle for what takes 4
 *    here; moving an object asks the owner (struct zs_owner_ops) instead of a table.
 *  - Objects are contiguous: the arena is one range of addresses, so a zspage of 16 pages needs no
 *    mapping and no copy to be read from. zsmalloc stops at 8 by default because pages are chained.
 *  - The zspage lock is the slot's lock bit: a reader pins one object, not a whole zspage, and no
 *    reader ever takes a lock of the pool.
 *  - A zspage takes memory as it fills. Half-filled zspages, one a class, are what a small pool
 *    loses most by, and what keeps zsmalloc's chains short. Here the pages of a zspage that no cell
 *    has reached yet are given back when the class has been quiet, and had again in the background
 *    when its last cell with memory is taken; so the mean loss is half a page a class instead of
 *    half a zspage, and long chains, many classes and little rounding cost nothing.
 *
 * zspages are the kind of pool that is meant by all this; zbud, the other, shares all but how pages are
 * cut (allocator.h, zbud-types.h), and has one class.
 *
 * Lock order, outermost first; a lock may be skipped, never taken upwards:
 *
 *	settings lock	one change of settings at a time		the owner's
 *	writer lock	who writes to the backing store		the owner's
 *	age lock	the hand, or marks; no other lock under it	the owner's
 *	place lock	one batch of recompression put in place		the owner's
 *	mover lock	one compaction or migration at a time		struct zs_pool
 *	keeper lock	what the keeper remembers of the classes	struct zs_pool
 *	slot lock	pins an object					the owner's
 *	class lock	lists and cells of one size class		struct zs_class
 *	arena lock	page bitmaps, counts, free descriptors		struct zs_arena
 *	headroom lock	reading what the kernel has at hand		struct zs_arena
 *
 * The headroom lock is never taken under a slot, class or arena lock: who has it reads a file.
 * Under a class lock slot locks are only *tried* (zs_owner_ops.relocate). Nobody holds two class
 * locks. Under class and arena locks nothing allocates, logs or blocks, and the kernel is entered
 * at most to wake a thread.
 */
#ifndef ZCRAM_ZS_H
#define ZCRAM_ZS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZS_PAGE_SIZE	4096
#define ZS_EXTENT_PAGES 512 /* 2 MiB: what migration frees at a time */

/* Where an object's cell stands: bytes from the start of the arena, in units of ZS_REF_UNIT. */
typedef uint64_t zs_ref;

#define ZS_REF_UNIT UINT64_C(8)
#define ZS_REF_BITS 40 /* 8 TiB of arena */

/* Owners are slot numbers below this. */
#define ZS_OWNER_MAX  (UINT32_C(1) << 31)

#define ZS_OWNER_SIZE 4 /* bytes before the payload in its cell */

/*
 * The longest payload whose owner stands in its cell. A longer one, a raw page, has a page to
 * itself and its owner in the descriptor.
 */
#define ZS_MAX_SMALL (ZS_PAGE_SIZE - ZS_OWNER_SIZE)

/* The longest payload that takes less than a page of its own: a longer one is as well stored raw.
 */
#define ZS_MAX_SHARED 3844

struct parking;
struct zs_pool;

/* How a pool places objects. The numbers stand in stores. */
enum zs_kind {
	ZS_ZSPAGE, /* zspages of size classes: the densest */
	ZS_ZBUD,   /* two objects a page: what it takes to free one is bounded (zbud-types.h) */
	ZS_KINDS
};

struct zs_owner_ops {
	/*
	 * Copy the object that OWNER holds at FROM to TO and name TO from then on: true. Or do
	 * nothing, when OWNER is busy or does not name FROM: false. Called under a class lock:
	 * must only try to lock, never wait.
	 */
	bool (*relocate)(void *opaque, uint32_t owner, zs_ref from, zs_ref to);
	/*
	 * The length of the payload that OWNER holds at REF, or 0: it does not name REF. Called
	 * under a class lock: must not wait.
	 */
	size_t (*length)(void *opaque, uint32_t owner, zs_ref ref);
	/* A number that is another whenever a request was served meanwhile. */
	uint64_t (*served)(void *opaque);
	void *opaque;
};

/*
 * The part of a pool that is not derived, in memory that outlives the process; all zeros: an empty
 * pool. Shared, page aligned; the caller's, until zs_pool_free() is done. The allocator's words in
 * it are the tags, the owners in the cells, and top.
 */
struct zs_store {
	uint64_t *top;	/* extents from here on were never used: zs-types.h */
	uint32_t *tags; /* one for each page of the arena: zs-types.h */
	void *arena;	/* zs_arena_bytes() */
};

struct zs_options {
	enum zs_kind kind;
	uint64_t max_bytes; /* the most that could ever be stored, for the size of the arena */
	uint64_t limit;	    /* bytes of committed zspage pages at most; 0: max_bytes */
	uint64_t reserve;   /* bytes kept committed and free, when the threads run */
	bool auto_compact;
	struct zs_owner_ops owner;
	const struct zs_store *store; /* NULL: private memory */
	/*
	 * The store is another process's still. Nothing of it is touched, and nothing but
	 * zs_prefault_ahead() and zs_pool_free() may be called, before zs_recover_zspages().
	 */
	bool ahead;
};

struct zs_stats {
	uint64_t pool;	   /* bytes of committed zspage pages */
	uint64_t pool_max; /* the highest it has been */
	uint64_t reserve;  /* bytes committed and free */
	uint64_t reserve_target;
	uint64_t limit;
	uint64_t metadata; /* bytes of descriptors, page map and extents in use */
	uint64_t objects;
	uint64_t objects_compacted, pages_compacted;
	uint64_t objects_migrated, extents_migrated;
	uint64_t refills;
};

/* An empty pool. Reserves address space; starts no thread. -EINVAL, -ENOMEM. */
int zs_pool_new(const struct zs_options *options, struct zs_pool **ret_pool);

/* The threads must have been stopped. A store keeps its content. */
void zs_pool_free(struct zs_pool *pool);

/* Bytes of the arena of a pool for max_bytes. */
uint64_t zs_arena_bytes(uint64_t max_bytes);

/* What *top of a store says before anything was stored: not 0, which says nothing. */
uint64_t zs_top_of_none(void);

/* A number that is another when pages are cut otherwise, so that refs and tags mean other cells. */
uint64_t zs_layout(enum zs_kind kind);

/*
 * Recovery of a pool from its store, right after zs_pool_new(), in three steps, one thread:
 *
 *	zs_recover_zspages()	make zspages of the tags; nothing in the store is changed
 *	zs_recover_holds()	asked of each object that a slot names: can one of LEN bytes stand at
 *				REF? If not, it is not to be believed.
 *	zs_recover_cells()	go through all cells: CLAIM is asked whether OWNER names the cell at REF,
 *				at most once for each cell, and never of a cell that is not one. What it
 *				says no to is a hole; a zspage without any object is none, and its
 *				pages are free.
 *
 * Reads of the arena only what is in memory or zs_recover_holds() has said yes to, for to read a
 * hole of shared memory would fill it. Blocks. -ENOMEM: the store can be recovered another time.
 */
struct zs_recovered {
	uint64_t objects, freed; /* cells that were claimed; that had an owner who did not */
};

int zs_recover_zspages(struct zs_pool *pool);
bool zs_recover_holds(struct zs_pool *pool, zs_ref ref, size_t len);
int zs_recover_cells(struct zs_pool *pool, bool (*claim)(void *opaque, uint32_t owner, zs_ref ref),
		     void *opaque, struct zs_recovered *ret_recovered);

/* The largest max_bytes, and the least limit, in bytes. */
uint64_t zs_max_bytes(void);
uint64_t zs_min_limit(void);

/*
 * Commit the reserve and start the background threads: the *keeper* (reserve, release of free
 * memory) and the *mover*, which does nothing without auto_compact (compaction, migration). -EAGAIN,
 * -ENOMEM.
 */
int zs_pool_start(struct zs_pool *pool);
void zs_pool_stop(struct zs_pool *pool);

/*
 * A cell for a payload of LEN bytes, 1..ZS_PAGE_SIZE. The caller writes the payload
 * (zs_payload) and has the owner name it; until then it is nobody's and will not be moved.
 * Takes committed memory only and never enters the kernel but to wake a thread. When the threads run
 * and no committed pages are left in a row for the payload's class, it is a cell of a larger class
 * whose zspages are shorter, as long as any committed page is left; the mover puts that right later.
 * -EAGAIN: none is left: give up locks, call zs_refill() and try again.
 */
int zs_alloc(struct zs_pool *pool, uint32_t owner, size_t len, zs_ref *ret_ref);

/* Bytes that a payload of LEN takes in the cell of its size class, with its owner. */
size_t zs_cell_bytes(struct zs_pool *pool, size_t len);

/*
 * Is less than three quarters of the reserve left? Then what is not urgent should allocate nothing.
 * Asked without a lock: a hint.
 */
bool zs_reserve_is_low(struct zs_pool *pool);

/*
 * Is it low, and does the kernel not give more? Then only what is freed here is of help: writes may be waiting
 * for it. A hint.
 */
bool zs_is_starving(struct zs_pool *pool);

/*
 * Commit memory for the size class of LEN, or wait until there may be some. Blocks; no slot may be locked.
 * *WAITED: nanoseconds that this object has waited so, with those before it of the same request; 0 at first.
 * -ENOSPC: the limit; what can be done then, is below; -ENOMEM: the kernel gave none, or, in a modest pool, had
 * none at hand for some seconds.
 */
int zs_refill(struct zs_pool *pool, size_t len, uint64_t *waited);

/*
 * Room, for whoever decides what becomes of writes near the limit and at it. The figures are read without
 * a lock: hints.
 */
struct zs_room {
	uint64_t limit; /* bytes */
	uint64_t left;	/* that zspages may yet take */
	uint64_t over;	/* that they hold beyond it, since it was lowered */
};

void zs_get_room(struct zs_pool *pool, struct zs_room *ret_room);

/* Would a payload of LEN bytes find a place now, in a cell or in a page? A hint. */
bool zs_may_fit(struct zs_pool *pool, size_t len);

/*
 * Where one who has found none may wait: it is notified whenever pages come back from zspages, and, for
 * ZS_FREED_MAX cells after zs_watch(), when one is freed.
 */
struct parking *zs_room_parking(struct zs_pool *pool);

/* Count the cells that are freed from now on. How many there were, up to ZS_FREED_MAX. */
#define ZS_FREED_MAX 65536U

void zs_watch(struct zs_pool *pool);
uint32_t zs_freed(struct zs_pool *pool);

/* Pages that have come back from zspages, since the pool was made. */
uint64_t zs_returned(struct zs_pool *pool);

/*
 * Make room: take back pages of zspages that no cell has reached; do all that moving objects can do, and
 * take back what comes free by it; or, when auto_compact is set and at least WORTH bytes would come of it,
 * only empty the zspages that are emptied with the least work. Block, for as long as that takes.
 */
void zs_trim(struct zs_pool *pool);
void zs_make_room(struct zs_pool *pool);
void zs_compact_lightly(struct zs_pool *pool, uint64_t worth);

/*
 * Bytes that the pool would take less if all was done that moving objects can do: an estimate; locks are
 * taken for a moment.
 */
uint64_t zs_potential(struct zs_pool *pool);

/*
 * Whose object has to go as well as the one at REF for the page that it stands in to come free: of zbud its
 * buddy's owner. ZS_OWNER_MAX: there is none, or there are too many, as in a zspage. A hint, whatever stands at
 * REF by then: the owner's slot says whether it is true. Takes a class lock.
 */
uint32_t zs_buddy(struct zs_pool *pool, zs_ref ref);

/* Free a cell that no slot names any more. Never fails, never enters the kernel but to wake. */
void zs_free(struct zs_pool *pool, zs_ref ref);

/* A hint: the cell at REF is likely to be freed soon. It need not be live any more. */
void zs_prefetch(const struct zs_pool *pool, zs_ref ref);

/* The payload's address. Valid while its slot is locked, or nobody's. */
void *zs_payload(const struct zs_pool *pool, zs_ref ref, size_t len);

/*
 * Compact every class, migrate, and give what is free beyond the reserve back to the system, on
 * the caller's thread, in the same small steps as the mover's and, while requests are served, with
 * pauses between the calls that give memory back: some seconds, when that is scattered.
 */
void zs_compact(struct zs_pool *pool);

/*
 * Have memory for all that allocating and freeing write to and that was made before a fork, which has
 * left nothing but promises of it. What is made later is had ahead of need: see keeper_look().
 *
 * From then on the pool is *modest*: it takes memory only while the kernel has some at hand
 * (common/headroom.h), and only its own threads do so; a write that finds none waits for the keeper,
 * for some seconds at most. Before zs_pool_start(). Blocks. -ENOMEM.
 */
int zs_prefault(struct zs_pool *pool);

/* For whoever needs memory in a modest pool's process: would BYTES be had without looking for them? */
bool zs_has_headroom(struct zs_pool *pool, uint64_t bytes);

/*
 * Of a pool whose store is another process's still: have all that recovery will need and that can be
 * had without changing anything there, so that recovery takes little time and no memory: tables for
 * what is stored, and in the page tables what is in memory of the store. Blocks. -ENOMEM.
 */
int zs_prefault_ahead(struct zs_pool *pool);

/*
 * Change the limit (bytes; 0: max_bytes; otherwise at least zs_min_limit()) and auto_compact, while
 * others are at work. A limit below what is committed: nothing more is, until it has fallen. The
 * reserve follows: what the limit forbids to use is not kept. Does not block or allocate.
 */
void zs_set(struct zs_pool *pool, uint64_t limit, bool auto_compact);

/*
 * A picture of the extents that were ever used, in at most CELLS > 0 buckets of equally many pages:
 * CELLS bytes of the share, in 255ths and rounded up, of its bytes that are in live cells, and of
 * its pages that are committed. Returns the number of buckets. Allocates. -ENOMEM.
 */
int zs_map(struct zs_pool *pool, unsigned int cells, uint8_t *ret_live, uint8_t *ret_held);

void zs_get_stats(struct zs_pool *pool, struct zs_stats *ret_stats);

/*
 * Check every invariant of zs-types.h. When LIVE is not NULL it is asked of every cell in use,
 * under its class lock, whether OWNER names it; cells that an alloc has just handed out are
 * nobody's, so no alloc may be under way then. 0, or -EUCLEAN and a constant that says which
 * invariant is broken.
 */
int zs_validate(struct zs_pool *pool, bool (*live)(void *opaque, uint32_t owner, zs_ref ref),
		void *opaque, const char **ret_error);

/* How many objects there are, while none is being moved and would count twice. Blocks. */
uint64_t zs_objects(struct zs_pool *pool);

#endif
